"""The options of a training run: one frozen value, read from and written to TOML. No TensorFlow here."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from u3p_edge import __version__
from u3p_edge.config.limits import DEFAULT_SIZE, MAX_LABELS, MAX_SEED, check_range
from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.plain import from_table, parse_table, read_recipe_text
from u3p_edge.config.preprocessing import Fit, Normalization, Preprocessing
from u3p_edge.data.augment import Augmentation
from u3p_edge.data.labels import LabelRule
from u3p_edge.data.options import DataOptions
from u3p_edge.errors import ConfigError
from u3p_edge.files.json_toml import to_toml_value
from u3p_edge.models.config import MAX_WIDTH, UNet3PlusConfig
from u3p_edge.models.config import preset as model_preset

_RANGES = (
    ("base_width", 1, MAX_WIDTH),
    ("labels", 2, MAX_LABELS),
    ("epochs", 1, 1_000_000),
    ("batch_size", 1, 65_536),
    ("warmup_epochs", 0, 1_000_000),
    ("patience", 0, 1_000_000),
    ("gate_patience", 0, 1_000_000),
    ("seed", 0, MAX_SEED),
)
"""Lowest and highest value of each whole-number option."""


@dataclass(frozen=True)
class TrainRecipe:
    """The options of a training run: with the data, they decide everything.

    Args:
        preset: of the model, "paper" or "article" (see `u3p_edge.models.config`).
        base_width: channels of encoder scale 1; cost grows with its square.
        size: (height, width) of the network's input in pixels, multiples of 16.
        channels: 1 (grey) or 3 (RGB); None takes what the images have.
        labels: number of classes, background included; None takes what the masks have. Two make a sigmoid model.
        class_names: one per label, background first; empty for "background", "class 1", ...
        fit, normalization, mean, std: see `u3p_edge.config.preprocessing.Preprocessing`.
        deep_supervision: a loss at each of the five scales; dropped at export, so it costs nothing there.
        cgm: train the classification-guided module on the classes' presence.
        loss: "dice_ce" (Dice + cross-entropy) or "hybrid" (focal + MS-SSIM + IoU), the mean over the supervised scales.
        epochs: most epochs; the learning rate's cosine ends there, so a run cannot be resumed with another number.
        batch_size: images per step; images left over after an epoch's last whole batch wait for another epoch's shuffle.
        learning_rate: after the warm-up, before the cosine.
        warmup_epochs: over which the learning rate rises from near 0.
        optimizer: "adamw" (decoupled weight decay) or "adam" (none).
        weight_decay: of kernels; biases and normalisation have none.
        patience: epochs without a better validation Dice after which training stops; 0 for never.
        gate_patience: epochs without a lower validation loss of the module after which it is frozen; 0 for never.
        augmentation: of training images; None for none.
        seed: of weights, order, augmentation and dropout, and of splits that are drawn.
        group_column: column of split.csv whose groups are never split across sets; None looks for a usual one.
        ignore_label, label_map: what the values of masks mean, see `u3p_edge.data.labels.LabelRule`.

    Raises:
        ConfigError: a value that is not allowed.
    """

    preset: Literal["paper", "article"] = "paper"
    base_width: int = 16
    size: tuple[int, int] = DEFAULT_SIZE
    channels: int | None = None
    labels: int | None = None
    class_names: tuple[str, ...] = ()
    fit: Fit = "resize"
    normalization: Normalization = "percentile"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    deep_supervision: bool = True
    cgm: bool = False
    loss: Literal["dice_ce", "hybrid"] = "dice_ce"
    epochs: int = 60
    batch_size: int = 8
    learning_rate: float = 1e-3
    warmup_epochs: int = 1
    optimizer: Literal["adamw", "adam"] = "adamw"
    weight_decay: float = 1e-4
    patience: int = 20
    gate_patience: int = 3
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    seed: int = 0
    group_column: str | None = None
    ignore_label: int | None = None
    label_map: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        for name, lowest, highest in _RANGES:
            value = getattr(self, name)
            if value is not None:
                check_range(name, value, lowest, highest)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(f"learning_rate cannot be {self.learning_rate}", mend="Use for example 0.001.")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ConfigError(f"weight_decay cannot be {self.weight_decay}", mend="Use for example 0.0001, or 0.")
        if self.class_names and self.labels is not None and len(self.class_names) != self.labels:
            raise ConfigError(
                f"{len(self.class_names)} class names for {self.labels} labels",
                mend="Give one for each label, background too.",
            )
        _ = self.model_config(), self.metadata(), self.data_options()  # which check themselves

    def data_options(self) -> DataOptions:
        """Return how the data folder is read."""
        return DataOptions(self.seed, self.group_column, LabelRule(self.ignore_label, self.label_map))

    def preprocessing(self) -> Preprocessing:
        """Return how pixels become the network's input. Open `channels` are three if `mean` has three values, else one."""
        height, width = self.size
        channels = self.channels or (3 if len(self.mean) == 3 else 1)
        return Preprocessing(height, width, channels, self.fit, self.normalization, mean=self.mean, std=self.std)

    def metadata(self, lineage: tuple[tuple[str, str], ...] = ()) -> Metadata:
        """Return the trained model's metadata; while `labels` is open, as many as there are class names, else two."""
        labels = self.labels or len(self.class_names) or 2
        metadata = default_metadata(self.preprocessing(), labels, self.class_names)
        return dataclasses.replace(metadata, version=__version__, lineage=lineage)

    def model_config(self) -> UNet3PlusConfig:
        """Return the options of the network that `train` builds."""
        return model_preset(
            self.preset,
            input_shape=(*self.size, self.preprocessing().channels),
            base_width=self.base_width,
            classes=self.metadata().channels_out,
            deep_supervision=self.deep_supervision,
            cgm=self.cgm,
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
    for option in dataclasses.fields(TrainRecipe):
        before, after = getattr(old, option.name), getattr(new, option.name)
        if before == after:
            continue
        if isinstance(before, Augmentation) and isinstance(after, Augmentation):
            part = next(f.name for f in dataclasses.fields(before) if getattr(before, f.name) != getattr(after, f.name))
            return f"augmentation.{part} = {getattr(before, part)!r}, not {getattr(after, part)!r}"
        return f"{option.name} = {before!r}, not {after!r}"
    return ""
