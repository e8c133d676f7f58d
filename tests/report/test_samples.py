"""samples.png, pixel by pixel where it matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.small_artifacts import SHAPE, picture, truth
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.report.colour import colourise, difference, overlay, to_rgb
from u3p_edge.report.samples import GAP, LINE, MARGIN, PictureRow, choose_pictures, draw_samples, write_samples

METADATA = default_metadata(Preprocessing(*SHAPE), labels=3)


def sample(seed: int, changed: int = 0) -> PictureRow:
    labels = truth(seed)
    other = labels.copy()
    other.reshape(-1)[:changed] = 2
    return PictureRow(f"s{seed}", picture(seed), labels, labels, other)


def test_an_image_of_any_range_fills_the_range_of_a_screen() -> None:
    wide = np.linspace(-1000, 3000, 256).reshape(16, 16, 1)
    actual = to_rgb(wide)
    assert (actual.min(), actual.max(), actual.shape, actual.dtype) == (0, 255, (16, 16, 3), np.uint8)
    assert (np.diff(actual[:, :, 0].reshape(-1).astype(int)) >= 0).all()
    assert to_rgb(np.full((4, 4, 1), 7.0)).max() == 0, "a constant image is no reason to divide by zero"


def test_colours_are_the_metadatas() -> None:
    labels = np.array([[0, 1, 2]], np.uint8)
    assert [tuple(int(v) for v in c) for c in colourise(labels, METADATA.colours)[0]] == list(METADATA.colours)


def test_an_overlay_leaves_the_background_as_it_is() -> None:
    image, labels = picture(1), truth(1)
    actual = overlay(image, labels, METADATA.colours)
    np.testing.assert_array_equal(actual[labels == 0], to_rgb(image)[labels == 0])
    assert (actual[labels > 0] != to_rgb(image)[labels > 0]).any(axis=1).all()


def test_differences_are_marked_and_nothing_else() -> None:
    s = sample(1, changed=5)
    marked = (difference(s.image, s.first, s.second) == (255, 0, 255)).all(axis=2)
    np.testing.assert_array_equal(marked, s.first != s.second)


def test_the_worst_image_comes_first_and_empty_ones_are_left_out() -> None:
    first = np.zeros((10, 8, 8), np.uint8)
    first[[1, 3, 5, 7, 8]] = 1
    second = first.copy()
    second[7, :2] = 0
    assert choose_pictures(first, second, 4) == (7, 1, 5, 8)
    assert choose_pictures(first[:1], second[:1], 4) == (0,)
    assert choose_pictures(np.zeros((3, 4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8), 3) == (0, 1, 2)


def test_rows_and_columns_lie_where_they_should() -> None:
    samples = [sample(1, changed=9), sample(2)]
    canvas = np.asarray(draw_samples(samples, METADATA))
    scale = 4  # 48 pixels are enlarged four times to 192
    height, width = SHAPE[0] * scale, SHAPE[1] * scale
    assert canvas.shape[1] == 2 * MARGIN + 5 * width + 4 * GAP
    top = MARGIN + LINE + LINE
    left = MARGIN + 1 * (width + GAP)
    shown = canvas[top : top + height : scale, left : left + width : scale]
    np.testing.assert_array_equal(shown, colourise(samples[0].truth, METADATA.colours))
    second_row = top + height + LINE + GAP
    shown = canvas[second_row : second_row + height : scale, left : left + width : scale]
    np.testing.assert_array_equal(shown, colourise(samples[1].truth, METADATA.colours))


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_written_as_png(tmp_path: Path, channels: int) -> None:
    one = sample(3)
    rgb = PictureRow(one.stem, np.repeat(one.image, channels, axis=2), one.truth, one.first, one.second)
    write_samples(tmp_path / "samples.png", [rgb], METADATA)
    with Image.open(tmp_path / "samples.png") as actual:
        assert actual.format == "PNG"
    assert [p.name for p in tmp_path.iterdir()] == ["samples.png"]
