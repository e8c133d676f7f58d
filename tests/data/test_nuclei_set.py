"""The embedded images: whole, under a free licence, split without repeats across sets, and what the committed script makes."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.ndimage import uniform_filter

from tests.support.paths import REPOSITORY
from u3p_edge.files.json_toml import parse_toml
from u3p_edge.manifest import sha256_of

CALIBRATION = REPOSITORY / "calibration"
FOLDER = CALIBRATION / "nuclei"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())


def read_rows() -> list[dict[str, str]]:
    with (FOLDER / "split.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_file_is_the_one_of_the_manifest() -> None:
    kept = {f"{kind}/{p.name}": sha256_of(p) for kind in ("images", "masks") for p in (FOLDER / kind).iterdir()}
    assert {e["file"]: e["sha256"] for e in MANIFEST["files"]} == kept
    assert len({digest for name, digest in kept.items() if name.startswith("images/")}) == 440
    assert sum(p.stat().st_size for p in FOLDER.rglob("*") if p.is_file()) < 4e6


def test_the_images_are_free_and_the_licence_travels_with_the_package() -> None:
    assert MANIFEST["license"] == "CC0-1.0"
    assert "CC0 1.0" in (FOLDER / "LICENSE.txt").read_text()
    project = parse_toml((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert "calibration/nuclei/LICENSE.txt" in project["license-files"]


def test_no_picture_and_no_group_is_in_two_splits() -> None:
    rows = read_rows()
    assert Counter(row["split"] for row in rows) == {"train": 240, "val": 80, "test": 120}
    assert len({row["source"] for row in rows}) == len(rows)
    assert len({(row["group"], row["split"]) for row in rows}) == len({row["group"] for row in rows})
    assert len({row["group"] for row in rows}) > 60


def test_each_split_holds_most_kinds_of_pictures() -> None:
    rows = read_rows()
    usual = {kind for kind, count in Counter(row["kind"] for row in rows).items() if count >= 10}
    assert len(usual) > 8
    for split in ("train", "val", "test"):
        assert usual == {row["kind"] for row in rows if row["split"] == split} & usual


@pytest.mark.slow  # the manifest pins every file
def test_images_of_two_splits_do_not_overlap() -> None:
    """What is left of a picture without its local mean is noise and texture, which only the same exposure repeats.

    Two windows that share a part p of their pixels correlate by about p at the shift that lays them over each other. By chance
    it is less than 7 / 96 for white noise (the largest of 96 x 96 shifts and 10^5 pairs, with a deviation of 1 / 96 each), and
    texture doubles that.
    """
    rows = read_rows()
    splits = np.array([row["split"] for row in rows])
    spectra = np.fft.rfft2(np.stack([_residual(FOLDER / "images" / f"{row['name']}.png") for row in rows]))
    for index in np.flatnonzero(splits != "train"):
        others = spectra[:index][splits[:index] != splits[index]], spectra[splits == "train"]
        for other in others:
            assert np.fft.irfft2(other * spectra[index].conj()).max(initial=0) < 0.25


def _residual(path: Path) -> npt.NDArray[np.float32]:
    """Return an image less its local mean, without outliers, at length 1."""
    grey = np.asarray(Image.open(path)).astype(np.float32)
    rest = grey - uniform_filter(grey, 3)
    rest = np.clip(rest / rest.std(), -2, 2)
    rest -= rest.mean()
    return np.asarray(rest / np.sqrt(np.square(rest).sum()), np.float32)


@pytest.mark.slow
def test_the_script_makes_these_files(shared: Path, tmp_path: Path) -> None:
    script = _script()
    script.make(shared / "data" / "dsb2018_256", tmp_path, script.Recipe())
    assert (tmp_path / "split.csv").read_bytes() == (FOLDER / "split.csv").read_bytes()
    for name in ("images/nuclei_001.png", "masks/nuclei_440.png"):
        # Another zlib may pack the same pixels into other bytes.
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / name)), np.asarray(Image.open(FOLDER / name)))


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_nuclei", CALIBRATION / "make_nuclei.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_nuclei"] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module
