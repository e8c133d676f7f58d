"""Decode the frames of DICOM files into the values that they mean.

Stored numbers become values of the modality (Hounsfield units, activity ...) by the slope and intercept of each frame (PS3.3,
C.11.1). Where 0 is stored for white (MONOCHROME1) they are turned round, so that more is always brighter. A window is applied
only where one is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import DataError, MissingPackageError
from u3p_edge.scans.dicom.codestream import check_codestreams
from u3p_edge.scans.dicom.files import name_dicom_file, read_elements
from u3p_edge.scans.dicom.header import DicomFrame
from u3p_edge.scans.options import Window
from u3p_edge.scans.volume import Voxels, check_memory

if TYPE_CHECKING:
    from pydicom import Dataset

_INTEGERS = (np.uint8, np.uint16, np.int16)
"""Types of voxels: the first that holds every value that the files can have; else float32."""

_PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
"""What a stored number can mean (PS3.3, C.7.6.3.1.2); the others are retired."""


_DECODED_BYTES = 32
"""Of a pixel of one frame at most: 4 of each channel from a decoder, and 8 of each of two results in float64."""


def read_voxels(frames: Sequence[DicomFrame], channels: int, window: Window | None = None) -> Voxels:
    """Decode frames.

    Args:
        frames: in the order of the slices.
        channels: 1 for grey, 3 for colour.
        window: what is shown from black to white, of grey frames; None for all values as they are.

    Returns:
        [slices, H, W], or [slices, H, W, 3] for colour: uint8, uint16 or int16 where all values that the files can hold are
        such whole numbers, uint8 after a window, else float32.

    Raises:
        DataError: pixels that are missing, cut short or damaged, of a kind that is not read, a window that is not there, or
            more voxels than fit into memory.
        MissingPackageError: no decoder of their compression is installed.
    """
    shape, dtype = (len(frames), *frames[0].size, *((3,) if channels == 3 else ())), np.dtype(_dtype(frames, window))
    # The voxels, one copy of them, and the numbers of a frame as they are decoded and rescaled.
    needed = 2 * dtype.itemsize * math.prod(shape) + _DECODED_BYTES * math.prod(shape[1:])
    check_memory(math.prod(shape), needed, frames[0].file)
    voxels = np.empty(shape, dtype)
    for path in dict.fromkeys(frame.file for frame in frames):
        # In the file's order, since decoders go through a file from its beginning.
        placed = sorted(((frame, i) for i, frame in enumerate(frames) if frame.file == path), key=lambda one: one[0].index)
        with name_dicom_file(path):
            dataset = read_elements(path)
            decoded = _decode(path, dataset, [frame for frame, _ in placed])
            for (frame, index), pixels in zip(placed, decoded, strict=True):
                if pixels.shape != voxels.shape[1:]:
                    raise DataError(f"{path} has pixels of another shape than its header says", mend="Copy it again.")
                voxels[index] = pixels if channels == 3 else _to_values(pixels, dataset, frame, window)
    return voxels


def read_segments(path: Path, frames: Sequence[DicomFrame]) -> Iterator[Voxels]:
    """Decode frames of a segmentation, as stored. Raises DataError as `read_voxels`."""
    with name_dicom_file(path):
        yield from _decode(path, read_elements(path), frames)


def _decode(path: Path, dataset: Dataset, frames: Sequence[DicomFrame]) -> Iterator[Voxels]:
    """Decode frames of a file, in their order: [H, W] of stored numbers, or [H, W, 3] of red, green and blue."""
    from pydicom.pixels import apply_color_lut, iter_pixels

    _check_decoder(path, dataset)
    photometric = str(dataset.get("PhotometricInterpretation"))
    if photometric not in _PHOTOMETRIC:
        raise DataError(f"{path} has pixels of the kind {photometric[:16]!r}, which is not read", mend="Convert it to RGB.")
    indices = [frame.index for frame in frames]
    try:
        check_codestreams(path, dataset, indices)
        for pixels in iter_pixels(path, indices=indices):
            if photometric == "PALETTE COLOR":
                colours = apply_color_lut(pixels, dataset)
                yield colours if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8)
            else:
                yield pixels
    except AttributeError:  # pydicom's for an element that is missing
        raise DataError(f"{path} has no pixels, or not what describes them", mend="Copy it again, or remove it.") from None
    except RuntimeError:  # pydicom's after every decoder has failed
        raise DataError(
            f"{path}: its pixels ({dataset.file_meta.TransferSyntaxUID.name}) cannot be decoded: they are damaged, or of a "
            "kind that no installed decoder reads",
            mend="Copy it again, or convert it to a transfer syntax without loss.",
        ) from None


def _check_decoder(path: Path, dataset: Dataset) -> None:
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise DataError(
            f"{path} is compressed as {syntax.name}, which is not read", mend="Convert it to a transfer syntax without loss."
        ) from None
    if not decoder.is_available:
        raise MissingPackageError(
            f"{path} is compressed as {syntax.name}, and no decoder of that is installed",
            mend="Run: python -m pip install 'u3p-edge[dicom]'",
        )


def _to_values(stored: Voxels, dataset: Dataset, frame: DicomFrame, window: Window | None) -> Voxels:
    """Return values of the modality, or after a window 0 to 255, for the stored numbers [H, W] of a grey frame."""
    inverted = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    numbers = stored if frame.stored is None else _drop_unused_bits(stored, dataset)
    if window is not None:
        shown = _apply_window(numbers * frame.slope + frame.intercept, frame, window)
        return np.uint8(255) - shown if inverted else shown
    if inverted and frame.stored is not None:
        numbers = sum(frame.stored) - numbers.astype(np.int64)
    return numbers if (frame.slope, frame.intercept) == (1.0, 0.0) else numbers * frame.slope + frame.intercept


def _drop_unused_bits(stored: Voxels, dataset: Dataset) -> Voxels:
    """Return numbers without the bits above and below those that are in use, which may hold an overlay; signs are kept."""
    width = 8 * stored.dtype.itemsize
    bits = int(dataset.BitsStored)
    above = width - 1 - int(dataset.get("HighBit", bits - 1))
    if not 0 <= above <= width - bits:
        raise DataError(f"it has {bits} bits of {width} in use, and its highest bit is no such", mend="Copy it again.")
    return (stored << above) >> (width - bits)


def _apply_window(values: npt.NDArray[np.float64], frame: DicomFrame, window: Window) -> npt.NDArray[np.uint8]:
    """Return uint8 by the linear function of PS3.3, C.11.2.1.2.1."""
    limits = frame.window if window == "file" else window
    if limits is None:
        raise DataError(
            f"{frame.file} has no linear window, and --window file takes it from there", mend="Give --window CENTER,WIDTH."
        )
    center, width = limits
    share = (values - (center - 0.5)) / max(width - 1, np.finfo(np.float64).tiny) + 0.5
    return np.asarray(np.rint(255 * np.clip(share, 0, 1)), np.uint8)


def _dtype(frames: Sequence[DicomFrame], window: Window | None) -> type[np.generic]:
    if window is not None:
        return np.uint8
    ends = [frame.slope * end + frame.intercept for frame in frames for end in frame.stored or (np.nan,)]
    whole = all(float(frame.slope).is_integer() and float(frame.intercept).is_integer() for frame in frames)
    if not whole or not np.isfinite(ends).all():
        return np.float32
    fits = (t for t in _INTEGERS if np.iinfo(t).min <= min(ends) and max(ends) <= np.iinfo(t).max)
    return next(fits, np.float32)
