"""Read mask files as classes. A file that cannot be read is a DataError that names it and the cause.

A mask file has a class index for every pixel, as it is stored. A palette's colours and a stretch to full brightness do not
matter: the 4-bit grey value 5 is class 5. A file with only 0 and 255 (or 0 and 65535) is binary. A TIFF that shows 0
as white is read as stored too, except with one bit, where white is 1. Values that a `LabelRule` names are handled first.
Only where such a rule gives classes to colours is a mask a colour picture, of whatever kind.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from u3p_edge.data.colours import colours_to_values
from u3p_edge.data.decode import Picture, open_picture, turn
from u3p_edge.data.formats import JPEG, JPEG_MEND, MAX_PIXELS
from u3p_edge.data.images import Pixels, flatten, to_values
from u3p_edge.data.labels import AS_STORED, HIGHEST_CLASS, HIGHEST_VALUE, LabelRule
from u3p_edge.errors import DataError
from u3p_edge.label_values import MOST_CLASSES, count_values
from u3p_edge.metrics import IGNORE

BINARY = 255
"""Foreground of a binary mask file of 8 bits."""

MAX_BELIEVED = 32
"""Most different values of a mask that are taken for classes without --labels; more are objects or grey levels."""

SHOWN = 8
"""Values of a mask that a message lists at most."""

_STRETCH = {"L;2": 85, "L;4": 17}
"""What Pillow multiplies a pixel of few bits with to fill 0..255, by how its raw mode begins."""

Labels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.integer]


def read_mask(path: Path, labels: int | None = None, max_pixels: int = MAX_PIXELS, rule: LabelRule = AS_STORED) -> Labels:
    """Return the class of every pixel of a mask file, uint8 [H, W]; `metrics.IGNORE` where it is ignored.

    Args:
        path: of the file: grey or palette class indices, or binary 0 / 255.
        labels: number of classes, background included; None accepts any indices, and reads 0 / 255 as 0 / 1.
        max_pixels: height x width that the mask may have.
        rule: what the values mean.

    Raises:
        DataError: as `decode.open_picture`; or the mask is in colour, has its shape in its transparency, has an index that
            `labels` does not, or a colour that `rule` does not name.
    """
    return to_classes(read_values(path, max_pixels, rule), labels, path, rule)


def read_values(path: Path, max_pixels: int = MAX_PIXELS, rule: LabelRule = AS_STORED) -> Values:
    """Return a mask file's values, uint8 or uint16 [H, W], upright: as stored, or by its colours. Errors as `read_mask`."""
    return values_of(open_picture(path, max_pixels), path, rule)


def values_of(picture: Picture, path: Path, rule: LabelRule = AS_STORED) -> Values:
    """Return the values of a picture as `read_values` does; `path` is for messages."""
    if rule.colours:
        return colours_to_values(_rgb(picture, path), rule.colours, path)
    mode, values = picture.stored.mode, picture.upright()
    if mode == "P":
        return values
    if mode == "1":
        return values.astype(np.uint8)
    if mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        if picture.low is None:
            values = np.asarray(turn(picture.stored.convert("RGBA"), picture.orientation))
        return _drop_alpha(values, path)
    if mode not in ("L", "RGB", "F") and mode[0] != "I":
        values = np.asarray(turn(picture.stored.convert("RGB"), picture.orientation))
    if values.ndim == 3:
        return _single_channel(values, path)
    return _to_integers(_undo_display(values, picture), path)


def to_classes(values: Values, labels: int | None, path: Path, rule: LabelRule = AS_STORED) -> Labels:
    """Return classes for the values of a mask file; raise DataError naming `path` for a value beyond those of `labels`.

    Args:
        values: uint8 or uint16 of any shape.
        labels, rule: as `read_mask`.

    Returns:
        uint8 of the shape of `values`, `IGNORE` where the rule says so.
    """
    if rule.multi_label:
        return _to_sets(values, labels, path, rule)
    ignored = rule.ignored(values)
    classes = rule.apply(values)
    plain = ~ignored & ~rule.renamed(values)
    top = _binary_foreground(values[plain])
    if top is not None and labels in (None, 2):
        classes = np.where(plain & (values == top), 1, classes).astype(np.uint16)
    wrong = ~ignored & (classes >= (HIGHEST_CLASS + 1 if labels is None else labels))
    if wrong.any():
        raise unknown_value(path, np.unique(values[~ignored]), int(values[wrong].max()), labels)
    return np.where(ignored, IGNORE, classes).astype(np.uint8)


def _to_sets(values: Values, labels: int | None, path: Path, rule: LabelRule) -> Labels:
    """Return what `to_classes` does where classes may overlap, and no rule renames a value."""
    ignored = rule.ignored(values)
    limit = count_values(MOST_CLASSES + 1 if labels is None else labels, rule.multi_label)
    wrong = ~ignored & (values >= limit)
    if wrong.any():
        raise DataError(
            f"the mask {path} has the value {int(values[wrong].max())}, beyond the sets of its classes (0 to {limit - 1})",
            mend="Write 1 for class 1, 2 for class 2, 4 for class 3 and so on, and their sums where they overlap; or import "
            "masks with one file for each class.",
        )
    return np.where(ignored, IGNORE, values).astype(np.uint8)


def is_binary(values: Values) -> bool:
    """Return whether all values are 0 and 255 (or 0 and 65535), and not all are 0.

    >>> is_binary(np.array([0, 255])), is_binary(np.array([0, 1]))
    (True, False)
    """
    return _binary_foreground(values) is not None


def unknown_value(path: Path, present: Values, value: int, labels: int | None) -> DataError:
    """Return the error for a value that a model or data set has no class for.

    Args:
        path: of the mask.
        present: all values of the mask that are not ignored, sorted.
        value: the wrong one.
        labels: number of classes, background included; None where any class index would do.
    """
    odd = [int(v) for v in present if v not in (0, BINARY)]
    if len(present) > MAX_BELIEVED:
        has = f"{len(present)} different values: numbers of objects (an instance mask) or grey levels, not classes"
        return DataError(f"the mask {path} has {has}", mend="Write each pixel's class index (0, 1, ...) into it.")
    if value == BINARY and odd and labels in (None, 2):
        shown = f"value{'s' * (len(odd) > 1)} {', '.join(map(str, odd[:SHOWN]))}"
        return DataError(
            f"the mask {path} has the {shown} besides 0 and {BINARY}: it is neither a binary mask nor class indices",
            mend=_jpeg(path) or f"Mend the mask; or give --map VALUE:CLASS,..., or --ignore-label {BINARY}.",
        )
    has = f"no class index (0 to {HIGHEST_CLASS})" if labels is None else f"beyond the {labels} classes (0 to {labels - 1})"
    mend = "Binary masks have 0 and 255, other masks class indices; --map and --ignore-label define other values."
    return DataError(f"the mask {path} has the value {value}, {has}", mend=_jpeg(path) or mend)


def _rgb(picture: Picture, path: Path) -> Pixels:
    """Return a picture's colours, uint8 [H, W, 3], upright. Transparency is dropped."""
    if picture.low is not None or picture.stored.mode[0] in "IF":
        raise DataError(
            f"the mask {path} has more than 8 bits a channel, and --mask-colours names colours of 8",
            mend="Save the masks with 8 bits a channel.",
        )
    return np.asarray(turn(flatten(picture.stored).convert("RGB"), picture.orientation))


def _jpeg(path: Path) -> str:
    return JPEG_MEND if path.suffix.lower() in JPEG else ""


def _binary_foreground(values: Values) -> int | None:
    """Return 255 or 65535 where it and 0 are the only values; None otherwise."""
    top = int(values.max()) if values.size else 0
    return top if top in (BINARY, HIGHEST_VALUE) and bool(((values == 0) | (values == top)).all()) else None


def _undo_display(values: Pixels, picture: Picture) -> Pixels:
    """Undo what Pillow does to show a grey picture: a stretch of few bits, and an inversion where 0 is white."""
    stretch = next((factor for start, factor in _STRETCH.items() if picture.raw_mode.startswith(start)), 1)
    if values.dtype != np.uint8:
        return values
    shown: Pixels = values // np.uint8(stretch)
    inverted = "I" in picture.raw_mode.partition(";")[2]
    return np.uint8(255 // stretch - shown) if inverted else shown


def _to_integers(values: Pixels, path: Path) -> Values:
    numbers = to_values(values, path)
    if numbers.dtype.kind == "f" and (numbers != np.clip(np.rint(numbers), 0, HIGHEST_VALUE)).any():
        raise DataError(
            f"the mask {path} has values that are no class index", mend=f"Use whole numbers from 0 to {HIGHEST_CLASS}."
        )
    return numbers if numbers.dtype.kind == "u" else numbers.astype(np.uint16)


def _single_channel(colours: Pixels, path: Path) -> Values:
    """Return the one channel of a picture [H, W, channels] whose channels are equal."""
    if (colours != colours[:, :, :1]).any():
        raise DataError(
            f"the mask {path} is a colour picture",
            mend="If colours are classes, name them with --mask-colours; else write class indices into a grey or palette PNG.",
        )
    return np.ascontiguousarray(colours[:, :, 0])


def _drop_alpha(pixels: Pixels, path: Path) -> Values:
    """Return the colour of a picture [H, W, channels] whose last channel, its transparency, must not hold the mask's shape."""
    colour, alpha = _single_channel(pixels[:, :, :-1], path), pixels[:, :, -1]
    hides_some, is_empty = bool(colour[alpha < alpha.max()].any()), not colour.any()
    if (alpha != alpha[0, 0]).any() and (hides_some or is_empty):
        raise DataError(
            f"the mask {path} has its shape in its transparency (alpha channel), which is not read",
            mend="Save it without transparency: grey, 0 for background and 255 or class indices for the rest.",
        )
    return colour
