"""The embedded images: whole, split without neighbours across sets, and what the committed script makes."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from collections import defaultdict
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from tests.support.paths import REPOSITORY
from u3p_edge.manifest import sha256_of

CALIBRATION = REPOSITORY / "calibration"
FOLDER = CALIBRATION / "mni152"


def test_every_file_is_the_one_of_the_manifest() -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    assert {e["file"]: e["sha256"] for e in manifest["files"]} == {
        f"{kind}/{p.name}": sha256_of(p) for kind in ("images", "masks") for p in (FOLDER / kind).iterdir()
    }
    assert sum(p.stat().st_size for p in FOLDER.rglob("*") if p.is_file()) < 2.5e6


def test_slices_of_two_splits_are_at_least_five_millimetres_apart() -> None:
    with (FOLDER / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    slices = defaultdict(list)
    for row in rows:
        slices[row["split"]].append(int(row["name"].removeprefix("axial_")))
    assert {s: len(z) for s, z in slices.items()} == {"train": 70, "val": 22, "test": 22}
    for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
        assert min(abs(x - y) for x in slices[a] for y in slices[b]) >= 5


def test_hardening_is_what_takes_the_look_up_table_down() -> None:
    scores = json.loads((FOLDER / "manifest.json").read_text())["look_up_dice"]
    for name in ("CSF", "grey matter", "white matter"):
        assert scores["clean"][name] > 0.9
        assert scores["hardened"][name] < 0.8


def test_the_script_makes_these_pixels() -> None:
    pytest.importorskip("nilearn")
    pytest.importorskip("nibabel")
    script = _script()
    recipe, files = script.Recipe(), script.sources()
    t1, gm, wm = (script.read_volume(files[m]) for m in script.MAPS)
    mask = script.axial(script.label(t1, gm, wm), 80, recipe)
    image = script.harden(script.axial(t1, 80, recipe), 80, recipe)
    np.testing.assert_array_equal(mask, np.asarray(Image.open(FOLDER / "masks" / "axial_080.png")))
    # Rounding to grey levels may tip either way with another mathematics library, at a few pixels and by one level.
    kept = np.asarray(Image.open(FOLDER / "images" / "axial_080.png"))
    off = np.abs(image.astype(int) - kept.astype(int))
    assert off.max() <= recipe.step
    assert (off > 0).mean() < 1e-3


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_mni152", CALIBRATION / "make_mni152.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_mni152"] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module
