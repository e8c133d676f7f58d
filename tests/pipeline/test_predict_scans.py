"""The mask of a volume lies on its voxels, whatever the order of its axes, and is what its slices give as pictures."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from tests.support.nifti_files import RAS, nifti_folder, oriented_affine, save_nifti, scan_voxels
from tests.support.small_artifacts import SHAPE, Zoo, picture
from u3p_edge.config.metadata import Axis
from u3p_edge.errors import ConfigError
from u3p_edge.pipeline.predict import predict
from u3p_edge.scans.options import ScanOptions


def read(path: Path) -> np.ndarray:
    return np.asanyarray(nibabel.load(path).dataobj)


@pytest.mark.parametrize(
    ("order", "signs", "axis"),
    [((0, 1, 2), (1, 1, 1), "axial"), ((2, 0, 1), (-1, 1, -1), "axial"), ((1, 2, 0), (1, -1, -1), "sagittal")],
)
def test_a_mask_is_on_the_voxels_of_its_scan(
    order: tuple[int, int, int], signs: tuple[int, int, int], axis: Axis, threshold: Path, tmp_path: Path
) -> None:
    """This network says 1 above .3 of white, 76.5, and pads; so the mask of every voxel is known."""
    voxels = np.random.default_rng(0).integers(0, 256, (7, 11, 5)).astype(np.uint8)
    scan = save_nifti(tmp_path / "scan.nii.gz", voxels, oriented_affine(order, signs))
    done = predict(threshold, [scan], tmp_path / "out", scan_options=ScanOptions(axis))
    mask = tmp_path / "out" / "scan.nii.gz"
    np.testing.assert_array_equal(read(mask), voxels > 76.5)
    np.testing.assert_array_equal(nibabel.load(mask).affine, nibabel.load(scan).affine)
    (result,) = done.predicted
    assert result.slices * result.size[0] * result.size[1] == voxels.size


def test_slices_of_a_scan_give_what_they_give_as_pictures(zoo: Zoo, tmp_path: Path) -> None:
    planes = np.stack([(255 * picture(seed)[:, :, 0]).astype(np.uint8) for seed in range(3)])
    for index, plane in enumerate(planes):
        Image.fromarray(plane).save(tmp_path / f"{index}.png")
    # Rows to the back, columns to the left: axes of the file are right, front, head.
    scan = save_nifti(tmp_path / "scan.nii", planes[:, ::-1, ::-1].transpose(2, 1, 0))
    model, out = zoo.path("int8.tflite"), tmp_path / "out"
    done = predict(model, [scan, *(tmp_path / f"{index}.png" for index in range(3))], out)
    assert [(result.image.suffix, result.slices) for result in done.predicted] == [(".nii", 3), *[(".png", 1)] * 3]
    assert done.predicted[0].size == SHAPE[:2]
    masks = read(out / "scan.nii").transpose(2, 1, 0)[:, ::-1, ::-1]
    for index in range(3):
        with Image.open(out / f"{index}.png") as mask:
            np.testing.assert_array_equal(masks[index], np.asarray(mask))


def test_a_scan_that_cannot_be_read_does_not_stop_the_others(threshold: Path, tmp_path: Path) -> None:
    source = nifti_folder(tmp_path / "nifti")
    broken = source / "images" / "p1.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-50])
    done = predict(threshold, [source / "images"], tmp_path / "out")
    assert [failed.image for failed in done.failed] == [broken]
    assert "cut short" in done.failed[0].reason
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p0.nii.gz", "p2.nii.gz"]


def test_what_would_lose_a_scan_is_refused(threshold: Path, tmp_path: Path) -> None:
    scan = save_nifti(tmp_path / "scan.nii.gz", scan_voxels(0), RAS)
    with pytest.raises(ConfigError, match="no overlay is made of a scan"):
        predict(threshold, [scan], tmp_path / "out", overlay=True)
    with pytest.raises(ConfigError, match="would replace the image"):
        predict(threshold, [scan], tmp_path)
