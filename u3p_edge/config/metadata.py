"""The description of a model that travels with it.

It is inside every exported file (TFLite metadata buffer, ONNX metadata_props) and beside the weights of a run, so that
`predict` and `bench` prepare images exactly as training did.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from u3p_edge.config.limits import MAX_LABELS, MAX_NAME
from u3p_edge.config.plain import from_dict
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import ConfigError
from u3p_edge.files import json_toml
from u3p_edge.label_values import MOST_CLASSES, classes_of, count_values

METADATA_KEY = "u3p_edge"
"""Name of the TFLite metadata entry and of the ONNX metadata property that hold `Metadata.to_json()`."""

QUANTIZATION_KEY = "u3p_edge.quantization"
"""ONNX metadata property of an int8 input and output: {"image": [scale, zero_point], "mask": [scale, zero_point]}."""

Colour = tuple[int, int, int]

Axis = Literal["axial", "coronal", "sagittal"]
"""Which slices a scan is cut into."""

OutputKind = Literal["probabilities", "logits", "labels"]
"""What a file gives for each pixel: the probability of each class, what these are computed from, or the label alone."""

PALETTE: tuple[Colour, ...] = (
    (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
"""Black for the background, then the colours of Okabe and Ito, which colour-blind readers can distinguish too."""


@dataclass(frozen=True)
class Metadata:
    """What a model file contains about its model.

    Args:
        preprocessing: how an image becomes the network's input.
        class_names: one name for each label, background first; a binary (sigmoid) model has two.
        colours: one RGB colour for each label, 0..255.
        version: of the u3p_edge that wrote the file.
        lineage: what the model was made from, oldest first, as (description, sha256).
        mask_channels: channels of the network's mask. None means 1 (sigmoid) for two labels, else one for each label
            (softmax). A model of two labels may have 2. One channel less than labels is a sigmoid for each class.
        output: what the network gives. Labels are uint8 [1, H, W]; the others are real numbers [1, H, W, mask_channels].
        axis: of the slices that the model was trained on; None where they are none of scans, or where it is not known.

    Raises:
        ConfigError: names, colours and channels do not fit each other, or one of them is out of range.
    """

    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    colours: tuple[Colour, ...]
    version: str = ""
    lineage: tuple[tuple[str, str], ...] = ()
    mask_channels: int | None = None
    output: OutputKind = "probabilities"
    axis: Axis | None = None

    def __post_init__(self) -> None:
        if len(self.class_names) < 2:
            raise ConfigError("a model needs at least two labels: background and one more")
        if len(self.colours) != len(self.class_names):
            raise ConfigError(
                f"{len(self.class_names)} classes but {len(self.colours)} colours", mend="Give one colour for each class."
            )
        if len(self.class_names) > MAX_LABELS:
            raise ConfigError(f"{len(self.class_names)} classes are too many", mend=f"A mask has at most {MAX_LABELS}.")
        if any(not 0 <= part <= 255 for colour in self.colours for part in colour):
            raise ConfigError("a colour is not three numbers from 0 to 255")
        if any(len(text) > MAX_NAME for text in (*self.class_names, self.version)):
            raise ConfigError(f"a class name or the version has more than {MAX_NAME} characters")
        if self.mask_channels not in {None, self.labels, self.labels - 1}:
            raise ConfigError(f"{self.labels} classes do not fit a mask of {self.mask_channels} channels")
        if self.multi_label:
            _check_multi_label(self)

    @property
    def labels(self) -> int:
        """Number of labels, background included."""
        return len(self.class_names)

    @property
    def channels_out(self) -> int:
        """Channels of the network's mask: one for each label (softmax), or each but the background (sigmoid)."""
        if self.mask_channels is not None:
            return self.mask_channels
        return 1 if self.labels == 2 else self.labels

    @property
    def multi_label(self) -> bool:
        """Whether a pixel may have several classes: there are several, each with a sigmoid of its own (see `label_values`)."""
        return 1 < self.labels - 1 == self.channels_out

    @property
    def value_colours(self) -> tuple[Colour, ...]:
        """The colour of each value that a label may have; of several classes, the mean of their colours."""
        values = range(count_values(self.labels, self.multi_label))
        return tuple(_mean([self.colours[k] for k in classes_of(value, self.multi_label)]) for value in values)

    def to_json(self) -> str:
        """Return compact JSON text, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Metadata:
        """Read what `to_json` wrote. Raises ConfigError for anything else."""
        try:
            value = json_toml.parse_json(text, json_toml.MAX_METADATA)
        except ValueError as error:
            raise ConfigError(f"the metadata is not JSON: {error}") from error
        return from_dict(cls, value)


def _check_multi_label(metadata: Metadata) -> None:
    classes = metadata.labels - 1
    if classes > MOST_CLASSES:
        raise ConfigError(
            f"{classes} classes that may overlap are too many",
            mend=f"Masks of one sigmoid a class have at most {MOST_CLASSES}.",
        )
    if metadata.output == "labels":
        raise ConfigError(
            "a file that gives labels gives one class a pixel, and the model's classes may overlap",
            mend="Use --output probabilities or --output logits.",
        )


def _mean(colours: Sequence[Colour]) -> Colour:
    red, green, blue = (round(sum(part) / len(colours)) for part in zip(*colours, strict=True))
    return red, green, blue


def default_metadata(preprocessing: Preprocessing, labels: int, names: tuple[str, ...] = ()) -> Metadata:
    """Return metadata with a palette that colour-blind readers can distinguish.

    Args:
        preprocessing: how an image becomes the network's input.
        labels: number of labels, background included.
        names: one for each label; empty for "background", "class 1", "class 2", ...

    >>> from u3p_edge.config.preprocessing import Preprocessing
    >>> default_metadata(Preprocessing(64, 64), labels=3).class_names
    ('background', 'class 1', 'class 2')
    """
    given = names or ("background", *(f"class {i}" for i in range(1, labels)))
    colours = (PALETTE[0], *(PALETTE[1 + i % (len(PALETTE) - 1)] for i in range(labels - 1)))
    return Metadata(preprocessing=preprocessing, class_names=given, colours=colours)


def metadata_of_mask(
    preprocessing: Preprocessing, channels: int, multi_label: bool = False, names: tuple[str, ...] = ()
) -> Metadata:
    """Return metadata as `default_metadata` does, for a network whose mask has some channels.

    Args:
        preprocessing: how an image becomes the network's input.
        channels: of the mask.
        multi_label: several channels have a sigmoid each, and none is the background's.
        names: one for each label, background first; empty for the default ones.

    Raises:
        ConfigError: there are more or fewer names than labels.
    """
    labels = channels + 1 if multi_label or channels == 1 else channels
    if names and len(names) != labels:
        raise ConfigError(f"{len(names)} class names were given for a model of {labels} classes")
    return dataclasses.replace(default_metadata(preprocessing, labels, names), mask_channels=channels)
