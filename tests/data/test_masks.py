"""Every kind of mask file as class indices, and one clear sentence for each that is none."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.picture_files import GREY, RGB, write
from u3p_edge.data.decode import picture_size
from u3p_edge.data.labels import LabelRule, parse_mapping
from u3p_edge.data.masks import read_mask, read_values
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.metrics import IGNORE

INDICES = np.arange(15, dtype=np.uint8).reshape(3, 5)


def packed(indices: np.ndarray, bits: int) -> list[bytes]:
    """Rows of so many bits a pixel, each filled up to whole bytes."""
    rows = ["".join(f"{value:0{bits}b}" for value in row) for row in indices.tolist()]
    return [int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in rows]


def png(path: Path, indices: np.ndarray, bits: int, palette: bytes = b"") -> Path:
    """A PNG of few bits, written by hand: Pillow writes grey ones of 1 and 8 bits alone."""
    height, width = indices.shape
    header = struct.pack(">IIBBBBB", width, height, bits, 3 if palette else 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in packed(indices, bits)))
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    if palette:
        chunks.insert(1, (b"PLTE", palette))
    body = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))
    return path


def tiff(path: Path, indices: np.ndarray, bits: int, *, white_is_zero: bool, orientation: int = 1) -> Path:
    """A TIFF of one strip of few bits."""
    height, width = indices.shape
    strip = b"".join(packed(indices, bits)).ljust(16, b"\0")
    # Sizes, bits a sample, no compression, what 0 shows, offset, orientation, samples, rows of the strip, its bytes.
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 0 if white_is_zero else 1), (273, 8)]
    tags += [(274, orientation), (277, 1), (278, height), (279, len(strip))]
    directory = b"".join(struct.pack("<HHII", tag, 4 if tag == 273 else 3, 1, value) for tag, value in tags)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(tags)) + directory + bytes(4))
    return path


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_masks_of_few_bits_keep_their_indices(tmp_path: Path, bits: int) -> None:
    indices = INDICES & (2**bits - 1)
    colours = bytes(range(9, 9 + 3 * 2**bits)) if bits < 8 else bytes(768)
    files = [png(tmp_path / "g.png", indices, bits), png(tmp_path / "p.png", indices, bits, colours)]
    files.append(tiff(tmp_path / "g.tif", indices, bits, white_is_zero=False))
    if bits > 1:
        files.append(tiff(tmp_path / "w.tif", indices, bits, white_is_zero=True))
    for path in files:
        np.testing.assert_array_equal(read_values(path), indices, err_msg=path.name)
        np.testing.assert_array_equal(read_mask(path), indices, err_msg=path.name)


def test_one_bit_is_foreground_where_it_is_white(tmp_path: Path) -> None:
    path = tiff(tmp_path / "w.tif", INDICES % 2, 1, white_is_zero=True)
    np.testing.assert_array_equal(read_mask(path, 2), 1 - INDICES % 2)


def test_the_folder_with_four_bit_masks_has_six_classes(shared: Path) -> None:
    from u3p_edge.data.check import check_data

    report = check_data(shared / "cases" / "bug20" / "grey4_0to5")
    assert report.problems == ()
    assert report.labels == 6
    assert all(share > 0 for share in report.fractions)


def test_an_orientation_turns_a_mask_once(tmp_path: Path) -> None:
    path = tiff(tmp_path / "t.tif", INDICES, 4, white_is_zero=True, orientation=6)
    np.testing.assert_array_equal(read_mask(path), np.rot90(INDICES, -1))
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(INDICES).save(tmp_path / "e.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "e.png"), np.rot90(INDICES))
    # The same with the EXIF behind the pixels, where some programs write it.
    content = (tmp_path / "e.png").read_bytes()
    at = content.index(b"eXIf") - 4
    length = 12 + int.from_bytes(content[at : at + 4], "big")
    end = content.index(b"IEND") - 4
    (tmp_path / "late.png").write_bytes(content[:at] + content[at + length : end] + content[at : at + length] + content[end:])
    np.testing.assert_array_equal(read_mask(tmp_path / "late.png"), np.rot90(INDICES))
    for name in ("t.tif", "e.png", "late.png"):
        assert picture_size(tmp_path / name) == (5, 3)


def test_binary_and_index_masks(tmp_path: Path) -> None:
    indices = (GREY // 20 % 3).astype(np.uint8)
    path = write(tmp_path / "i.png", indices)
    np.testing.assert_array_equal(read_mask(path, 3), indices)
    np.testing.assert_array_equal(read_mask(path), indices)
    binary = np.where(indices == 1, 255, 0).astype(np.uint8)
    for name, pixels, mode in (
        ("b", binary, None),
        ("one", binary, "1"),
        ("rgb", binary, "RGB"),
        ("zero_one", binary // 255, None),
    ):
        mask = read_mask(write(tmp_path / f"{name}.png", pixels, mode), 2)
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, indices == 1)
    deep = write(tmp_path / "deep.png", binary.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_mask(deep, 2), indices == 1)
    np.testing.assert_array_equal(read_mask(write(tmp_path / "deep_i.tif", indices.astype(np.uint16)), 3), indices)


def test_palette_masks_are_their_indices_whatever_the_colours(tmp_path: Path) -> None:
    indices = (GREY // 20 % 3).astype(np.uint8)
    picture = Image.fromarray(indices)
    picture.putpalette([9, 9, 9, 255, 0, 0, 9, 9, 9])  # two entries of one colour
    picture.save(tmp_path / "p.png")
    assert Image.open(tmp_path / "p.png").mode == "P"
    np.testing.assert_array_equal(read_mask(tmp_path / "p.png", 3), indices)


def test_what_is_not_a_mask_is_refused_by_name(tmp_path: Path) -> None:
    values = np.array([[0, 1], [2, 255]], np.uint8)
    cases = {
        "beyond.png": (values[:, :1], 2, "value 2, beyond the 2 classes"),
        "mixed.png": (values, None, "values 1, 2 besides 0 and 255"),
        "void.png": (values, 3, "value 255, beyond the 3 classes"),
        "binary_for_three.png": (values[:, 1:] * 0 + np.uint8(255), 3, "value 255"),
        "colour.png": (RGB, None, "colour picture"),
        "half.tif": (np.array([[0.5, 1]], np.float32), 2, "no class index"),
        "deep.png": (np.array([[0, 700]], np.uint16), 2, "value 700, beyond the 2 classes"),
        "deep_open.png": (np.array([[0, 700]], np.uint16), None, r"value 700, no class index \(0 to 254\)"),
        "objects.png": (np.arange(40, dtype=np.uint16).reshape(5, 8) * 9, None, "40 different values: numbers of objects"),
    }
    for name, (pixels, labels, symptom) in cases.items():
        path = write(tmp_path / name, pixels)
        with pytest.raises(DataError, match=symptom) as caught:
            read_mask(path, labels)
        assert str(path) in caught.value.symptom


def test_a_jpeg_mask_should_be_a_png(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jpg", np.tile(np.array([[0, 255, 255]], np.uint8), (9, 9)))
    with pytest.raises(DataError, match="save masks as PNG"):
        read_mask(path, 2)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_shape_in_the_transparency_is_named(tmp_path: Path, mode: str) -> None:
    shape = np.where(INDICES > 7, 255, 0).astype(np.uint8)

    def layered(name: str, colour: np.ndarray, alpha: np.ndarray) -> Path:
        picture = Image.fromarray(colour).convert(mode)
        picture.putalpha(Image.fromarray(alpha))
        picture.save(tmp_path / name)
        return tmp_path / name

    for colour in (np.zeros_like(shape), np.full_like(shape, 255)):
        with pytest.raises(DataError, match="has its shape in its transparency"):
            read_mask(layered("hidden.png", colour, shape))
    for alpha in (np.full_like(shape, 255), np.full_like(shape, 9), shape):
        np.testing.assert_array_equal(read_mask(layered("plain.png", shape, alpha)), INDICES > 7)


def test_ignored_and_renamed_values(tmp_path: Path) -> None:
    trimap = write(tmp_path / "trimap.png", np.array([[1, 2, 3]], np.uint8))  # animal, background, border
    rule = LabelRule(ignore=3, mapping=parse_mapping("2:0, 1:1"))
    np.testing.assert_array_equal(read_mask(trimap, 2, rule=rule), [[1, 0, IGNORE]])
    void = write(tmp_path / "void.png", np.array([[0, 1, 255]], np.uint8))
    np.testing.assert_array_equal(read_mask(void, 2, rule=LabelRule(255)), [[0, 1, IGNORE]])
    outline = write(tmp_path / "outline.png", np.array([[0, 255, 128]], np.uint8))
    np.testing.assert_array_equal(read_mask(outline, 2, rule=LabelRule(128)), [[0, 1, IGNORE]])
    deep = write(tmp_path / "deep.png", np.array([[0, 1000, 2000]], np.uint16))
    np.testing.assert_array_equal(read_mask(deep, rule=LabelRule(2000, ((1000, 1),))), [[0, 1, IGNORE]])
    with pytest.raises(DataError, match=r"trimap\.png has the value 2, beyond the 2 classes \(0 to 1\)"):
        read_mask(trimap, 2, rule=LabelRule(3))


def test_a_rule_names_each_value_once() -> None:
    assert parse_mapping("2:1,1:0,") == ((1, 0), (2, 1))
    for text in ("1", "1:x", "1=0", "-1:0", "1:0:2", "\u00b2:1"):
        with pytest.raises(ConfigError, match="is not VALUE:CLASS"):
            parse_mapping(text)
    for ignore, mapping in ((1, ((1, 0),)), (None, ((1, 0), (1, 2)))):
        with pytest.raises(ConfigError, match="the mask value 1 has two meanings"):
            LabelRule(ignore, mapping)
    with pytest.raises(ConfigError, match="cannot be class 255"):
        LabelRule(None, ((1, 255),))
    with pytest.raises(ConfigError, match="cannot hold the value 70000"):
        LabelRule(70000)
