"""The series of a DICOM folder as cases, under names that show nothing of a patient."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from u3p_edge.errors import DataError
from u3p_edge.scans.case import Case, CaseList, LabelledVolume
from u3p_edge.scans.dicom.files import first_files
from u3p_edge.scans.dicom.geometry import Stack, stack_frames
from u3p_edge.scans.dicom.labels import number_classes, read_labels
from u3p_edge.scans.dicom.pixels import read_voxels
from u3p_edge.scans.dicom.pseudonyms import patient_pseudonym, read_key
from u3p_edge.scans.dicom.series import ImageSeries, read_contents
from u3p_edge.scans.options import MAX_VOXELS, ScanOptions
from u3p_edge.scans.overlap import keeps_overlap
from u3p_edge.scans.volume import Volume

LAYOUT = "a folder of DICOM files, with folders inside it or without, perhaps with DICOM segmentations of them"


def list_cases(source: Path, options: ScanOptions) -> CaseList:
    """List the series of a DICOM file or folder; their pixels are not read.

    Raises:
        DataError: see `series.read_contents`, `labels.number_classes` and `keeps_overlap`. ConfigError: no key for the
            patients' names.
    """
    contents = read_contents(source, options)
    key = read_key(options.pseudonym_key)
    classes = number_classes([header for series in contents.series for header in series.segmentations])
    cases = tuple(
        Case(
            series.name,
            patient_pseudonym(series.patient, key),
            bool(series.segmentations),
            partial(read_series, series, options, classes),
        )
        for series in contents.series
    )
    multi_label = keeps_overlap(tuple(classes), options, source)
    return CaseList(cases, ("background", *classes) if classes else (), notes=contents.notes, multi_label=multi_label)


def read_series(series: ImageSeries, options: ScanOptions, classes: Mapping[str, int] | None = None) -> LabelledVolume:
    """Read the voxels of a series, and its labels where it has a segmentation.

    Args:
        series: from `read_contents`.
        options: the window, how many voxels are allowed, and whether classes may overlap.
        classes: the class of each segment's label; None to read no labels.

    Raises:
        DataError: as `stack_series`, `read_voxels` and `read_labels`; names the file.
    """
    stack = stack_series(series, options.max_voxels)
    channels = series.images[0].channels
    volume = Volume(read_voxels(stack.frames, channels, options.window), stack.affine)
    if not (classes and series.segmentations):
        return LabelledVolume(volume)
    multi_label = keeps_overlap(tuple(classes), options, series.images[0].file)
    return LabelledVolume(volume, read_labels(series.segmentations, stack, classes, multi_label))


def stack_series(series: ImageSeries, max_voxels: int = MAX_VOXELS) -> Stack:
    """Sort the frames of a series into a volume. Raises DataError where they are none, or have more voxels than allowed."""
    colours = [header.file for header in series.images if header.channels != series.images[0].channels]
    if colours:
        raise DataError(
            f"{first_files(colours)}: grey and colour in one series", mend="Move images of another kind into another folder."
        )
    frames = [frame for header in series.images for frame in header.frames]
    voxels = sum(frame.size[0] * frame.size[1] for frame in frames) * series.images[0].channels
    if voxels > max_voxels:
        raise DataError(
            f"the series of {series.images[0].file} has {voxels:,} voxels, more than the limit of {max_voxels:,}",
            mend="Choose one series with --series, or allow more with --max-voxels where memory suffices.",
        )
    return stack_frames(frames)
