"""What a model is told and what it carries: frozen values, strict from and to plain dictionaries.

`Metadata` travels inside every exported file (TFLite metadata buffer, ONNX metadata_props) and beside the weights of
a run, so that `predict` and `bench` apply exactly the preprocessing that training applied.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from u3p_edge.errors import ConfigError, about
from u3p_edge.files import json_toml

STRIDE = 16
"""Height and width must be multiples of this: UNet 3+ halves them four times."""

DEFAULT_SIZE = (256, 256)
"""Height and width of a trained network's input in pixels, if no other is asked for."""

MAX_SIDE = 16384
"""Largest height and width of a network's input, in pixels."""

MAX_THREADS = 512
"""Of a runtime; far beyond any machine's, some runtimes end the process."""

MAX_MEMORY_MB = 4096
"""MB of 10^6 bytes that an exported file may take to run, if nothing else is said."""

MAX_SEED = 2**32 - 1
"""Of NumPy's and TensorFlow's generators."""

MAX_LABELS = 256
"""Classes with background: a label is one byte."""

MAX_NAME = 1000
"""Characters of a class name or a version."""

MAX_INTEGER = 2**63 - 1
"""Of any option; libraries count in 64 bits."""

METADATA_KEY = "u3p_edge"
"""Name of the TFLite metadata entry and of the ONNX metadata property that hold `Metadata.to_json()`."""

QUANTIZATION_KEY = "u3p_edge.quantization"
"""ONNX metadata property of an int8 input and output: {"image": [scale, zero_point], "mask": [scale, zero_point]}."""

Fit = Literal["resize", "pad"]
Normalization = Literal["percentile", "zscore", "range", "none", "meanstd"]
Colour = tuple[int, int, int]
T = TypeVar("T")

PALETTE: tuple[Colour, ...] = (
    (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
"""Okabe-Ito colours after black for background: told apart by colour-blind readers too."""


@dataclass(frozen=True)
class Preprocessing:
    """From an image file's pixels to the network's input.

    The intensities are normalised over the whole original image first, then the image is fitted to `height` x `width`.

    Args:
        height, width: the network's input in pixels, multiples of 16, at most `MAX_SIDE`.
        channels: 1 (grey) or 3 (RGB).
        fit: "resize" (bilinear; nearest for masks) or "pad" (centred pad with the minimum and crop, no resampling).
        normalization: "percentile" (clip to [low, high] percentiles, scale to 0..1), "zscore" (zero mean, unit
            variance), "range" (the integer type's full range to 0..1), "none" (raw pixel values, e.g. 0..255) or
            "meanstd" ((pixel - mean) / std, channel by channel).
        low, high: the percentiles, in percent; used by "percentile" alone.
        mean, std: one number a channel, in raw pixel values (0..255 for 8-bit images, 0..65535 for 16-bit ones); for
            "meanstd" alone, else empty.

    Raises:
        ConfigError: a value that cannot be.
    """

    height: int
    width: int
    channels: int = 1
    fit: Fit = "resize"
    normalization: Normalization = "percentile"
    low: float = 1.0
    high: float = 99.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_size(self.height, self.width)
        if self.channels not in (1, 3):
            raise ConfigError(f"{self.channels} image channels are not supported", mend="Use 1 (grey) or 3 (RGB).")
        if not 0 <= self.low < self.high <= 100:
            raise ConfigError(
                f"percentiles low={self.low}, high={self.high} are not 0 <= low < high <= 100", mend="Use for example 1, 99."
            )
        check_mean_std(self.normalization, self.mean, self.std)
        if self.mean and len(self.mean) != self.channels:
            raise ConfigError(
                f"mean and std have {len(self.mean)} values, but channels is {self.channels}",
                mend="Give one value a channel.",
            )


@dataclass(frozen=True)
class Metadata:
    """What an artifact says of itself.

    Args:
        preprocessing: from pixels to the network's input.
        class_names: one name a label, background first; a binary (sigmoid) model has two.
        colours: one RGB colour a label, 0..255.
        version: of u3p_edge that wrote it.
        lineage: sha256 of each ancestor, oldest first, as (what, sha256).
        mask_channels: of the network's mask; None is 1 (sigmoid) for two labels, else one a label (softmax). A model of
            two labels may have 2.
    """

    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    colours: tuple[Colour, ...]
    version: str = ""
    lineage: tuple[tuple[str, str], ...] = ()
    mask_channels: int | None = None

    def __post_init__(self) -> None:
        if len(self.class_names) < 2:
            raise ConfigError("a model needs at least two labels: background and one more")
        if len(self.colours) != len(self.class_names):
            raise ConfigError(
                f"{len(self.class_names)} classes but {len(self.colours)} colours", mend="Give one colour a class."
            )
        if len(self.class_names) > MAX_LABELS:
            raise ConfigError(f"{len(self.class_names)} classes are too many", mend=f"A mask tells {MAX_LABELS} apart.")
        if any(not 0 <= part <= 255 for colour in self.colours for part in colour):
            raise ConfigError("a colour is not three numbers from 0 to 255")
        if any(len(text) > MAX_NAME for text in (*self.class_names, self.version)):
            raise ConfigError(f"a class name or the version has more than {MAX_NAME} characters")
        if self.mask_channels is not None and self.mask_channels not in {self.labels, self.labels - (self.labels == 2)}:
            raise ConfigError(f"{self.labels} classes do not fit a mask of {self.mask_channels} channels")

    @property
    def labels(self) -> int:
        """Number of labels, background included."""
        return len(self.class_names)

    @property
    def channels_out(self) -> int:
        """Channels of the network's mask: 1 for a sigmoid of two labels, else one a label (softmax)."""
        if self.mask_channels is not None:
            return self.mask_channels
        return 1 if self.labels == 2 else self.labels

    def to_json(self) -> str:
        """Compact JSON text, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Metadata:
        """Inverse of `to_json`. Raises ConfigError for anything else."""
        try:
            value = json_toml.parse_json(text, json_toml.MAX_METADATA)
        except ValueError as error:
            raise ConfigError(f"the metadata is not JSON: {error}") from error
        return from_dict(cls, value)


def default_metadata(preprocessing: Preprocessing, labels: int, names: tuple[str, ...] = ()) -> Metadata:
    """Metadata with default names ("background", "class 1", ...) and the colour-blind-safe palette."""
    given = names or ("background", *(f"class {i}" for i in range(1, labels)))
    colours = (PALETTE[0], *(PALETTE[1 + i % (len(PALETTE) - 1)] for i in range(labels - 1)))
    return Metadata(preprocessing=preprocessing, class_names=given, colours=colours)


def check_mean_std(normalization: Normalization, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Raise ConfigError unless mean and std are as many finite numbers, std above 0, and given for "meanstd" alone."""
    if normalization != "meanstd":
        if mean or std:
            raise ConfigError(
                f'mean and std have no effect on the normalization "{normalization}"', mend='Use normalization "meanstd".'
            )
        return
    if not mean or len(mean) != len(std):
        raise ConfigError(
            f'the normalization "meanstd" has {len(mean)} means and {len(std)} standard deviations',
            mend="Give one mean and one std a channel, in raw pixel values (0 to 255 for 8-bit images).",
        )
    for name, values in (("mean", mean), ("std", std)):
        for value in values:
            if not math.isfinite(value) or (name == "std" and not value > 0):
                raise ConfigError(f"{name} cannot be {value}", mend=f"It is a number{' above 0' if name == 'std' else ''}.")


def check_range(name: str, value: float, lowest: float, highest: float) -> None:
    """Raise ConfigError unless `lowest` <= value <= `highest`; NaN never is."""
    if not lowest <= value <= highest:
        raise ConfigError(f"{name} cannot be {value}", mend=f"It is {lowest} to {highest}.")


def check_size(height: int, width: int) -> None:
    """Raise ConfigError unless both are multiples of 16 from 16 to `MAX_SIDE`; the message names the nearest sizes."""
    if max(height, width) > MAX_SIDE:
        raise ConfigError(
            f"an input of {height}x{width} pixels is too large", mend=f"Height and width are at most {MAX_SIDE} pixels."
        )
    if height > 0 and width > 0 and height % STRIDE == 0 and width % STRIDE == 0:
        return

    def near(size: int) -> str:
        below, above = size // STRIDE * STRIDE, -(-size // STRIDE) * STRIDE
        return str(above) if below <= 0 or below == above else f"{below} or {above}"

    raise ConfigError(
        f"an input of {height}x{width} pixels does not fit UNet 3+: height and width must be multiples of {STRIDE}",
        mend=f"The nearest sizes are {near(max(height, 1))} for the height and {near(max(width, 1))} for the width.",
    )


def from_dict(cls: type[T], value: object) -> T:
    """Build a frozen dataclass from plain values, strictly: an unknown, missing or mistyped key is a ConfigError."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{cls.__name__} must be a table of options, not {type(value).__name__}")
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is not a dataclass")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise ConfigError(f"{cls.__name__} has no option {unknown[0]!r}", mend=f"It has: {', '.join(sorted(fields))}.")
    no_default = (
        f.name for f in fields.values() if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    )
    missing = sorted(set(no_default) - set(value))
    if missing:
        raise ConfigError(f"{cls.__name__} lacks the option {missing[0]!r}")
    return cls(**{name: _convert(hints[name], item, f"{cls.__name__}.{name}") for name, item in value.items()})


def read_recipe_text(path: Path) -> str:
    """What a recipe file holds. Raises ConfigError that names it."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the recipe {path} cannot be read: {error}") from error


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Plain values from TOML text. Raises ConfigError that names `where` it came from."""
    try:
        return json_toml.parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"{where} is not TOML: {error}") from error


def from_table(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """`from_dict`, whose errors name `where` the table came from."""
    with about(where):
        return from_dict(cls, table)


def _convert(hint: Any, value: Any, where: str) -> Any:
    """One value as `hint` says, or a ConfigError that names `where`."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value in args:
            return value
        raise ConfigError(f"{where} cannot be {_shown(value)}", mend=f"It is one of {', '.join(map(repr, args))}.")
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where} must be a list, not {_shown(value)}")
        kinds = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
        if len(kinds) != len(value):
            raise ConfigError(f"{where} must have {len(kinds)} items, not {len(value)}")
        return tuple(_convert(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        _check_plain(value, where)
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{where} must be {getattr(hint, '__name__', hint)}, not {_shown(value)}")
    _check_plain(value, where)
    return value


def _check_plain(value: Any, where: str) -> None:
    """Refuse numbers that no computer counts with, and text that no file can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} cannot be {value}", mend="Give a number.")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ConfigError(f"{where} is out of range", mend=f"It is {MAX_INTEGER} at most.")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ConfigError(f"{where} holds half a character: {value!a}") from error


def _shown(value: Any) -> str:
    """A value in a message; it may be endless."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"such {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:80]}..."
