"""`data import` says what it wrote, and what it could not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import Program, refusal, run_process
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
