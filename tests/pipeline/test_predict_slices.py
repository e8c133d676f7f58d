"""A network of several slices sees the same neighbours in a scan, in its imported folder and in the scores of that."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import Program, refusal
from tests.support.dicom_files import save_series
from tests.support.nifti_files import RAS, oriented_affine, save_nifti
from tests.support.volume_networks import LEVEL, save_threshold
from u3p_edge.benchmark.accuracy import predict_labels
from u3p_edge.benchmark.suite import Settings
from u3p_edge.data.folder import read_folder
from u3p_edge.data.load import load_samples
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.pipeline.bench import bench
from u3p_edge.pipeline.predict import predict
from u3p_edge.runtime import open_session
from u3p_edge.runtime.segment import predict_image
from u3p_edge.scans.dicom.cases import list_cases
from u3p_edge.scans.import_data import import_data
from u3p_edge.scans.options import ScanOptions

WEIGHTS = (0.25, 0.5, 0.25)
"""Of the slice before, the slice and the slice after."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_threshold(tmp_path_factory.mktemp("model") / "three.tflite", "coronal", WEIGHTS)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scans whose axes run differently, with labels."""
    root = tmp_path_factory.mktemp("scans")
    random = np.random.default_rng(0)
    turned = oriented_affine((2, 0, 1), (-1, 1, -1)), oriented_affine((0, 2, 1), (1, 1, -1))
    for name, affine in zip(("p0", "p1", "p2"), (RAS, *turned), strict=True):
        save_nifti(root / "images" / f"{name}.nii", random.integers(0, 256, (10, 8, 6)).astype(np.uint8), affine)
        save_nifti(root / "labels" / f"{name}.nii", random.integers(0, 2, (10, 8, 6)).astype(np.uint8), affine)
    return root


@pytest.fixture(scope="module")
def folder(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data") / "coronal"
    import_data(scans, data, ScanOptions("coronal"))
    return data


def read(path: Path) -> np.ndarray:
    return np.asanyarray(nibabel.load(path).dataobj)


def expected(voxels: np.ndarray, axis: int) -> np.ndarray:
    """The mask of every voxel, of a scan whose slices run along an axis of its file, in either direction."""
    planes = np.moveaxis(voxels.astype(float), axis, 0)
    padded = np.pad(planes, ((1, 1), (0, 0), (0, 0)), mode="edge")
    seen = np.stack([padded[k : k + len(planes)] for k in range(len(WEIGHTS))], axis=-1)
    return np.moveaxis(seen @ WEIGHTS > 255 * LEVEL, 0, axis)


def test_the_mask_of_a_scan_is_what_the_scores_of_its_slices_are_of(
    model: Path, scans: Path, folder: Path, tmp_path: Path
) -> None:
    """Voxel by voxel, and in the Dice of each patient."""
    predict(model, [scans / "images"], tmp_path)
    for name, axis in (("p0", 1), ("p1", 2), ("p2", 2)):
        voxels, mask = read(scans / "images" / f"{name}.nii"), read(tmp_path / f"{name}.nii")
        np.testing.assert_array_equal(mask, expected(voxels, axis))
        truth = read(scans / "labels" / f"{name}.nii")
        split = next(sample.split for sample in read_folder(folder).samples if sample.group == name)
        (artifact,) = bench([model], folder, split=split, settings=Settings(threads=(), memory_repeats=0)).artifacts
        assert artifact.accuracy is not None
        dice = 2 * int((truth & mask).sum()) / int(truth.sum() + mask.sum())
        assert artifact.accuracy.group_dice[0][1] == pytest.approx(dice, abs=1e-12)  # float64 of counts below 500


def test_slices_of_an_imported_folder_have_their_neighbours(model: Path, folder: Path, tmp_path: Path) -> None:
    samples = read_folder(folder).samples
    session = open_session(model)
    predict(model, [folder / "images"], tmp_path, overlay=True)
    arrays = load_samples(samples, session.metadata.preprocessing, 2)
    for sample, labels in zip(samples, predict_labels(session, arrays.images), strict=True):
        with Image.open(tmp_path / f"{sample.stem}.png") as picture:
            mask = np.asarray(picture) // 255
        top, left = ((32 - side) // 2 for side in mask.shape)
        np.testing.assert_array_equal(mask, labels[top : top + mask.shape[0], left : left + mask.shape[1]])
        np.testing.assert_array_equal(predict_image(session, sample.image), mask)
        with Image.open(tmp_path / f"{sample.stem}_overlay.png") as picture:
            painted = np.asarray(picture)[mask == 0]
        assert (painted == painted[:, :1]).all()  # the middle slice in grey, not three slices as colours
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    np.testing.assert_array_equal(predict_image(session, pixels), pixels @ WEIGHTS > 255 * LEVEL)


def test_a_series_has_its_neighbours_too(tmp_path: Path) -> None:
    """The mask of a slice is what is bright in the next one."""
    model = save_threshold(tmp_path / "next.tflite", weights=(0, 0, 1))
    bright = np.random.default_rng(0).integers(0, 2, (4, 8, 6))
    save_series(tmp_path / "series", (60000 * bright).astype(np.uint16))
    (done,) = predict(model, [tmp_path / "series"], tmp_path / "out").predicted
    assert done.slices == 4
    (mask,) = (tmp_path / "out").iterdir()
    shutil.copy(mask, tmp_path / "series" / "mask.dcm")
    (case,) = list_cases(tmp_path / "series", ScanOptions()).cases
    np.testing.assert_array_equal(case.read().labels, bright[[1, 2, 3, 3]])


def test_single_images_are_refused_before_anything_is_written(
    model: Path, program: Program, scans: Path, tmp_path: Path
) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "photo.png")
    out = tmp_path / "out"
    message = refusal(program("predict", model, tmp_path / "photo.png", scans / "images", "--out", out))
    assert message.startswith(f"nothing says of which volume {tmp_path / 'photo.png'} is a slice")
    assert "Give the whole scan" in message
    (tmp_path / "film.mp4").touch()
    with pytest.raises(ConfigError, match=r"3 neighbouring slices of a volume, and .*film\.mp4 is a video"):
        predict(model, [tmp_path / "film.mp4"], out)
    assert not out.exists()
    flat = save_nifti(tmp_path / "flat.nii", np.zeros((8, 1, 8), np.uint8))
    (failed,) = predict(model, [flat], out).failed
    assert "flat.nii is a volume of one slice" in failed.reason
    with pytest.raises(DataError, match=r"\[height, width, 3 neighbouring slices\]"):
        predict_image(open_session(model), np.zeros((32, 32), np.uint8))
