"""`data import` says what it wrote, and what it could not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import Program, refusal, run_process
from tests.support.dicom_files import PATIENT, find_patient, ramp, save, save_series, segmentation
from tests.support.missing_packages import blocking
from tests.support.nifti_files import nifti_folder


def test_a_folder_is_imported_and_checked(program: Program, tmp_path: Path) -> None:
    source = nifti_folder(tmp_path / "nifti")
    done = program("data", "import", source, "--out", tmp_path / "out", "--axis", "sagittal", "--dry-run")
    assert (done.code, (tmp_path / "out").exists()) == (0, False), done.err
    assert "36 images and masks would be written" in done.out
    done = program("data", "import", source, "--out", tmp_path / "out", "--axis", "sagittal")
    assert done.code == 0, done.err
    assert "36 images and masks in" in done.out
    assert "3 scans of NIfTI" in done.out
    assert "0.5 3 0.75" in done.out, "millimetres between slices, rows and columns"
    assert program("data", "check", tmp_path / "out").code == 0


@pytest.mark.parametrize("name", ["folder", "file.txt"])
def test_a_source_of_no_kind_lists_the_kinds(program: Program, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("no scan") if path.suffix else path.mkdir()
    message = refusal(program("data", "import", path, "--out", tmp_path / "out"))
    assert all(kind in message for kind in ("nnU-Net", "MSD", "NIfTI"))
    assert not (tmp_path / "out").exists()


def test_without_nibabel_the_extra_is_named(tmp_path: Path) -> None:
    source = nifti_folder(tmp_path / "nifti", cases=1)
    code = blocking(("nibabel",)) + "from u3p_edge.cli.main import main; main()"
    message = refusal(run_process("data", "import", source, "--out", tmp_path / "out", code=code))
    assert message.endswith("Run: python -m pip install 'u3p-edge[nifti]'")
    assert not (tmp_path / "out").exists()


def test_a_dicom_folder_leaves_no_patient_data(program: Program, tmp_path: Path) -> None:
    """Neither in the data folder, in names or in bytes, nor on the terminal; the source's folder is named after the patient."""
    source = tmp_path / PATIENT["PatientName"]
    save_series(source, ramp(3), RescaleSlope=1, RescaleIntercept=-1024)
    labels = segmentation(ramp(1, dtype="uint8") % 2, [2.5], ["liver"])
    save(labels, source / PATIENT["PatientID"] / "labels.dcm")
    done = program("data", "import", source, "--out", tmp_path / "scans")
    assert done.code == 0, done.err
    assert "classes: 0 background, 1 liver" in done.out
    assert "2.5 0.5 0.75" in done.out
    assert program("data", "check", tmp_path / "scans").code == 0
    assert find_patient(tmp_path / "scans", done.out + done.err) == []


def test_a_window_that_is_none(program: Program, tmp_path: Path) -> None:
    save_series(tmp_path / "series", ramp(1))
    message = refusal(program("data", "import", tmp_path / "series", "--out", tmp_path / "out", "--window", "40"))
    assert message == "--window: '40' is no window. Give CENTER,WIDTH with a width of 1 or more, or file."
