"""What fitting loses is said, with its share; cropping everything away is refused with its cause."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.check import check_data
from u3p_edge.data.fit_notes import Original, check_foreground, fit_notes
from u3p_edge.data.folder import read_folder
from u3p_edge.data.load import load_samples
from u3p_edge.errors import DataError

RESIZE, PAD = Preprocessing(64, 64), Preprocessing(64, 64, fit="pad")


def test_a_resize_to_less_than_half_is_reported_with_its_worst_case() -> None:
    (note,) = fit_notes([Original((128, 128)), Original((960, 999)), Original((64, 150))], RESIZE)
    assert "2 of 3 images are shrunk to less than half: 960x999 becomes 64x64, 15.6 times smaller" in note
    assert fit_notes([Original((128, 128)), Original((10, 10))], RESIZE) == ()
    assert fit_notes([Original((960, 999), 9, 9)], PAD) == ()


def test_cropped_foreground_is_reported_with_its_share() -> None:
    cropped, tiled = Original((192, 192), 300, 120, cropped=True), Original((192, 192), 100, 100)
    (note,) = fit_notes([cropped, tiled], PAD)
    assert "1 of 2 images is cropped to the 64x64 in their middle: 60.0 % of their foreground is left out" in note


def test_cropping_all_foreground_away_is_refused() -> None:
    lost = [Original((192, 100), 300, 0), Original((64, 180), 100, 0)]
    with pytest.raises(
        DataError, match=r"crops all foreground away: the images have up to 192x180 pixels.*64x64.*--fit resize"
    ):
        check_foreground(lost, PAD)
    check_foreground([*lost, Original((64, 64), 1, 1)], PAD)
    check_foreground([Original((192, 192), 0, 0)], PAD)  # masks without any foreground have another cause


def test_loading_keeps_account_of_what_it_crops(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    mask = np.zeros((192, 192), np.uint8)
    mask[:10, :10] = mask[90:100, 90:95] = 1
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    Image.fromarray(mask * 40).save(tmp_path / "images" / "a.png")
    samples = read_folder(tmp_path).samples
    cropped, tiled = (load_samples(samples, PAD, 2, tiled=tiled) for tiled in (False, True))
    assert cropped.originals == (Original((192, 192), 150, 50, cropped=True),)
    assert cropped.images.shape == (1, 64, 64, 1)
    # 192 in steps of at most 48: 0, 42, 85, 128.
    assert tiled.images.shape == (16, 64, 64, 1)
    assert tiled.originals == (Original((192, 192), 150, 150),)
    assert (tiled.labels == 1).sum() == 150
    assert tiled.stems == tiled.groups == ("a",) * 16


def test_checking_a_folder_says_what_the_default_size_throws_away(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for stem, size in (("a", (600, 100)), ("b", (512, 256))):
            pixels = np.arange(size[0] * size[1]).reshape(size) % 2
            Image.fromarray((255 * pixels).astype(np.uint8)).save(tmp_path / kind / f"{stem}.png")
    notes = [note for note in check_data(tmp_path).notes if "shrunk" in note]
    assert len(notes) == 1
    assert notes[0].startswith(
        "with the default --size 256x256, 1 of 2 images is shrunk to less than half: 600x100 becomes 256x256"
    )
