"""The options of a training run: one frozen value, read from and written to TOML. No TensorFlow here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from u3p_edge import __version__
from u3p_edge.config.limits import DEFAULT_SIZE, MAX_LABELS, MAX_SEED, MAX_SLICES
from u3p_edge.config.metadata import Axis, Metadata, default_metadata
from u3p_edge.config.options import Option, check_options, documented, list_options, option
from u3p_edge.config.plain import from_table, parse_table, read_recipe_text
from u3p_edge.config.preprocessing import Fit, Normalization, Preprocessing
from u3p_edge.data.augmentation import Augmentation
from u3p_edge.data.labels import LabelRule
from u3p_edge.data.options import DataOptions
from u3p_edge.errors import ConfigError
from u3p_edge.files.json_toml import to_toml_value
from u3p_edge.models.backbone_kinds import BACKBONES, Backbone
from u3p_edge.models.config import MAX_WIDTH, UNet3PlusConfig
from u3p_edge.models.config import preset as model_preset


@documented
@dataclass(frozen=True)
class TrainRecipe:
    """The options of a training run: with the data, they decide everything.

    A run cannot be resumed with another number of epochs, since the learning rate's cosine ends with the last. With two labels
    the model is a sigmoid. `augmentation` is None for none. `multi_label` follows from the data: their classes may overlap, and
    the model has a sigmoid for each.

    Raises:
        ConfigError: a value that is not allowed.
    """

    preset: Literal["paper", "article"] = option("paper", "The network of the paper, or of the article in Keras.")
    base_width: int = option(
        16, "Channels of the first scale; twice as many cost four times.", flag="--width", low=1, high=MAX_WIDTH
    )
    size: tuple[int, int] = option(DEFAULT_SIZE, "Height and width of the network's input in pixels, multiples of 16.")
    channels: int | None = option(None, "1 (grey) or 3 (RGB); by default those of the images.")
    slices: int = option(
        1,
        "Neighbouring slices of a volume that the network sees at once, an odd number: it segments the middle one.",
        low=1,
        high=MAX_SLICES,
    )
    labels: int | None = option(
        None, "Number of classes with background; by default inferred from the masks.", low=2, high=MAX_LABELS
    )
    class_names: tuple[str, ...] = option((), "Names of the classes, background first, separated by commas.")
    axis: Axis | None = option(
        None, "Which slices of a scan the images are; by default as the import recorded it. `predict` cuts scans into them."
    )
    fit: Fit = option("resize", "How images get that size: resize, or pad and crop.")
    normalization: Normalization | None = option(
        None,
        "What is done to intensities; by default percentile, or what a backbone's weights were trained with.",
        flag="--normalize",
    )
    mean: tuple[float, ...] = option(
        (), "For --normalize meanstd: one number a channel, in raw pixel values (0 to 255 if 8-bit)."
    )
    std: tuple[float, ...] = option((), "For --normalize meanstd: as --mean.")
    deep_supervision: bool = option(True, "A loss at every scale; dropped at export, so it costs nothing there.")
    cgm: bool = option(False, "Learn which classes are in an image at all, and gate by it.")
    loss: Literal["dice_ce", "hybrid"] = option(
        "dice_ce", "Dice + cross-entropy, or the paper's hybrid of focal + MS-SSIM + IoU; the mean over the supervised scales."
    )
    backbone: Backbone | None = option(None, "Encoder of another network, in place of the UNet 3+'s own.")
    backbone_weights: str = option("", "File of its weights (.h5 or .keras of tf_keras.applications); none is fetched.")
    freeze_epochs: int = option(0, "Epochs in which the backbone stays as it is.", low=0, high=1_000_000)
    epochs: int = option(60, "At most.", low=1, high=1_000_000)
    batch_size: int = option(8, "Images a step.", flag="--batch", low=1, high=65_536)
    learning_rate: float = option(1e-3, "Highest learning rate, after the warm-up.", flag="--lr", above=0)
    warmup_epochs: int = option(1, "Epochs in which the learning rate rises from near 0.", low=0, high=1_000_000)
    optimizer: Literal["adamw", "adam"] = option("adamw", "With decoupled weight decay, or without any.")
    weight_decay: float = option(1e-4, "Of kernels; biases and normalisation have none.", low=0)
    patience: int = option(20, "Stop after so many epochs without a better Dice; 0 for never.", low=0, high=1_000_000)
    gate_patience: int = option(
        3, "Freeze the gate after so many epochs without a lower validation loss of it; 0 for never.", low=0, high=1_000_000
    )
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    seed: int = option(0, "Of weights, order, augmentation, dropout and a drawn split.", low=0, high=MAX_SEED)
    group_column: str | None = option(
        None, "Column of split.csv that is never split across sets; by default patient or the like.", flag="--group"
    )
    ignore_label: int | None = option(None, "Value of mask pixels that count neither in training nor in scores, e.g. 255.")
    label_map: tuple[tuple[int, int], ...] = option((), "Classes of mask values, e.g. 1:0,2:1; others stay.", flag="--map")
    mask_colours: tuple[tuple[str, int], ...] = option(
        (), "Classes of colours, where masks are colour pictures: '#000000:0,#ff0000:1', or a CSV file of such a table."
    )

    multi_label: bool = False

    def __post_init__(self) -> None:
        check_options(self)
        if self.class_names and self.labels is not None and len(self.class_names) != self.labels:
            raise ConfigError(
                f"{len(self.class_names)} class names for {self.labels} labels",
                mend="Give one for each label, background too.",
            )
        if self.slices > 1 and self.channels == 3:
            raise ConfigError(
                f"slices = {self.slices} are grey, and channels = 3 asks for colours",
                mend="Give --channels 1: colours become grey.",
            )
        for name in ("backbone_weights", "freeze_epochs"):
            if getattr(self, name) and self.backbone is None:
                raise ConfigError(f"{name} is of a backbone, and there is none", mend=f"Give one of {', '.join(BACKBONES)}.")
        _ = self.model_config(), self.metadata(), self.data_options()  # which check themselves

    def data_options(self) -> DataOptions:
        """Return how the data folder is read."""
        return DataOptions(self.seed, self.group_column, LabelRule(self.ignore_label, self.label_map, self.mask_colours))

    def preprocessing(self) -> Preprocessing:
        """Return how pixels become the network's input. Open `channels` are three if `mean` has three values, else one."""
        height, width = self.size
        channels = self.slices if self.slices > 1 else self.channels or (3 if len(self.mean) == 3 else 1)
        mean, std = self.mean, self.std
        normalization = self.normalization or ("meanstd" if self.normalized_for_backbone else "percentile")
        if self.normalized_for_backbone and not mean and not std:
            mean, std = BACKBONES[str(self.backbone)].preprocessing(channels)
        return Preprocessing(height, width, channels, self.fit, normalization, mean=mean, std=std, slices=self.slices)

    @property
    def normalized_for_backbone(self) -> bool:
        """Whether 8-bit images are normalised as those were that the backbone's weights come from."""
        return bool(self.backbone_weights) and self.normalization is None

    def metadata(self, lineage: tuple[tuple[str, str], ...] = ()) -> Metadata:
        """Return the trained model's metadata; while `labels` is open, as many as there are class names, else two."""
        labels = self.labels or len(self.class_names) or 2
        metadata = default_metadata(self.preprocessing(), labels, self.class_names)
        mask = labels - 1 if self.multi_label else None
        return dataclasses.replace(metadata, version=__version__, lineage=lineage, axis=self.axis, mask_channels=mask)

    def model_config(self) -> UNet3PlusConfig:
        """Return the options of the network that `train` builds."""
        return model_preset(
            self.preset,
            input_shape=(*self.size, self.preprocessing().channels),
            base_width=self.base_width,
            classes=self.metadata().channels_out,
            multi_label=self.metadata().multi_label,
            deep_supervision=self.deep_supervision,
            cgm=self.cgm,
            backbone=self.backbone,
        )

    def to_json(self) -> str:
        """Return compact JSON text, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    def to_toml(self) -> str:
        """Return TOML text that `parse_recipe` reads back to an equal recipe."""
        plain = dataclasses.asdict(self)
        tables = {key: value for key, value in plain.items() if isinstance(value, dict)}
        lines = [f"{key} = {to_toml_value(value)}" for key, value in plain.items() if value is not None and key not in tables]
        if self.augmentation is None:
            lines.append('augmentation = "none"')
        for name, table in tables.items():
            lines += ["", f"[{name}]", *(f"{key} = {to_toml_value(value)}" for key, value in table.items())]
        return "\n".join(lines) + "\n"


OPTIONS: Mapping[str, Option] = {entry.key: entry for entry in list_options(TrainRecipe)}
"""Every option but those of `augmentation`, by its keyword."""


def parse_recipe(text: str, where: str = "the recipe") -> TrainRecipe:
    """Parse a recipe from TOML. Options that are left out have their defaults; `augmentation = "none"` turns it off.

    Raises:
        ConfigError: not TOML, or an unknown or mistyped option; the message names it and `where`.

    >>> parse_recipe("epochs = 20").epochs
    20
    """
    table = parse_table(text, where)
    if table.get("augmentation") == "none":
        table = {**table, "augmentation": None}
    return from_table(TrainRecipe, table, where)


def read_train_recipe(path: Path) -> TrainRecipe:
    """Read a recipe from a TOML file; errors as `parse_recipe`."""
    return parse_recipe(read_recipe_text(path), str(path))


def first_difference(old: TrainRecipe, new: TrainRecipe) -> str:
    """Return the first option in which two recipes differ, as "epochs = 10, not 20"; empty when they are equal."""
    for entry in dataclasses.fields(TrainRecipe):
        before, after = getattr(old, entry.name), getattr(new, entry.name)
        if before == after:
            continue
        if isinstance(before, Augmentation) and isinstance(after, Augmentation):
            part = next(f.name for f in dataclasses.fields(before) if getattr(before, f.name) != getattr(after, f.name))
            return f"augmentation.{part} = {getattr(before, part)!r}, not {getattr(after, part)!r}"
        return f"{entry.name} = {before!r}, not {after!r}"
    return ""
