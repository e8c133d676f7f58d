"""Pictures of 16 bits a channel in colour or with transparency keep every bit, as images and as masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tests.support.picture_files import write_deep_png
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.images import read_image, read_native
from u3p_edge.data.masks import read_mask, read_values
from u3p_edge.data.preprocess import preprocess
from u3p_edge.errors import DataError

tifffile = pytest.importorskip("tifffile")

COLOUR = np.random.default_rng(0).integers(0, 65536, (5, 7, 4), dtype=np.uint16)
"""Every byte of it matters, and no row is a row upside down."""

TURNED_RIGHT = 6


def write_tiff(path: Path, pixels: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(path, pixels, **{"photometric": "rgb", "metadata": None, **options})
    return path


@settings(max_examples=20, deadline=None)
@given(
    pixels=arrays.arrays(
        np.uint16, st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([2, 3, 4])), elements=st.integers(0, 65535)
    )
)
def test_a_png_keeps_every_bit_and_loses_its_transparency(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> None:
    path = write_deep_png(tmp_path_factory.getbasetemp() / "deep.png", pixels)
    colours = 1 if pixels.shape[2] == 2 else 3
    image = read_native(path)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, pixels[:, :, :colours])
    assert read_image(path, 4 - colours).shape == (*pixels.shape[:2], 4 - colours)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}, {"tile": (16, 16)}, {"rowsperstrip": 2}],
    ids=["raw", "compressed", "predicted", "tiles", "several strips"],
)
def test_a_tiff_keeps_every_bit(tmp_path: Path, byteorder: str, options: Mapping[str, object]) -> None:
    path = write_tiff(tmp_path / "c.tif", COLOUR[:, :, :3], byteorder=byteorder, **options)
    np.testing.assert_array_equal(read_native(path), COLOUR[:, :, :3])
    alpha = write_tiff(tmp_path / "a.tif", COLOUR, byteorder=byteorder, extrasamples=["unassalpha"], **options)
    np.testing.assert_array_equal(read_native(alpha), COLOUR[:, :, :3])


def test_a_camera_s_orientation_turns_all_bits(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = TURNED_RIGHT
    upright = np.rot90(COLOUR[:, :, :3], -1)
    png = write_deep_png(tmp_path / "t.png", COLOUR[:, :, :3], b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0"))
    tiff = write_tiff(tmp_path / "t.tif", COLOUR[:, :, :3], extratags=[(274, "H", 1, TURNED_RIGHT, True)])
    for path in (png, tiff):
        np.testing.assert_array_equal(read_native(path), upright, err_msg=path.name)


def test_the_lower_bits_reach_the_network(tmp_path: Path) -> None:
    """Read by the upper 8 bits alone, these two images would be one."""
    dark = np.zeros((16, 16, 3), np.uint16)
    images = [read_image(write_deep_png(tmp_path / "d.png", dark + np.uint16(low)), 3) for low in (0, 255)]
    inputs = [preprocess(image, Preprocessing(16, 16, 3, normalization="range")) for image in images]
    # 255 of 65535 is 1/257 exactly; one rounding to float32.
    np.testing.assert_array_equal(inputs[1] - inputs[0], np.float32(1 / 257))


def test_grey_of_three_channels_is_their_luma_in_16_bits(tmp_path: Path) -> None:
    grey = read_image(write_deep_png(tmp_path / "c.png", COLOUR[:, :, :3]), 1)
    assert grey.dtype == np.uint16
    # ITU-R 601, rounded to a whole number.
    assert np.abs(grey[:, :, 0] - COLOUR[:, :, :3] @ np.array([0.299, 0.587, 0.114])).max() <= 0.5


def test_masks_of_16_bits_a_channel_keep_their_classes(tmp_path: Path) -> None:
    classes = np.arange(15, dtype=np.uint16).reshape(3, 5) % 3
    opaque = np.full_like(classes, 65535)
    for channels in ((classes,) * 3, (classes, opaque), (classes, classes, classes, opaque)):
        path = write_deep_png(tmp_path / "m.png", np.stack(channels, axis=2))
        np.testing.assert_array_equal(read_mask(path, 3), classes)
    binary = write_deep_png(tmp_path / "b.png", np.stack([opaque * (classes > 0)] * 3, axis=2))
    np.testing.assert_array_equal(read_mask(binary, 2), classes > 0)
    faint = np.stack([classes, classes, classes + np.uint16(1)], axis=2)  # grey, by its upper bytes
    with pytest.raises(DataError, match="is a colour picture"):
        read_values(write_deep_png(tmp_path / "c.png", faint))


@pytest.mark.parametrize(
    ("options", "symptom"),
    [
        ({"planarconfig": "separate"}, "16 bits a channel in separate planes"),
        ({"planarconfig": "separate", "compression": "zlib"}, "16 bits a channel in separate planes"),
        ({"extrasamples": ["assocalpha"]}, "16 bits a channel of RGBa"),
        ({"photometric": "separated"}, "16 bits a channel of CMYK"),
    ],
)
def test_what_would_lose_bits_is_refused(tmp_path: Path, options: Mapping[str, object], symptom: str) -> None:
    pixels = COLOUR if options.get("planarconfig") is None else np.moveaxis(COLOUR[:, :, :3], 2, 0)
    path = write_tiff(tmp_path / "x.tif", pixels, **options)
    with pytest.raises(DataError, match=rf"x\.tif is of a kind that is not supported \({symptom}\)"):
        read_native(path)


def test_a_damaged_file_of_16_bits_is_refused_as_any_other(tmp_path: Path) -> None:
    whole = write_deep_png(tmp_path / "whole.png", np.tile(COLOUR[:, :, :3], (20, 20, 1))).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.png is cut short"):
        read_native(tmp_path / "cut.png")
