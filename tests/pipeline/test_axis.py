"""A network knows the axis of the slices that it was trained on, and scans are cut along it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.support.command_line import Program, refusal
from tests.support.nifti_files import RAS, nifti_folder, save_nifti
from tests.support.volume_networks import LEVEL, save_threshold
from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.folder import read_folder
from u3p_edge.errors import ConfigError
from u3p_edge.pipeline.predict import predict
from u3p_edge.scans.import_data import import_data
from u3p_edge.scans.options import ScanOptions
from u3p_edge.training.prepare import complete
from u3p_edge.training.recipe import TrainRecipe, parse_recipe


def test_training_takes_the_axis_of_the_import(tmp_path: Path) -> None:
    import_data(nifti_folder(tmp_path / "nifti"), tmp_path / "data", ScanOptions("coronal"))
    dataset = read_folder(tmp_path / "data")
    recipe = complete(TrainRecipe(), dataset)
    assert (recipe.axis, recipe.metadata().axis) == ("coronal", "coronal")
    assert parse_recipe(recipe.to_toml()) == recipe
    with pytest.raises(ConfigError, match=r"source\.json says that the images are coronal slices, not axial ones"):
        complete(TrainRecipe(axis="axial"), dataset)
    (tmp_path / "data" / "source.json").unlink()
    assert complete(TrainRecipe(), dataset).axis is None
    assert complete(TrainRecipe(axis="axial"), dataset).metadata().axis == "axial"


def test_metadata_of_before_have_no_axis() -> None:
    metadata = dataclasses.replace(default_metadata(Preprocessing(16, 16), labels=2), axis="sagittal")
    values = json.loads(metadata.to_json())
    assert Metadata.from_json(json.dumps(values)) == metadata
    del values["axis"]
    assert Metadata.from_json(json.dumps(values)).axis is None


@pytest.mark.parametrize(("axis", "slices", "size"), [(None, 5, (11, 7)), ("coronal", 11, (5, 7)), ("sagittal", 7, (5, 11))])
def test_a_scan_is_cut_along_the_axis_of_the_training(
    axis: str | None, slices: int, size: tuple[int, int], tmp_path: Path
) -> None:
    """Axial where the network does not know; its mask of every voxel is known."""
    voxels = np.random.default_rng(0).integers(0, 256, (7, 11, 5)).astype(np.uint8)
    scan = save_nifti(tmp_path / "scan.nii", voxels, RAS)
    model = save_threshold(tmp_path / "model.tflite", axis)  # type: ignore[arg-type]  # one of the words
    (done,) = predict(model, [scan], tmp_path / "out").predicted
    assert (done.slices, done.size) == (slices, size)
    mask = np.asanyarray(nibabel.load(tmp_path / "out" / "scan.nii").dataobj)
    np.testing.assert_array_equal(mask, voxels > 255 * LEVEL)
    (same,) = predict(model, [scan], tmp_path / "out", scan_options=ScanOptions(axis or "axial")).predicted  # type: ignore[arg-type]  # likewise
    assert same.slices == slices


def test_another_axis_is_refused_before_anything_is_written(program: Program, tmp_path: Path) -> None:
    scan = save_nifti(tmp_path / "scan.nii", np.zeros((7, 11, 5), np.uint8), RAS)
    model = save_threshold(tmp_path / "model.tflite", "coronal")
    message = refusal(program("predict", model, scan, "--out", tmp_path / "out", "--axis", "axial"))
    assert message == "the network was trained on coronal slices, and --axis asks for axial ones. Leave --axis out."
    assert not (tmp_path / "out").exists()
    assert program("predict", model, scan, "--out", tmp_path / "out", "--axis", "coronal").code == 0
