"""Write labels as a DICOM segmentation of the series that they belong to (PS3.3, A.51), one segment for each class.

The standard puts a segmentation into the study of its images, so it has their patient, study and frame of reference: it is as
confidential as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from u3p_edge import __version__
from u3p_edge.errors import DataError, require_packages
from u3p_edge.files.atomic import atomic_path
from u3p_edge.label_values import has_class
from u3p_edge.scans.dicom.codes import SegmentCode, to_long_string
from u3p_edge.scans.dicom.files import read_elements
from u3p_edge.scans.dicom.geometry import Stack

if TYPE_CHECKING:
    from pydicom import Dataset

PROGRAM = "u3p_edge"

_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"),
    "ReferringPhysicianName",
)
"""What an image must have and may have empty (type 2); some have it not at all."""

_SEXES = ("M", "F", "O")
_SERIES_OFFSET = 1000
"""Added to the number of the images' series, so that the segmentation's is listed after all of the scanner's."""


@require_packages("writing DICOM segmentations")
def write_segmentation(
    target: Path,
    labels: npt.NDArray[np.uint8],
    stack: Stack,
    class_names: Sequence[str],
    codes: Sequence[SegmentCode],
    model_version: str,
    multi_label: bool = False,
) -> None:
    """Write labels as a DICOM segmentation.

    Args:
        target: a .dcm file, written whole or not at all.
        labels: uint8 [slices, H, W], in the order of the stack; see `u3p_edge.label_values`.
        stack: the frames of the series.
        class_names: of the labels, background first.
        codes: one for each class but the background.
        model_version: the sha256 of the model, which the segmentation names as the version of its algorithm.
        multi_label: the classes of labels may overlap, as segments may.

    Raises:
        DataError: the images lack what a segmentation of them must say. ArtifactError: the file cannot be written.
        MissingPackageError: highdicom is not installed.
    """
    from highdicom import UID
    from highdicom.seg import Segmentation

    sources, pixels = _order_by_source(labels, stack)
    if multi_label:  # a segment for each channel
        members = [has_class(pixels, label, multi_label) for label in range(1, len(class_names))]
        pixels = np.stack(members, axis=-1).astype(np.uint8)
    ascii_only = all(name.isascii() for name in class_names)
    try:
        segmentation = Segmentation(
            source_images=sources,
            pixel_array=pixels,
            segmentation_type="BINARY",
            segment_descriptions=_describe_segments(class_names, codes, model_version),
            series_instance_uid=UID(),
            series_number=_SERIES_OFFSET + max(0, int(sources[0].get("SeriesNumber") or 0)),
            sop_instance_uid=UID(),
            instance_number=1,
            manufacturer=PROGRAM,
            manufacturer_model_name=PROGRAM,
            software_versions=__version__,
            device_serial_number=model_version,
            series_description=f"{PROGRAM} segmentation",
            **({} if ascii_only else {"specific_character_set": "ISO_IR 192"}),
        )
    # highdicom raises any of these for images that lack what it copies; its messages may quote what they hold.
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise DataError(
            f"no segmentation can be written of {stack.frames[0].file} and its series: its files lack what one must say "
            f"({type(error).__name__})",
            mend="Import the series, and predict its slices as pictures; or mend the files.",
        ) from None
    with atomic_path(target) as partial:
        segmentation.save_as(partial, enforce_file_format=True)


def _order_by_source(labels: npt.NDArray[np.uint8], stack: Stack) -> tuple[list[Dataset], npt.NDArray[np.uint8]]:
    """Return the images without their pixels, and the labels in the order of these, or of the frames of the only one."""
    files = list(dict.fromkeys(frame.file for frame in stack.frames))
    sources = [_read_source(path) for path in files]
    if len(files) == len(stack.frames):
        return sources, labels
    if len(files) > 1:
        raise DataError(
            f"no segmentation can be written of {files[0]} and its series: it has several files of several frames each",
            mend="Import the series, and predict its slices as pictures.",
        )
    pixels = np.empty_like(labels)
    pixels[[frame.index for frame in stack.frames]] = labels
    return sources, pixels


def _read_source(path: Path) -> Dataset:
    dataset = read_elements(path)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    if dataset.PatientSex not in _SEXES:
        dataset.PatientSex = ""
    return dataset


def _describe_segments(class_names: Sequence[str], codes: Sequence[SegmentCode], model_version: str) -> list[Any]:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes as terminology

    algorithm = AlgorithmIdentificationSequence(
        name=PROGRAM, family=terminology.DCM.ArtificialIntelligence, version=model_version, source=PROGRAM
    )
    return [
        SegmentDescription(
            segment_number=number,
            segment_label=to_long_string(name),
            segmented_property_category=CodedConcept(code.category.value, code.category.scheme, code.category.meaning),
            segmented_property_type=CodedConcept(
                code.property_type.value, code.property_type.scheme, code.property_type.meaning
            ),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for number, (name, code) in enumerate(zip(class_names[1:], codes, strict=True), start=1)
    ]
