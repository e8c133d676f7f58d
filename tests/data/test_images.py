"""Every kind of image and mask file that is read, and one clear sentence for each that cannot be."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.picture_files import GREY, RGB, write
from u3p_edge.data.decode import open_picture
from u3p_edge.data.images import read_image, read_native
from u3p_edge.data.masks import read_mask
from u3p_edge.errors import DataError


@pytest.mark.parametrize("suffix", ["png", "PNG", "tif", "tiff", "bmp"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, suffix: str) -> None:
    grey = read_image(write(tmp_path / f"g.{suffix}", GREY), 1)
    colour = read_image(write(tmp_path / f"c.{suffix}", RGB), 3)
    assert grey.dtype == colour.dtype == np.uint8
    np.testing.assert_array_equal(grey[:, :, 0], GREY)
    np.testing.assert_array_equal(colour, RGB)


def test_jpeg_is_read_to_its_compression_error(tmp_path: Path) -> None:
    flat = np.full((16, 16), 90, np.uint8)
    # A constant block has one DCT coefficient; its rounding at quality 75 moves the grey level by one at most.
    assert np.abs(read_image(write(tmp_path / "g.jpg", flat), 1).astype(int) - 90).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_kept(tmp_path: Path, suffix: str) -> None:
    deep = GREY.astype(np.uint16) * 257 + 3
    image = read_image(write(tmp_path / f"d.{suffix}", deep), 1)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image[:, :, 0], deep)


def test_signed_and_float_tiff_become_float32(tmp_path: Path) -> None:
    hounsfield = GREY.astype(np.int32) - 1000
    for pixels in (hounsfield, hounsfield.astype(np.float32) / 2):
        image = read_image(write(tmp_path / "h.tif", pixels), 1)
        assert image.dtype == np.float32
        np.testing.assert_array_equal(image[:, :, 0], pixels)


def test_channels_are_made_to_fit(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(write(tmp_path / "g.png", GREY), 3), np.stack([GREY] * 3, axis=2))
    # ITU-R 601 luma, rounded.
    luma = read_image(write(tmp_path / "c.png", RGB), 1)[:, :, 0]
    assert np.abs(luma - RGB @ np.array([0.299, 0.587, 0.114])).max() <= 1
    assert read_image(write(tmp_path / "m.tif", RGB, "CMYK"), 3).shape == (3, 4, 3)


def test_transparency_is_dropped_and_a_palette_shows_its_colours(tmp_path: Path) -> None:
    for mode, pixels in (("LA", GREY), ("RGBA", RGB)):
        picture = Image.fromarray(pixels).convert(mode)
        picture.putalpha(Image.fromarray(255 - GREY))
        picture.save(tmp_path / f"{mode}.png")
        channels = 1 if mode == "LA" else 3
        np.testing.assert_array_equal(read_native(tmp_path / f"{mode}.png"), pixels.reshape(3, 4, channels))
    palette = Image.fromarray(GREY // 20)
    palette.putpalette(RGB.tobytes())
    for transparent in (None, 3):
        palette.save(tmp_path / "p.png", transparency=transparent)
        np.testing.assert_array_equal(read_native(tmp_path / "p.png"), RGB)


def test_a_camera_s_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(GREY).save(tmp_path / "e.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "e.png", 1)[:, :, 0], np.rot90(GREY, -1))
    blocks = np.kron(GREY, np.ones((8, 8), np.uint8))  # JPEG keeps a constant block of 8x8 to 1 level
    Image.fromarray(blocks).save(tmp_path / "e.jpg", exif=exif)
    assert np.abs(read_image(tmp_path / "e.jpg", 1)[:, :, 0].astype(int) - np.rot90(blocks, -1)).max() <= 1


def test_what_is_not_an_image_is_refused_by_name(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    whole = write(tmp_path / "whole.png", noise).read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "truncated.tif").write_bytes(write(tmp_path / "whole.tif", noise).read_bytes()[:2000])
    (tmp_path / "damaged.png").write_bytes(whole[:100] + bytes([whole[100] ^ 255]) + whole[101:])
    (tmp_path / "text.png").write_text("not an image")
    Image.fromarray(GREY).save(tmp_path / "other.png", "GIF")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    pages = [Image.fromarray(GREY)] * 2
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "animated.png", save_all=True, append_images=[Image.fromarray(GREY[::-1])])
    write(tmp_path / "nan.tif", np.array([[0, np.nan]], np.float32))
    cases = {
        "truncated.png": "is cut short (.*). Copy it again",
        "truncated.tif": "is cut short (.*). Copy it again",
        "damaged.png": "is damaged (.*). Copy it again .* save it anew",
        "text.png": "is not an image that can be read. Convert it to PNG",
        "other.png": "is not an image that can be read: it is a GIF file. Convert it to PNG",
        "empty.png": r"is an empty file \(0 bytes\)",
        "folder.png": "is a folder, not an image",
        "pipe.png": "is a pipe or a device, not a file",
        "missing.png": "does not exist",
        "stack.tif": "several images",
        "animated.png": "several images",
        "nan.tif": "NaN",
    }
    for name, symptom in cases.items():
        with pytest.raises(DataError, match=symptom) as caught:
            read_image(tmp_path / name, 1)
        assert name in caught.value.symptom
        assert caught.value.exit_code == 2


def test_a_kind_of_tiff_that_is_not_read_is_reported_to_be_unsupported(tmp_path: Path) -> None:
    # Width, height, bits a sample, compression, photometric interpretation, offset, samples, rows a strip, bytes of it.
    tags = ((256, 8), (257, 8), (258, 6), (259, 1), (262, 1), (273, 8), (277, 1), (278, 8), (279, 48))
    directory = b"".join(struct.pack("<HHII", tag, 4 if tag == 273 else 3, 1, value) for tag, value in tags)
    path = tmp_path / "six_bits.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 56) + bytes(48) + struct.pack("<H", len(tags)) + directory + bytes(4))
    with pytest.raises(DataError, match=r"of a kind that is not supported .* Save it as a PNG"):
        read_image(path, 1)


def test_the_limit_of_pixels_is_reported_with_the_option_that_moves_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", GREY)
    with pytest.raises(DataError, match=r"a\.png has 3x4 = 12 pixels, more than the limit of 11") as caught:
        read_image(path, 1, max_pixels=11)
    assert "--max-pixels 12" in caught.value.mend
    with pytest.raises(DataError, match="limit of 11"):
        read_mask(path, max_pixels=11)
    assert read_image(path, 1, max_pixels=12).shape == (3, 4, 1)


def test_more_pixels_than_pillow_opens_are_a_matter_of_the_limit_alone(tmp_path: Path) -> None:
    # Pillow's own limit is 179 million pixels (Image.MAX_IMAGE_PIXELS twice); one bit a pixel keeps the file and test small.
    path = tmp_path / "huge.png"
    Image.new("1", (13400, 13400)).save(path)
    with pytest.raises(DataError, match="13400x13400 = 179,560,000 pixels, more than the limit of 67,108,864"):
        open_picture(path)
    assert open_picture(path, 13400 * 13400).stored.size == (13400, 13400)
