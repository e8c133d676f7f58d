"""Labels become a DICOM segmentation that other programs read at the same place in the patient."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from tests.support.dicom_files import FRAME_OF_REFERENCE, PATIENT, SERIES, STUDY, multiframe, ramp, save, save_series
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.scans.dicom.cases import list_cases, stack_series
from u3p_edge.scans.dicom.codes import default_codes, read_segment_codes
from u3p_edge.scans.dicom.geometry import Stack
from u3p_edge.scans.dicom.segmentation import write_segmentation
from u3p_edge.scans.dicom.series import read_contents
from u3p_edge.scans.options import ScanOptions

NAMES = ("background", "liver", "tumour")
MODEL = "ab" * 32


def stack_of(folder: Path) -> Stack:
    (series,) = read_contents(folder, ScanOptions()).series
    return stack_series(series)


def some_labels(slices: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Labels 0 to 2, other ones in every slice; the last slice is all background."""
    labels = (ramp(slices) // 3 % 3).astype(np.uint8)
    labels[-1] = 0
    return labels


def write(target: Path, labels: np.ndarray[Any, np.dtype[np.uint8]], stack: Stack, names: tuple[str, ...] = NAMES) -> None:
    write_segmentation(target, labels, stack, names, default_codes(names), MODEL)


@pytest.mark.parametrize("kind", ["slices", "frames"])
def test_labels_are_read_back_where_they_were(kind: str, tmp_path: Path) -> None:
    if kind == "slices":
        save_series(tmp_path / "in", ramp(4))
    else:
        save(multiframe(ramp(4), [5, 0, 7.5, 2.5]), tmp_path / "in" / "one.dcm")
    labels = some_labels(4)
    write(tmp_path / "in" / "seg.dcm", labels, stack_of(tmp_path / "in"))
    (case,) = list_cases(tmp_path / "in", ScanOptions()).cases
    assert np.array_equal(case.read().labels, labels)  # type: ignore[arg-type] # None is equal to nothing


def test_classes_that_overlap_are_segments_of_the_same_pixels(tmp_path: Path) -> None:
    save_series(tmp_path / "in", ramp(3))
    sets = (ramp(3) % 4).astype(np.uint8)
    stack = stack_of(tmp_path / "in")
    write_segmentation(tmp_path / "in" / "seg.dcm", sets, stack, NAMES, default_codes(NAMES), MODEL, multi_label=True)
    (case,) = list_cases(tmp_path / "in", ScanOptions(overlap="keep")).cases
    assert np.array_equal(case.read().labels, sets)  # type: ignore[arg-type] # None is equal to nothing
    with pytest.raises(DataError, match="'liver' and 'tumour' overlap"):
        list_cases(tmp_path / "in", ScanOptions()).cases[0].read()


def test_another_library_reads_the_same_labels_at_the_same_positions(tmp_path: Path) -> None:
    """highdicom's own reading of the volume, whose coordinates are DICOM's (x to the left, y to the back)."""
    import highdicom

    save_series(tmp_path / "in", ramp(4))
    stack, labels = stack_of(tmp_path / "in"), some_labels(4)
    write(tmp_path / "seg.dcm", labels, stack)
    volume = highdicom.seg.segread(tmp_path / "seg.dcm").get_volume(combine_segments=True)
    assert stack.affine is not None
    for voxel in np.argwhere(labels):
        lps = (stack.affine @ [*voxel, 1])[:3] * [-1, -1, 1]
        index = np.rint(np.linalg.solve(volume.affine, [*lps, 1]))[:3].astype(int)
        assert volume.array[tuple(index)] == labels[tuple(voxel)]
    assert (volume.array > 0).sum() == (labels > 0).sum()


def test_what_it_says_of_itself(tmp_path: Path) -> None:
    save_series(tmp_path / "in", ramp(2))
    write(tmp_path / "seg.dcm", some_labels(2), stack_of(tmp_path / "in"))
    dataset = dcmread(tmp_path / "seg.dcm")
    assert (dataset.StudyInstanceUID, dataset.FrameOfReferenceUID) == (STUDY, FRAME_OF_REFERENCE)
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == SERIES
    assert dataset.PatientID == PATIENT["PatientID"]
    assert [segment.SegmentLabel for segment in dataset.SegmentSequence] == ["liver", "tumour"]
    assert dataset.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == MODEL
    code = dataset.SegmentSequence[1].SegmentedPropertyTypeCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("class-2", "99U3PEDGE", "tumour")


def test_names_of_classes_in_any_script(tmp_path: Path) -> None:
    save_series(tmp_path / "in", ramp(1))
    write(tmp_path / "seg.dcm", np.ones((1, 8, 6), np.uint8), stack_of(tmp_path / "in"), ("background", "Leber \\ 肝"))
    assert dcmread(tmp_path / "seg.dcm").SegmentSequence[0].SegmentLabel == "Leber / 肝"


def test_a_mask_without_any_class(tmp_path: Path) -> None:
    save_series(tmp_path / "in", ramp(3))
    labels = np.zeros((3, 8, 6), np.uint8)
    write(tmp_path / "in" / "seg.dcm", labels, stack_of(tmp_path / "in"))
    (case,) = list_cases(tmp_path / "in", ScanOptions()).cases
    assert np.array_equal(case.read().labels, labels)  # type: ignore[arg-type] # None is equal to nothing


def test_images_that_lack_what_a_segmentation_says(tmp_path: Path) -> None:
    save_series(tmp_path / "in", ramp(2), SOPClassUID="1.2.3.4")
    with pytest.raises(DataError, match=r"no segmentation can be written of .*\.dcm and its series"):
        write(tmp_path / "seg.dcm", some_labels(2), stack_of(tmp_path / "in"))
    assert not (tmp_path / "seg.dcm").exists()


def test_codes_of_a_terminology(tmp_path: Path) -> None:
    path = tmp_path / "codes.toml"
    path.write_text('[liver]\ncategory = ["123037004", "SCT", "Body structure"]\ntype = ["10200004", "SCT", "Liver"]\n')
    liver, tumour = read_segment_codes(path, NAMES)
    assert liver.property_type.value == "10200004"
    assert tumour == default_codes(NAMES)[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[lung]\n", "has codes of 'lung', which is no class of the model. It has 'liver', 'tumour'"),
        ("[liver]\n", "needs a category and a type"),
        (
            '[liver]\ncategory = ["1", "SCT", "a"]\ntype = ["12345678901234567", "SCT", "a"]\n',
            "the type of 'liver' is not a code",
        ),
        ("liver", "cannot be read"),
        ("#" * 100_001, "cannot be read: it has more than 100000 characters"),
    ],
)
def test_codes_that_are_none(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "codes.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_segment_codes(path, NAMES)


@pytest.mark.parametrize("kind", ["slices", "frames"])
def test_the_standards_validator_finds_no_error(kind: str, tmp_path: Path) -> None:
    """dciodvfy of dicom3tools has the tables of the standard in it. It warns of codes of a scheme of our own, as it should."""
    validator = shutil.which("dciodvfy") or shutil.which("dciodvfy", path=str(Path(sys.executable).parent))
    if validator is None:
        pytest.skip("dicom3tools is not installed")
    if kind == "slices":
        save_series(tmp_path / "in", ramp(4))
    else:
        save(multiframe(ramp(4), [5, 0, 7.5, 2.5]), tmp_path / "in" / "one.dcm")
    write(tmp_path / "seg.dcm", some_labels(4), stack_of(tmp_path / "in"))
    done = subprocess.run([validator, "-new", tmp_path / "seg.dcm"], capture_output=True, text=True, check=False)
    findings = (done.stdout + done.stderr).splitlines()
    assert findings[0] == "Segmentation", "it has recognised the kind of object"
    assert [line for line in findings[1:] if "99U3PEDGE" not in line] == []
