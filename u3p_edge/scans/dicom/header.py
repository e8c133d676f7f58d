"""What a DICOM file says of its frames, without their pixels, as plain values that were checked.

An enhanced file (PS3.3, C.7.6.16) describes each frame in a functional group, of the frame or shared by all; any other file
describes its only frame, or all of its frames at once, at its top level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from u3p_edge.errors import DataError
from u3p_edge.scans.dicom.files import name_dicom_file, read_elements

if TYPE_CHECKING:
    from pydicom import Dataset

Vector = tuple[float, float, float]
Pair = tuple[float, float]
Value = TypeVar("Value")

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes of segmentations: segments one by one, or as a label map."""

MAX_FRAMES = 1 << 16
"""Most frames of one file: a damaged number would fill the memory with descriptions."""

MAX_BITS = 32
"""Most bits of a stored integer."""

MAX_SEGMENT = (1 << 16) - 1
"""Highest number of a segment: its value representation has 16 bits (PS3.3, C.8.20.4)."""

_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "IssuerOfPatientID", "Modality"),
    *("ImageType", "InstanceNumber", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness"),
    *("SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("BitsStored", "PixelRepresentation"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "SegmentSequence", "ReferencedSeriesSequence"),
)


@dataclass(frozen=True)
class DicomFrame:
    """One image plane of a file, without its pixels.

    Args:
        file: the file.
        index: of the frame in its file, from 0.
        size: (rows, columns).
        position: of the first pixel's centre, in mm in patient coordinates as DICOM has them (LPS); None where there is none.
        orientation: directions along a row and along a column, as 6 numbers; None where there is none.
        spacing: mm between rows and between columns; None where it is not known.
        depth: mm to the next slice where there is no other to tell it, from the file; 1 where it says nothing.
        stored: the lowest and the highest number that its bits can hold; None for real numbers.
        slope, intercept: from stored numbers to values of the modality.
        window: (center, width) for display; None where there is none, or one that is not linear.
        segment: the number of the segment that a frame of a segmentation shows; 0 for none or for a label map.
    """

    file: Path
    index: int
    size: tuple[int, int]
    position: Vector | None = None
    orientation: tuple[float, ...] | None = None
    spacing: Pair | None = None
    depth: float = 1.0
    stored: tuple[int, int] | None = None
    slope: float = 1.0
    intercept: float = 0.0
    window: Pair | None = None
    segment: int = 0


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Args:
        file: the file.
        sop_class: what kind of object it is, a UID.
        instance, series, study: UIDs.
        patient: identifier and who issued it; empty where the file has none. It is for grouping alone, and is never written.
        modality: e.g. "CT".
        localizer: it is a scout, from which the other images were planned.
        number: in its series; 0 where it has none.
        channels: 1, or 3 for colour.
        frames: in the file's order; empty for what is no image.
        segments: label by number, of a segmentation.
        refers_to: the series that a segmentation was made of, a UID; empty where it does not say.
    """

    file: Path
    sop_class: str
    instance: str
    series: str
    study: str
    patient: str
    modality: str
    localizer: bool
    number: int
    channels: int
    frames: tuple[DicomFrame, ...]
    segments: Mapping[int, str]
    refers_to: str

    @property
    def is_segmentation(self) -> bool:
        """Whether it is a DICOM segmentation."""
        return self.sop_class in SEGMENTATIONS


def read_header(path: Path) -> Header:
    """Read what a file says of itself. Raises DataError where it cannot be read, or says something that cannot be."""
    dataset = read_elements(path, _KEYWORDS)
    with name_dicom_file(path):
        sop_class = str(dataset.get("SOPClassUID", ""))
        is_image = sop_class in SEGMENTATIONS or _is_image_class(sop_class)
        return Header(
            file=path,
            sop_class=sop_class,
            instance=_uid(dataset, "SOPInstanceUID", path),
            series=_uid(dataset, "SeriesInstanceUID", path),
            study=str(dataset.get("StudyInstanceUID") or ""),
            patient="\\".join(str(dataset.get(word) or "").strip() for word in ("PatientID", "IssuerOfPatientID")).strip("\\"),
            modality=str(dataset.get("Modality") or ""),
            localizer="LOCALIZER" in [str(word).upper() for word in _many(dataset.get("ImageType"))],
            number=int(dataset.get("InstanceNumber") or 0),
            channels=3 if _is_colour(dataset) else 1,
            frames=_read_frames(dataset, path) if is_image and dataset.get("Rows") else (),
            segments=_read_segments(dataset, path),
            refers_to=_referenced_series(dataset),
        )


def _is_image_class(uid: str) -> bool:
    """Return whether a kind of object is an image: it is named so, or it is a maker's own."""
    from pydicom.uid import UID

    name = UID(uid).name
    return name == uid or "Image Storage" in name


def _is_colour(dataset: Dataset) -> bool:
    return int(dataset.get("SamplesPerPixel") or 1) == 3 or dataset.get("PhotometricInterpretation") == "PALETTE COLOR"


def _referenced_series(dataset: Dataset) -> str:
    listed = list(dataset.get("ReferencedSeriesSequence") or ())
    return str(listed[0].get("SeriesInstanceUID", "")) if len(listed) == 1 else ""


def _uid(dataset: Dataset, keyword: str, path: Path) -> str:
    value = str(dataset.get(keyword) or "")
    if not value:
        raise DataError(f"{path} has no {keyword}, so it cannot be put into a series", mend="Copy it again, or remove it.")
    return value


def _read_segments(dataset: Dataset, path: Path) -> Mapping[int, str]:
    """Return the label of each segment by its number; 0 is the background of a label map, which is no segment here."""
    segments = {int(one.SegmentNumber): str(one.get("SegmentLabel") or "") for one in dataset.get("SegmentSequence") or ()}
    outside = [number for number in segments if not 0 <= number <= MAX_SEGMENT]
    if outside:
        raise DataError(f"{path} has a segment of the number {outside[0]}, not 1 to {MAX_SEGMENT}", mend="Write it anew.")
    return {number: label for number, label in segments.items() if number}


def _read_frames(dataset: Dataset, path: Path) -> tuple[DicomFrame, ...]:
    rows, columns = int(dataset.Rows), int(dataset.get("Columns") or 0)
    count = int(dataset.get("NumberOfFrames") or 1)
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    if min(rows, columns) < 1:
        raise DataError(f"{path} has {rows}x{columns} pixels", mend="Copy it again from where it came.")
    if not 0 < count <= MAX_FRAMES or (groups and len(groups) != count):
        described = f" and describes {len(groups)}" if groups else ""
        raise DataError(
            f"{path} says that it has {count} frames{described}; between 1 and {MAX_FRAMES} are read",
            mend="Copy it again from where it came.",
        )
    shared = [*(dataset.get("SharedFunctionalGroupsSequence") or ())][:1]
    return tuple(_read_frame(_Levels((*groups[i : i + 1], *shared), dataset), path, i, (rows, columns)) for i in range(count))


@dataclass(frozen=True)
class _Levels:
    """Where a frame's attributes are looked for: its functional group, the shared one, the file's top level."""

    groups: Sequence[Dataset]
    top: Dataset

    def value(self, sequence: str, keyword: str) -> Any:
        """Return an attribute of the first item of a group's sequence, else of the top level; None where it is nowhere."""
        for group in self.groups:
            items = group.get(sequence)
            if items and items[0].get(keyword) is not None:
                return items[0].get(keyword)
        return self.top.get(keyword)


def _read_frame(levels: _Levels, path: Path, index: int, size: tuple[int, int]) -> DicomFrame:
    numbers = _reader(path)
    position = numbers(levels.value("PlanePositionSequence", "ImagePositionPatient"), 3)
    orientation = numbers(levels.value("PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    spacing = numbers(levels.value("PixelMeasuresSequence", "PixelSpacing"), 2) or numbers(
        levels.top.get("ImagerPixelSpacing"), 2
    )
    depths = (levels.value("PixelMeasuresSequence", word) for word in ("SpacingBetweenSlices", "SliceThickness"))
    slope, intercept = (
        numbers(levels.value("PixelValueTransformationSequence", word), 1) for word in ("RescaleSlope", "RescaleIntercept")
    )
    if spacing and min(spacing) <= 0:
        raise DataError(f"{path} has pixels of no size", mend="Mend its PixelSpacing, or leave the series out.")
    return DicomFrame(
        path,
        index,
        size,
        position=None if position is None else (position[0], position[1], position[2]),
        orientation=orientation,
        spacing=None if spacing is None else (spacing[0], spacing[1]),
        depth=next((abs(depth[0]) for depth in (numbers(one, 1) for one in depths) if depth and depth[0]), 1.0),
        stored=_stored_range(levels.top),
        # Some files have 0 or nothing for what they mean to be 1.
        slope=slope[0] if slope and slope[0] else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        window=_window(levels, numbers),
        segment=int(levels.value("SegmentIdentificationSequence", "ReferencedSegmentNumber") or 0),
    )


def _stored_range(dataset: Dataset) -> tuple[int, int] | None:
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        return 0, 255  # of the colours that the palette gives
    bits, signed = dataset.get("BitsStored"), dataset.get("PixelRepresentation")
    if not bits or not 0 < int(bits) <= MAX_BITS:
        return None
    span = 1 << int(bits)
    return (-span // 2, span // 2 - 1) if signed else (0, span - 1)


def _window(levels: _Levels, numbers: Callable[[Any, int], tuple[float, ...] | None]) -> Pair | None:
    center, width = (
        numbers(_many(levels.value("FrameVOILUTSequence", word))[:1] or None, 1) for word in ("WindowCenter", "WindowWidth")
    )
    function = str(levels.value("FrameVOILUTSequence", "VOILUTFunction") or "LINEAR")
    return (center[0], width[0]) if center and width and width[0] >= 1 and function == "LINEAR" else None


def _reader(path: Path) -> Callable[[Any, int], tuple[float, ...] | None]:
    def numbers(value: Any, count: int) -> tuple[float, ...] | None:
        """Return that many finite numbers; None where there are none."""
        listed = [float(one) for one in _many(value)]
        if not listed:
            return None
        if len(listed) != count or not all(map(math.isfinite, listed)):
            raise DataError(f"{path} has numbers of its geometry or its values that cannot be", mend="Copy it again.")
        return tuple(listed)

    return numbers


def _many(value: Any) -> list[Any]:
    """Return the values of an element that may have none, one or several."""
    if value is None or value == "":
        return []
    return [value] if isinstance(value, (str, int, float)) else list(value)
