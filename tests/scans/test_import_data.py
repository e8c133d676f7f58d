"""What is imported is a sound data folder with every slice, value, label and patient of the source, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.nifti_files import RAS, label_voxels, nifti_folder, save_nifti, scan_voxels
from tests.support.recorded_progress import RecordedProgress
from u3p_edge.data.check import check_data
from u3p_edge.data.folder import read_folder
from u3p_edge.data.images import read_native
from u3p_edge.data.masks import read_values
from u3p_edge.data.volumes import read_axis
from u3p_edge.errors import ArtifactError, DataError
from u3p_edge.scans.import_data import import_data
from u3p_edge.scans.nifti_file import read_nifti
from u3p_edge.scans.options import ScanOptions


def test_a_nifti_folder_becomes_a_sound_data_folder(tmp_path: Path) -> None:
    result = import_data(nifti_folder(tmp_path / "nifti"), tmp_path / "out")
    assert (result.kind, result.slices, result.labelled, result.notes) == ("NIfTI", 12, True, ())
    report = check_data(tmp_path / "out")
    assert report.problems == ()
    assert (report.labels, report.group_column, dict(report.sizes)) == (3, "patient", {"10x12": 12})
    assert sum(report.groups.values()) == 3
    for case in ("p0", "p1", "p2"):
        image, mask = (read_nifti(tmp_path / "nifti" / kind / f"{case}.nii.gz", ScanOptions()) for kind in ("images", "labels"))
        for index in range(4):
            name = f"{case}_s{index:03}.png"
            np.testing.assert_array_equal(read_native(tmp_path / "out" / "images" / name)[:, :, 0], image.voxels[index])
            np.testing.assert_array_equal(read_values(tmp_path / "out" / "masks" / name), mask.voxels[index])


def test_where_slices_lie_is_kept(tmp_path: Path) -> None:
    import_data(nifti_folder(tmp_path / "nifti"), tmp_path / "out", ScanOptions("coronal"))
    kept = json.loads((tmp_path / "out" / "source.json").read_text())
    assert (kept["kind"], kept["axis"], read_axis(tmp_path / "out")) == ("NIfTI", "coronal", "coronal")
    case = kept["cases"]["p1"]
    assert (case["slices"], case["size"], case["spacing_mm"]) == (10, [4, 12], [0.75, 3.0, 0.5])
    # Slice 0 is the frontmost, its first row the topmost, its first column the rightmost: voxel [11, 9, 3] of the file.
    np.testing.assert_allclose(np.array(case["affine"])[:3, 3], (RAS @ [11, 9, 3, 1])[:3])


@pytest.mark.parametrize(
    ("voxels", "mode"),
    [
        (np.arange(24).reshape(4, 3, 2).astype(np.uint8), "grey uint8"),
        (np.arange(24).reshape(4, 3, 2).astype(np.int16), "grey uint16"),
        (np.arange(24).reshape(4, 3, 2).astype(np.float32), "grey uint16"),
        (np.arange(24).reshape(4, 3, 2).astype(np.int16) - 1024, "grey float32"),
        (np.arange(24).reshape(4, 3, 2).astype(np.float32) / 8, "grey float32"),
    ],
)
def test_intensities_are_kept(tmp_path: Path, voxels: np.ndarray, mode: str) -> None:
    save_nifti(tmp_path / "in" / "images" / "a.nii", voxels)
    save_nifti(tmp_path / "in" / "labels" / "a.nii", (voxels > voxels.mean()).astype(np.uint8))
    import_data(tmp_path / "in", tmp_path / "out")
    report = check_data(tmp_path / "out")
    assert (dict(report.modes), report.problems) == ({mode: 2}, ())
    read = np.concatenate([read_native(s.image).ravel() for s in read_folder(tmp_path / "out").samples])
    np.testing.assert_array_equal(np.sort(read), np.sort(voxels.ravel()))  # all of them float32 numbers


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path) -> None:
    progress = RecordedProgress()
    result = import_data(nifti_folder(tmp_path / "nifti"), tmp_path / "out", dry_run=True, progress=progress)
    assert result.slices == 12
    assert (progress.stages, progress.done["Import scans"]) == ([("Import scans", 3)], 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nifti"]


def test_an_error_midway_leaves_nothing(tmp_path: Path) -> None:
    source = nifti_folder(tmp_path / "nifti")
    last = source / "labels" / "p2.nii.gz"
    last.write_bytes(last.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"p2\.nii\.gz is cut short"):
        import_data(source, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nifti"]


def test_a_folder_that_holds_files_is_left_alone(tmp_path: Path) -> None:
    source = nifti_folder(tmp_path / "nifti")
    (tmp_path / "out").mkdir()
    import_data(source, tmp_path / "out")  # empty, so it is used
    before = sorted(path.name for path in (tmp_path / "out").iterdir())
    with pytest.raises(ArtifactError, match="is not empty"):
        import_data(source, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == before


@pytest.mark.parametrize("shift", [0.5, 0.0])
def test_labels_that_lie_elsewhere_are_refused(tmp_path: Path, shift: float) -> None:
    """Half a voxel along x; or another size."""
    source = nifti_folder(tmp_path / "nifti")
    moved = RAS.copy()
    moved[0, 3] += shift * RAS[0, 0]
    voxels = label_voxels(1) if shift else label_voxels(1)[:-1]
    save_nifti(source / "labels" / "p1.nii.gz", voxels, moved)
    with pytest.raises(DataError, match=r"labels/p1\.nii\.gz .* image .*images/p1\.nii\.gz"):
        import_data(source, tmp_path / "out")


def test_labels_of_another_orientation_are_turned_with_their_image(tmp_path: Path) -> None:
    """The same voxels of the patient, stored from left to right and from right to left."""
    save_nifti(tmp_path / "in" / "images" / "a.nii", scan_voxels(0))
    mirrored = RAS.copy()
    mirrored[0, 0] *= -1
    mirrored[0, 3] += RAS[0, 0] * 11
    save_nifti(tmp_path / "in" / "labels" / "a.nii", label_voxels(0)[::-1], mirrored)
    import_data(tmp_path / "in", tmp_path / "out")
    read = [read_values(s.mask) for s in read_folder(tmp_path / "out").samples if s.mask is not None]
    expected = label_voxels(0)[::-1, ::-1].transpose(2, 1, 0)  # axial: rows to the back, columns to the left
    np.testing.assert_array_equal(np.stack(read), expected)


def test_scans_without_labels_are_left_out_or_images_alone(tmp_path: Path) -> None:
    source = nifti_folder(tmp_path / "nifti")
    (source / "labels" / "p0.nii.gz").unlink()
    result = import_data(source, tmp_path / "some")
    assert [case.case for case in result.cases] == ["p1", "p2"]
    assert result.notes == ("1 of 3 scans has no labels and is left out.",)
    result = import_data(source / "images", tmp_path / "none")
    assert (len(result.cases), result.labelled) == (3, False)
    assert "images/ alone" in result.notes[0]
    assert not (tmp_path / "none" / "masks").exists()


def test_what_does_not_fit_together_is_said(tmp_path: Path) -> None:
    source = nifti_folder(tmp_path / "nifti")
    save_nifti(source / "images" / "p1.nii", scan_voxels(1))
    with pytest.raises(DataError, match="two files of one scan"):
        import_data(source, tmp_path / "out")
    (source / "images" / "p1.nii").unlink()
    (source / "images" / "p1.nii.gz").unlink()
    with pytest.raises(DataError, match=r"labels/p1\.nii\.gz has no image"):
        import_data(source, tmp_path / "out")


def test_a_source_of_no_known_kind_is_refused_with_a_list_of_kinds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no scan")
    with pytest.raises(DataError, match=r"no source of scans .* NIfTI: "):
        import_data(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="does not exist"):
        import_data(tmp_path / "absent", tmp_path / "out")
