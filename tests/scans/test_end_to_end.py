"""From NIfTI files to scores by patient, and to an int8 file and its masks."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

import u3p_edge as u3p
from tests.support.command_line import Program
from tests.support.nifti_files import RAS, oriented_affine, save_nifti
from tests.support.small_artifacts import SHAPE, picture, truth
from u3p_edge.benchmark.suite import Settings
from u3p_edge.data.folder import read_folder
from u3p_edge.pipeline.bench import bench
from u3p_edge.pipeline.predict import predict
from u3p_edge.pipeline.train import train
from u3p_edge.scans.import_data import import_data


def read(path: Path) -> np.ndarray:
    return np.asanyarray(nibabel.load(path).dataobj)


def test_dice_is_that_of_the_patients_volumes(threshold: Path, tmp_path: Path) -> None:
    """The network pads and never says 1 in padding, so the scores are those of the volumes themselves."""
    random = np.random.default_rng(0)
    patients = ("p0", "p1", "p2")
    for name in patients:
        voxels = random.integers(0, 256, (12, 10, 3)).astype(np.uint8)
        voxels[0] = 0  # the padding has the lowest value of a slice
        save_nifti(tmp_path / "in" / "images" / f"{name}.nii.gz", voxels, oriented_affine((0, 2, 1), (1, -1, 1)))
        labels = random.integers(0, 2, voxels.shape).astype(np.uint8)
        save_nifti(tmp_path / "in" / "labels" / f"{name}.nii.gz", labels, oriented_affine((0, 2, 1), (1, -1, 1)))
    import_data(tmp_path / "in", tmp_path / "data")
    predict(threshold, [tmp_path / "in" / "images"], tmp_path / "masks")
    expected = set()
    for name in patients:
        truth_of, mask = read(tmp_path / "in" / "labels" / f"{name}.nii.gz"), read(tmp_path / "masks" / f"{name}.nii.gz")
        expected.add(round(2 * int((truth_of & mask).sum()) / int(truth_of.sum() + mask.sum()), 12))
    scores = set()
    for split in ("train", "val", "test"):
        settings = Settings(threads=(), memory_repeats=0)
        (artifact,) = bench([threshold], tmp_path / "data", split=split, settings=settings).artifacts
        assert artifact.accuracy is not None
        scores |= {round(dice[1], 12) for dice in artifact.accuracy.group_dice if dice[1] is not None}
    assert scores == expected


def save_scans(root: Path) -> Path:
    """Four scans of four slices of the zoo's pictures, below and above 0, and their labels."""
    for name in ("p0", "p1", "p2", "p3"):
        seeds = range(int(name[1]) * 4, int(name[1]) * 4 + 4)
        voxels = np.stack([picture(seed)[:, :, 0] * 1000 - 200 for seed in seeds]).astype(np.int16)
        labels = np.stack([truth(seed) for seed in seeds])
        for kind, planes in (("images", voxels), ("labels", labels)):
            save_nifti(root / kind / f"{name}.nii.gz", planes.transpose(2, 1, 0), RAS)
    return root


@pytest.mark.slow
def test_a_network_of_three_slices_is_trained_quantized_scored_and_predicts(tmp_path: Path) -> None:
    """The network has the size of the slices, so the scores are those of the volumes."""
    import_data(save_scans(tmp_path / "in"), tmp_path / "data")
    train(
        tmp_path / "data", tmp_path / "run", size=SHAPE[:2], slices=3, base_width=1, epochs=1, deep_supervision=False,
        learning_rate=0.03,
    )  # fmt: skip
    source = u3p.load(tmp_path / "run")
    assert (source.metadata.preprocessing.slices, source.metadata.axis) == (3, "axial")
    images = u3p.calibration_images(tmp_path / "data", source.metadata, 4)
    assert images.shape == (4, *SHAPE[:2], 3)
    file = u3p.write_tflite(u3p.quantize(source.graph, images), tmp_path / "model.int8.tflite", source.metadata)
    (result,) = predict(file, [tmp_path / "in" / "images" / "p3.nii.gz"], tmp_path / "masks").predicted
    assert result.slices == 4
    truth_of, mask = read(tmp_path / "in" / "labels" / "p3.nii.gz"), read(tmp_path / "masks" / "p3.nii.gz")
    samples = read_folder(tmp_path / "data").samples
    split = next(sample.split for sample in samples if sample.group == "p3")
    (artifact,) = bench([file], tmp_path / "data", split=split, settings=Settings(threads=(), memory_repeats=0)).artifacts
    assert artifact.accuracy is not None
    groups = list(dict.fromkeys(sample.group for sample in samples if sample.split == split))
    scores = artifact.accuracy.group_dice[groups.index("p3")]
    for label in range(3):
        both = int(((truth_of == label) & (mask == label)).sum())
        expected = 2 * both / int((truth_of == label).sum() + (mask == label).sum())
        assert scores[label] == pytest.approx(expected, abs=1e-12)  # float64 of counts below 20000


@pytest.mark.slow
@pytest.mark.parametrize("slices", [1, 3])
def test_nifti_to_a_verified_int8_file_and_a_mask(slices: int, program: Program, tmp_path: Path) -> None:
    save_scans(tmp_path / "in")
    data, run, out = tmp_path / "data", tmp_path / "run", tmp_path / "exported"
    stack = ("--slices", slices)
    quick = ("--ptq", "--no-rewrite", "--rounds", "5", "--calibration-images", "2", "--min-sqnr", "-20", "--formats", "tflite")
    for words in (
        ("data", "import", tmp_path / "in", "--out", data),
        ("data", "check", data),
        ("train", data, "--out", run, "--size", "48x64", "--width", "2", "--epochs", "1", "--no-deep-supervision", *stack),
        ("export", run, "--int8", "--data", data, "--out", out, "--recipe", "exact", *quick),
        ("verify", out),
        ("bench", out / "model.int8.tflite", "--data", data, "--rounds", "5"),
        ("predict", out, tmp_path / "in" / "images" / "p3.nii.gz", "--out", tmp_path / "masks"),
    ):
        done = program(*words)
        assert done.code == 0, (words, done.out, done.err)
    scan, mask = nibabel.load(tmp_path / "in" / "images" / "p3.nii.gz"), nibabel.load(tmp_path / "masks" / "p3.nii.gz")
    assert (mask.shape, mask.get_data_dtype()) == (scan.shape, np.uint8)
    np.testing.assert_array_equal(mask.affine, scan.affine)
