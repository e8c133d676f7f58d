"""DICOM segmentations as labels of the series that they were made of.

The frames of a segmentation are put where their positions say, in any order, and slices without a frame are background. Labels
are whole numbers, one a voxel, so segments of two classes that overlap are refused unless sets of classes are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from u3p_edge.data.labels import HIGHEST_CLASS
from u3p_edge.errors import DataError
from u3p_edge.label_values import value_of
from u3p_edge.scans.dicom.files import name_dicom_file, read_elements
from u3p_edge.scans.dicom.geometry import Stack
from u3p_edge.scans.dicom.header import DicomFrame, Header
from u3p_edge.scans.dicom.pixels import read_segments

Labels = npt.NDArray[np.uint8]

_SAME_PIXEL = 0.5
"""Pixels and slices by which a frame may be off: less than half of one means the nearest."""


def number_classes(segmentations: Sequence[Header]) -> Mapping[str, int]:
    """Return the class of each segment's label, from 1: in the order of the segments' numbers, then of the labels.

    Every file numbers its own segments, so only the label says which are of one class.

    Raises:
        DataError: a segment without a label, two of one label in a file, or too many classes.
    """
    first: dict[str, int] = {}
    for header in segmentations:
        labels = list(header.segments.values())
        if not all(labels) or len(set(labels)) < len(labels) or not labels:
            raise DataError(
                f"{header.file} has segments without a label, or two with the same one", mend="Give each segment its own label."
            )
        for number, label in header.segments.items():
            first[label] = min(number, first.get(label, number))
    if len(first) > HIGHEST_CLASS:
        raise DataError(f"the segmentations have {len(first)} classes, more than {HIGHEST_CLASS}", mend="Merge some of them.")
    return {label: index for index, label in enumerate(sorted(first, key=lambda label: (first[label], label)), start=1)}


def read_labels(segmentations: Sequence[Header], stack: Stack, classes: Mapping[str, int], multi_label: bool = False) -> Labels:
    """Return the labels of a series.

    Args:
        segmentations: made of it.
        stack: its frames.
        classes: the class of each segment's label.
        multi_label: labels are sets of classes, which may overlap (`u3p_edge.label_values`).

    Returns:
        uint8 [slices, H, W]; 0 is background.

    Raises:
        DataError: a segmentation on other voxels than the images, segments of two classes that overlap, two segmentations of
            one class, or a file that is damaged.
    """
    labels = np.zeros((len(stack.frames), *stack.frames[0].size), np.uint8)
    done: dict[str, Path] = {}
    for header in segmentations:
        for label in header.segments.values():
            if label in done:
                raise DataError(
                    f"{header.file} and {done[label]} both segment one class of one series",
                    mend="Keep the one that is meant in the folder.",
                )
            done[label] = header.file
        _add(header, stack, classes, multi_label, labels)
    return labels


def _add(header: Header, stack: Stack, classes: Mapping[str, int], multi_label: bool, labels: Labels) -> None:
    """Write the segments of a file into `labels`."""
    numbers = np.zeros(max(header.segments) + 1, np.uint8)
    for number, label in header.segments.items():
        numbers[number] = value_of(classes[label], multi_label)
    threshold = _threshold(header.file)
    targets = [labels[_slice_of(frame, stack)] for frame in header.frames]  # before any frame takes memory
    for frame, target, stored in zip(header.frames, targets, read_segments(header.file, header.frames), strict=True):
        if frame.segment >= len(numbers) or (not frame.segment and stored.max(initial=0) >= len(numbers)):
            raise DataError(f"{header.file} has a segment that it does not describe", mend="Write the segmentation anew.")
        shown = np.where(stored >= threshold, numbers[frame.segment], 0) if frame.segment else numbers[stored]
        if multi_label:
            target |= shown.astype(np.uint8)
            continue
        overlap = (shown > 0) & (target > 0) & (shown != target)
        if overlap.any():
            names = {index: label for label, index in classes.items()}
            first, second = names[int(target[overlap][0])], names[int(shown[overlap][0])]
            raise DataError(
                f"{header.file}: the segments {first!r} and {second!r} overlap in {int(overlap.sum())} pixels of a slice, "
                "and a mask has one class for each pixel",
                mend="Leave one of them out, or cut the one from the other; --overlap keep is for a model of such classes.",
            )
        np.copyto(target, shown.astype(np.uint8), where=shown > 0)


def _threshold(path: Path) -> float:
    """Return the stored value from which on a pixel belongs to its segment: half of the highest, of a fractional one."""
    with name_dicom_file(path):
        dataset = read_elements(path, ("SegmentationType", "MaximumFractionalValue"))
        return int(dataset.MaximumFractionalValue) / 2 if dataset.get("SegmentationType") == "FRACTIONAL" else 1


def _slice_of(frame: DicomFrame, stack: Stack) -> int:
    """Return the slice that a frame of a segmentation lies on. Raises DataError where it lies on none, or beside its pixels."""
    image = stack.frames[0]
    known = frame.position is not None and frame.orientation is not None and frame.spacing is not None
    if known and stack.affine is not None and frame.size == image.size:
        corners = _corners(frame)
        indices = np.linalg.solve(stack.affine, corners)
        expected = np.array([[0, 0, 0], [0, frame.size[0] - 1, 0], [0, 0, frame.size[1] - 1]], np.float64).T
        off = indices[:3] - expected
        index = round(float(off[0, 0]))
        if np.abs(off - np.array([[index], [0], [0]])).max() < _SAME_PIXEL and 0 <= index < len(stack.frames):
            return index
    raise DataError(
        f"{frame.file}, frame {frame.index + 1}, does not lie on a slice of its series",
        mend="Resample the segmentation to the voxels of its images.",
    )


def _corners(frame: DicomFrame) -> npt.NDArray[np.float64]:
    """Return the centres of a frame's first pixel, of the last of its first column and of its first row: RAS+ mm, [4, 3]."""
    position, orientation = np.array(frame.position), np.array(frame.orientation)
    rows, columns = frame.spacing or (1.0, 1.0)
    down, right = orientation[3:] * rows * (frame.size[0] - 1), orientation[:3] * columns * (frame.size[1] - 1)
    points = np.stack([position, position + down, position + right], axis=1) * np.array([[-1], [-1], [1]])
    return np.vstack([points, np.ones((1, 3))])
