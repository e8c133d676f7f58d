"""Images that EXIF turns, and masks drawn on the stored picture: told apart by sizes, else by edges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from u3p_edge.data.check import check_data
from u3p_edge.data.folder import read_folder
from u3p_edge.data.orientation import check_turned
from u3p_edge.errors import DataError

TURNS: dict[int, Callable[[Any], Any]] = {
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda a: np.rot90(a, -1),
    8: np.rot90,
}
"""EXIF orientation to what makes the stored picture upright."""


def oriented_folder(root: Path, orientation: int, shape: tuple[int, int], *, masks_are_turned: bool) -> Path:
    """JPEGs with a bright, off-centre object each, stored with an EXIF orientation, and its mask."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    rng = np.random.default_rng(0)
    for i in range(4):
        mask = np.zeros(shape, np.uint8)
        mask[4 + i : 14 + i, 3:9] = 255
        pixels = np.clip(60 + 100 * (mask > 0) + rng.normal(0, 8, shape), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"i{i}.jpg", quality=95, exif=exif)
        drawn = TURNS[orientation](mask) if masks_are_turned else mask
        Image.fromarray(np.ascontiguousarray(drawn)).save(root / "masks" / f"i{i}.png")
    return root


@pytest.mark.parametrize("orientation", sorted(TURNS))
@pytest.mark.parametrize("shape", [(40, 40), (40, 56)])
def test_masks_of_the_stored_picture_are_refused_with_the_true_cause(
    tmp_path: Path, orientation: int, shape: tuple[int, int]
) -> None:
    root = oriented_folder(tmp_path / "stored", orientation, shape, masks_are_turned=False)
    with pytest.raises(DataError, match=rf"is turned by its EXIF orientation \({orientation}\), but its mask") as caught:
        check_turned(read_folder(root).samples)
    assert "fits the picture as it is stored; the same holds for 4 images" in caught.value.symptom
    report = check_data(root)
    assert sum("by its EXIF orientation" in problem for problem in report.problems) == 1
    good = oriented_folder(tmp_path / "turned", orientation, shape, masks_are_turned=True)
    assert check_turned(read_folder(good).samples).fit == "turned"
    report = check_data(good)
    assert report.problems == ()
    assert any(f".jpg: {orientation}); the masks fit the turned images" in note for note in report.notes)


def test_what_the_pixels_do_not_tell_is_reported(tmp_path: Path) -> None:
    root = oriented_folder(tmp_path, 3, (40, 40), masks_are_turned=False)
    for path in (root / "masks").iterdir():
        Image.new("L", (40, 40)).save(path)  # nothing to see in any way round
    assert "the pixels do not show" in check_turned(read_folder(root).samples).note


def test_images_without_an_orientation_are_nothing_to_say(tmp_path: Path) -> None:
    root = oriented_folder(tmp_path, 2, (40, 40), masks_are_turned=False)
    for path in (root / "images").iterdir():
        Image.open(path).save(path, exif=b"")
    assert check_turned(read_folder(root).samples).note == ""


@pytest.mark.parametrize(("name", "count"), [("acdc_ed224", 24), ("chase_db1", 8), ("dsb2018_256", 24), ("hippocampus_64", 24)])
def test_real_masks_are_told_from_masks_upside_down(shared: Path, tmp_path: Path, name: str, count: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    samples = read_folder(shared / "data" / name).samples
    for kind in ("upright", "stored"):
        root = tmp_path / kind
        for part in ("images", "masks"):
            (root / part).mkdir(parents=True)
        for sample in samples[:: max(1, len(samples) // count)]:
            assert sample.mask is not None
            image, mask = Image.open(sample.image), Image.open(sample.mask)
            image.transpose(Image.Transpose.ROTATE_180).save(
                root / "images" / f"{sample.stem}.png", exif=exif, compress_level=1
            )
            drawn = mask if kind == "upright" else mask.transpose(Image.Transpose.ROTATE_180)
            drawn.save(root / "masks" / f"{sample.stem}.png")
    assert check_turned(read_folder(tmp_path / "upright").samples).fit == "turned"
    with pytest.raises(DataError, match="fits the picture as it is stored"):
        check_turned(read_folder(tmp_path / "stored").samples)
