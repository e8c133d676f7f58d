"""The order of the slices of a series, and where each voxel is in the patient.

Slices are sorted by their distance along the normal of their planes, never by file name or number. What is no stack of equally
spaced, parallel planes is refused, since a slice that is missing would shift all masks beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import DataError
from u3p_edge.scans.dicom.files import first_files
from u3p_edge.scans.dicom.header import DicomFrame

Floats = npt.NDArray[np.float64]

POSITION_STEP = 0.01
"""Millimetres to which writers round positions at worst. Each end of a gap is off by half of it, so a gap by all of it."""

GAP_SHARE = 0.01
"""Share of the spacing by which gaps may differ besides; readers of segmentations in other programs allow as much."""

COSINE_STEP = 1e-4
"""By how much direction cosines may differ: at 512 pixels from the first one that is a twentieth of a pixel."""

_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From DICOM's axes (left, posterior, superior) to NIfTI's (right, anterior, superior)."""


@dataclass(frozen=True)
class Stack:
    """The frames of a volume.

    Args:
        frames: in the order of the volume's slices.
        affine: float64 [4, 4], from (slice, row, column, 1) to mm in patient coordinates, RAS+; None where no frame has a
            position.
    """

    frames: tuple[DicomFrame, ...]
    affine: Floats | None


def stack_frames(frames: Sequence[DicomFrame]) -> Stack:
    """Sort the frames of a series into a volume.

    Args:
        frames: all of one series, or all of one file, in any order. Where none has a position, they stay in their order.

    Raises:
        DataError: frames of several sizes, spacings or orientations, with and without a position, twice at one position, at
            uneven distances, or shifted against each other. The message names the file.
    """
    _check_equal("size in pixels", frames, [np.array(frame.size) for frame in frames], 0)
    _check_equal("spacing of pixels", frames, [np.array(frame.spacing or ()) for frame in frames], POSITION_STEP)
    without = [frame.file for frame in frames if frame.position is None or frame.orientation is None]
    if without:
        if len(without) < len(frames):
            raise DataError(
                f"{first_files(without)}: without a position in the patient, unlike the other files of the series",
                mend="Move images of another kind into a folder of their own.",
            )
        return Stack(tuple(frames), None)
    _check_equal("orientation", frames, [np.array(frame.orientation) for frame in frames], COSINE_STEP)
    normal = _normal(frames[0])
    heights = np.array([np.dot(normal, frame.position) for frame in frames if frame.position])
    order = np.argsort(heights, kind="stable")
    placed = tuple(frames[index] for index in order)
    _check_gaps(placed, heights[order])
    step = _step(placed, normal)
    _check_line(placed, step)
    return Stack(placed, _affine(placed[0], step))


def _affine(first: DicomFrame, step: Floats) -> Floats:
    """Return the affine from the first frame and the vector from a slice to the next (PS3.3, C.7.6.2.1.1), turned to RAS+."""
    orientation = np.array(first.orientation)
    rows, columns = first.spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = orientation[3:] * rows
    affine[:3, 2] = orientation[:3] * columns
    affine[:3, 3] = first.position
    return np.asarray(_RAS @ affine)


def _normal(frame: DicomFrame) -> Floats:
    """Return the unit normal of a frame's plane. Raises DataError where its directions are no two right-angled unit vectors."""
    along_row, along_column = np.array(frame.orientation).reshape(2, 3)
    gram = np.array([along_row @ along_row - 1, along_column @ along_column - 1, along_row @ along_column])
    # Cosines with four digits are off by half a step each; a product of two sums of three is off by three steps at most.
    if np.abs(gram).max() > 3 * COSINE_STEP:
        raise DataError(
            f"{frame.file} has an orientation whose two directions are not at right angles, or not of length 1",
            mend="Mend its ImageOrientationPatient, or leave the series out.",
        )
    normal = np.cross(along_row, along_column)
    return np.asarray(normal / np.linalg.norm(normal))


def _step(placed: Sequence[DicomFrame], normal: Floats) -> Floats:
    """Return the vector from a slice to the next: between the outermost, or along the normal where there is one slice."""
    if len(placed) == 1:
        return normal * placed[0].depth
    first, last = np.array(placed[0].position), np.array(placed[-1].position)
    return np.asarray((last - first) / (len(placed) - 1))


def _check_gaps(placed: Sequence[DicomFrame], heights: Floats) -> None:
    gaps = np.diff(heights)
    if not len(gaps):
        return
    together = np.flatnonzero(gaps <= POSITION_STEP)
    if len(together):
        first, second = placed[together[0]], placed[together[0] + 1]
        raise DataError(
            f"{_name(first)} and {_name(second)} are at one position ({len(together)} such pairs): several time points, "
            "echoes or copies in one series",
            mend="Keep one of them in the folder.",
        )
    usual = float(np.median(gaps))
    odd = np.abs(gaps - usual)
    if odd.max() > POSITION_STEP + GAP_SHARE * usual:
        worst = int(np.argmax(odd))
        missing = round(gaps[worst] / usual) - 1
        cause = f"{missing} slice{'s' * (missing > 1)} may be missing" if missing > 0 else "the slices are not equally spaced"
        raise DataError(
            f"between {_name(placed[worst])} and {_name(placed[worst + 1])} is a gap of {gaps[worst]:.4g} mm, "
            f"and of {usual:.4g} mm between others: {cause}",
            mend="Copy the whole series again, or resample it to equal distances.",
        )


def _check_line(placed: Sequence[DicomFrame], step: Floats) -> None:
    """Raise DataError where a slice is half a pixel or more beside the line of the others, so that no affine fits all."""
    positions = np.array([frame.position for frame in placed])
    expected = positions[0] + np.arange(len(placed))[:, None] * step
    beside = np.abs((positions - expected) @ np.array(placed[0].orientation).reshape(2, 3).T)
    limit = min(placed[0].spacing or (1.0, 1.0)) / 2
    if beside.max() >= limit:
        worst = placed[int(np.argmax(beside.max(axis=1)))]
        raise DataError(
            f"{_name(worst)} is {beside.max():.4g} mm beside the other slices of its series",
            mend="Keep images of one acquisition in the folder.",
        )


def _check_equal(what: str, frames: Sequence[DicomFrame], values: Sequence[npt.NDArray[Any]], tolerance: float) -> None:
    """Raise DataError that names the files whose value is not that of most others."""
    keys = [tuple(np.round(value / tolerance)) if tolerance else tuple(value) for value in values]
    usual = values[keys.index(max(set(keys), key=keys.count))]
    odd = [
        frame
        for frame, value in zip(frames, values, strict=True)
        if len(value) != len(usual) or np.abs(value - usual).max(initial=0) > tolerance
    ]
    if odd:
        files: list[Path] = list(dict.fromkeys(frame.file for frame in odd))
        raise DataError(
            f"{first_files(files)}: of another {what} than the {len(frames) - len(odd)} other images of the series",
            mend="Move images of another kind into a folder of their own.",
        )


def _name(frame: DicomFrame) -> str:
    return f"{frame.file}" if frame.index == 0 else f"{frame.file}, frame {frame.index + 1}"
