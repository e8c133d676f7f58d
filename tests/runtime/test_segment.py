"""One call from an image, in a file or in memory, to its mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.small_artifacts import Zoo, picture, truth
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import DataError
from u3p_edge.runtime import open_session
from u3p_edge.runtime.segment import predict_frame, predict_image, read_pixels


def test_a_file_and_its_pixels_have_one_mask(zoo: Zoo, tmp_path: Path) -> None:
    session = open_session(zoo.path("int8.tflite"))
    pixels = (255 * picture(4)[:, :, 0]).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    actual = predict_image(session, tmp_path / "a.png")
    assert actual.dtype == np.uint8
    assert (actual == truth(4)).mean() > 0.97
    for image in (str(tmp_path / "a.png"), pixels, pixels[:, :, None], np.stack([pixels] * 3, axis=2), pixels / 255):
        # Grey of equal channels is the grey itself, and a float image in 0..1 has the range of an 8-bit one.
        np.testing.assert_array_equal(predict_image(session, image), actual)


def test_tiles_find_what_lies_outside_the_middle(threshold: Path) -> None:
    """This network thresholds each pixel of 48x64 at 0.3 of white, so the mask of a larger image is known everywhere."""
    session = open_session(threshold)
    pixels = np.random.default_rng(0).integers(0, 256, (200, 150), np.uint8)
    np.testing.assert_array_equal(predict_image(session, pixels), pixels > 76.5)


def test_the_parts_of_a_frame_are_timed(threshold: Path) -> None:
    session = open_session(threshold)
    ticks = iter(range(0, 10**12, 10**6))
    frame = predict_frame(session, np.zeros((100, 50, 1), np.uint8), clock=lambda: next(ticks))
    # A clock that moves on by 1 ms a reading: three rows of tiles, each with one step of preparation and one of the network.
    assert (frame.prepare_ms, frame.network_ms) == (3, 3)
    assert frame.restore_ms > 0
    assert frame.labels.shape == (100, 50)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"\(4, 4, 2\) are not an image"),
        (np.zeros((2, 4, 4, 1), np.uint8), r"\(2, 4, 4, 1\)"),
        (np.zeros((0, 4), np.uint8), r"\(0, 4, 1\)"),
        (np.zeros((4, 4), np.int64), "int64 are not supported"),
        (np.full((4, 4), np.nan, np.float32), "not numbers"),
    ],
)
def test_pixels_that_are_no_image_are_refused_in_one_sentence(zoo: Zoo, pixels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        predict_image(open_session(zoo.path("int8.tflite")), pixels)
    assert len(str(caught.value)) < 200


def test_a_file_that_cannot_be_prepared_is_named(zoo: Zoo, tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 7, np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(DataError, match=r"f\.tif: an image of float32 values 7 to 7 has no range"):
        predict_image(open_session(zoo.path("int8.tflite")), tmp_path / "f.tif")


def test_grey_of_deep_colour_pixels_keeps_their_range() -> None:
    white = np.full((2, 2, 3), 65535, np.uint16)
    np.testing.assert_array_equal(read_pixels(white, Preprocessing(16, 16)), np.full((2, 2, 1), 65535))
