"""What the description of a TIFF says of its pages: which are slices, which are channels or time points, and their spacing.

ImageJ writes lines `key=value`, and pages with the channel running fastest, then the slice, then the time point. OME writes
XML, whose element Pixels names their order (OME-TIFF 6.0). Pages of any other program are slices.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from u3p_edge.data.pages import PageDescription
from u3p_edge.errors import DataError
from u3p_edge.scans.volume import Affine

Pages = tuple[tuple[int, ...], ...]

_MILLIMETRES = {
    "m": 1e3,
    "cm": 10.0,
    "mm": 1.0,
    "nm": 1e-6,
    "å": 1e-7,
    "inch": 25.4,
    "in": 25.4,
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "\\u00b5m"), 1e-3),
}
"""Of the units that these programs write, in lower case."""

_RESOLUTION_UNITS = {2: "inch", 3: "cm"}
"""Of the tag ResolutionUnit (TIFF 6.0, section 8)."""

_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b([^>]*)>")
_ATTRIBUTE = re.compile(r'\b(\w+)\s*=\s*"([^"]*)"')


def read_layout(description: PageDescription, path: Path) -> Pages:
    """Return, for each channel or time point that can be chosen, the pages of its slices.

    Time points are slices where each has only one slice.

    Args:
        description: of the file.
        path: of the file, for messages.

    Raises:
        DataError: the description counts other pages than the file has.

    >>> read_layout(PageDescription(4, (8, 8), 1, "ImageJ=1.54\\nchannels=2\\nslices=2\\n", (0, 0), 0), Path("a.tif"))
    ((0, 2), (1, 3))
    """
    sizes, order = _sizes(description, path)
    counted = math.prod(sizes.values())
    if counted != description.pages or min(sizes.values()) < 1:
        raise DataError(
            f"{path} has {description.pages} pages, and its description counts {counted}",
            mend="If it is one of several files, or larger than 4 GB, save it as one BigTIFF file, page by page.",
        )
    steps = dict(zip(order, itertools.accumulate([1, *(sizes[axis] for axis in order[:-1])], lambda a, b: a * b), strict=True))
    along = "Z" if sizes["Z"] > 1 else "T"
    others = [axis for axis in "CTZ" if axis != along]
    chosen = itertools.product(*(range(sizes[axis]) for axis in others))
    starts = sorted(sum(steps[axis] * index for axis, index in zip(others, indices, strict=True)) for indices in chosen)
    return tuple(tuple(start + steps[along] * index for index in range(sizes[along])) for start in starts)


def read_affine(description: PageDescription) -> Affine | None:
    """Return the affine of a stack, in millimetres, as if it were of axial slices from foot to head, since no TIFF says more.

    None where it does not say all three.
    """
    spacing = _ome_spacing(description.text) if _is_ome(description.text) else _imagej_spacing(description)
    if spacing is None or not all(math.isfinite(one) and one > 0 for one in spacing):
        return None
    between, rows, columns = spacing
    return np.array([[0, 0, -columns, 0], [0, -rows, 0, 0], [between, 0, 0, 0], [0, 0, 0, 1]], np.float64)


def _sizes(description: PageDescription, path: Path) -> tuple[Mapping[str, int], str]:
    """Return the numbers of channels, slices and time points, and the order of these axes, the fastest first."""
    if _is_imagej(description.text):
        values = _imagej_values(description.text)
        given = {axis: _count(values.get(key, "1")) for axis, key in (("C", "channels"), ("Z", "slices"), ("T", "frames"))}
        if math.prod(given.values()) == 1:  # older versions count images alone
            given["Z"] = _count(values.get("images", "1"))
        if description.samples > 1:
            given["C"] = 1  # they are in the pixels
        return given, "CZT"
    if _is_ome(description.text):
        several = _PIXELS.findall(description.text)
        if len(several) != 1:
            raise DataError(f"{path} holds {len(several)} images by its description", mend="Save each into a file of its own.")
        attributes = dict(_ATTRIBUTE.findall(several[0]))
        given = {axis: _count(attributes.get(f"Size{axis}", "1")) for axis in "CZT"}
        order = attributes.get("DimensionOrder", "")[2:]
        if sorted(order) != sorted("CZT"):
            raise DataError(f"{path} has an order of pages that is not known: {order!r}", mend="Save it anew.")
        return {**given, "C": max(1, given["C"] // description.samples)}, order
    return {"C": 1, "Z": description.pages, "T": 1}, "CZT"


def _imagej_spacing(description: PageDescription) -> tuple[float, float, float] | None:
    """Return millimetres between slices, rows and columns by ImageJ's lines and the resolution of the TIFF."""
    if not _is_imagej(description.text) or not all(description.pixels_per_unit):
        return None
    values = _imagej_values(description.text)
    unit = _MILLIMETRES.get(values.get("unit", _RESOLUTION_UNITS.get(description.unit, "")).lower())
    between = _number(values.get("spacing", ""))
    if unit is None or between is None:
        return None
    return between * unit, unit / description.pixels_per_unit[0], unit / description.pixels_per_unit[1]


def _ome_spacing(text: str) -> tuple[float, float, float] | None:
    pixels = _PIXELS.search(text)
    attributes = dict(_ATTRIBUTE.findall(pixels[1])) if pixels else {}
    lengths = []
    for axis in "ZYX":
        length = _number(attributes.get(f"PhysicalSize{axis}", ""))
        unit = _MILLIMETRES.get(attributes.get(f"PhysicalSize{axis}Unit", "µm").lower())
        if length is None or unit is None:
            return None
        lengths.append(length * unit)
    return lengths[0], lengths[1], lengths[2]


def _is_imagej(text: str) -> bool:
    return text.startswith("ImageJ=")


def _is_ome(text: str) -> bool:
    return "<OME" in text or "<ome:OME" in text


def _imagej_values(text: str) -> Mapping[str, str]:
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in text.splitlines())}


def _count(text: str) -> int:
    """Return a number of pages; -1 for what is none, which no file has."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
