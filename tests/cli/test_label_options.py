"""What the values of masks mean, said to `train`: kept in the run folder, and the same when a run goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.command_line import Program, refusal
from u3p_edge.training.recipe import read_train_recipe


def test_ignored_and_mapped_values_are_part_of_a_run(program: Program, pictures: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pictures, tmp_path / "pictures"))
    for path in (folder / "masks").iterdir():
        mask = np.asarray(Image.open(path)).copy()
        mask[:4] = 255
        Image.fromarray(mask).save(path)
    out = tmp_path / "out"
    options = (folder, "--out", out, "--size", "48x64", "--width", 2, "--epochs", 1, "--no-deep-supervision")
    assert "255" in refusal(program("train", *options))
    done = program("train", *options, "--ignore-label", 255, "--map", "2:1")
    assert done.code == 0, done.err
    recipe = read_train_recipe(out / "recipe.toml")
    assert (recipe.ignore_label, recipe.label_map, recipe.labels) == (255, ((2, 1),), 2)
    assert "label_map" in refusal(program("train", *options, "--ignore-label", 255, "--map", "2:0"))
    assert "is not VALUE:CLASS" in refusal(program("train", *options, "--map", "2=1"))
