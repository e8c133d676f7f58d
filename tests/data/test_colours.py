"""Masks whose colours are classes, by a table that is typed or that a data set brings along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tests.support.picture_files import write, write_deep_png
from u3p_edge.data.colours import colours_to_values, parse_colours
from u3p_edge.data.labels import LabelRule
from u3p_edge.data.masks import read_mask
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.metrics import IGNORE

COLOURS = (("#000000", 0), ("#ff0000", 1), ("#00ff80", 2), ("#ffffff", 3))
TABLE = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 128], [255, 255, 255]], np.uint8)
CLASSES = np.arange(15, dtype=np.uint8).reshape(3, 5) % 4
RULE = LabelRule(colours=COLOURS)


@settings(max_examples=30, deadline=None)
@given(
    codes=st.lists(st.integers(0, 0xFFFFFF), min_size=1, max_size=9, unique=True),
    picks=arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 99)),
    value=st.sampled_from([0, 254, 1000]),
)
def test_every_colour_is_its_value(codes: list[int], picks: np.ndarray, value: int) -> None:
    table = [(f"#{code:06x}", value + k) for k, code in enumerate(codes)]
    which = picks % len(codes)
    pixels = np.array([[code >> 16, code >> 8 & 255, code & 255] for code in codes], np.uint8)[which]
    np.testing.assert_array_equal(colours_to_values(pixels, table, Path("m.png")), which.astype(int) + value)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colour_pictures_of_any_kind_are_classes(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(TABLE[CLASSES])
    if mode == "P":  # the order of its palette is not that of the classes
        picture = Image.fromarray(3 - CLASSES)
        picture.putpalette(TABLE[::-1].tobytes())
    else:
        picture = picture.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    picture.save(tmp_path / "m.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", 4, rule=RULE), np.rot90(CLASSES, -1))


def test_a_grey_mask_is_its_shade(tmp_path: Path) -> None:
    grey = write(tmp_path / "g.png", np.array([[0, 255]], np.uint8))
    np.testing.assert_array_equal(read_mask(grey, 4, rule=RULE), [[0, 3]])
    one_bit = write(tmp_path / "b.png", np.array([[0, 255]], np.uint8), "1")
    np.testing.assert_array_equal(read_mask(one_bit, 4, rule=RULE), [[0, 3]])


def test_ignored_and_renamed_classes_of_colours(tmp_path: Path) -> None:
    path = write(tmp_path / "m.png", TABLE[CLASSES])
    void = LabelRule(255, ((2, 1),), (*COLOURS[:3], ("#ffffff", 255)))
    np.testing.assert_array_equal(read_mask(path, 2, rule=void), np.array([0, 1, 1, IGNORE], np.uint8)[CLASSES])
    assert (void.coloured_classes, RULE.coloured_classes, LabelRule().coloured_classes) == (2, 4, None)


def test_an_unknown_colour_is_named_with_its_pixels(tmp_path: Path) -> None:
    pixels = TABLE[CLASSES].copy()
    pixels[0, :2], pixels[2, 4] = (1, 2, 3), (4, 5, 6)
    with pytest.raises(DataError, match=r"m\.png has 2 pixels of the colour #010203, .* and 1 more such colour\. Add #010203:"):
        read_mask(write(tmp_path / "m.png", pixels), 4, rule=RULE)
    with pytest.raises(DataError, match=r"save masks as PNG"):
        read_mask(write(tmp_path / "m.jpg", np.tile(TABLE[CLASSES], (4, 4, 1))), 4, rule=RULE)
    with pytest.raises(DataError, match="more than 8 bits a channel"):
        read_mask(write_deep_png(tmp_path / "d.png", pixels.astype(np.uint16)), 4, rule=RULE)
    with pytest.raises(DataError, match=r"is a colour picture\. If colours are classes, name them with --mask-colours"):
        read_mask(write(tmp_path / "m.png", pixels), 4)


@pytest.mark.parametrize(
    "text",
    [
        "name,r,g,b\nvoid,0,0,0\nroad,255,0,0\ntree,0,255,128\nsky,255,255,255\n",
        "label;colour\n3;#FFFFFF\n0;#000000\n1;#ff0000\n2;#00ff80\n",
        "Red\tGreen\tBlue\tClass ID\n0\t0\t0\t0\n\n255\t0\t0\t1\n0\t255\t128\t2\n255\t255\t255\t3\n",
    ],
)
def test_tables_are_read_as_data_sets_write_them(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.csv").write_text(text)
    assert dict(parse_colours(str(tmp_path / "classes.csv"))) == dict(COLOURS)


@pytest.mark.parametrize(
    ("text", "symptom"),
    [
        ("name,r,g\nroad,1,2\n", "is no table of colours"),
        ("r,g,b\n", "is no table of colours"),
        ("r,g,b\n1,2,3\n1,2,256\n", "line 3 is no colour and its class: 1, 2, 256"),
        ("colour,class\n#12345,0\n", "line 2 is no colour"),
        ("colour,class\n#123456\n", "line 2 is no colour"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, text: str, symptom: str) -> None:
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(DataError, match=rf"classes\.csv.*{symptom}"):
        parse_colours(str(tmp_path / "classes.csv"))


def test_colours_that_are_typed() -> None:
    assert parse_colours("#00ff00:1,") == (("#00ff00", 1),)
    assert parse_colours("") == ()
    with pytest.raises(ConfigError, match="'#00ff00=1' is not COLOUR:CLASS"):
        parse_colours("#00ff00=1")
    with pytest.raises(DataError, match=r"absent\.csv is not a file"):
        parse_colours("absent.csv")
    cases = {(("#0f0", 1),): "is not a colour", (("#00ff00", 255),): "class 255", (("#00ff00", 0),) * 2: "two meanings"}
    for colours, symptom in cases.items():
        with pytest.raises(ConfigError, match=symptom):
            LabelRule(colours=colours)
    assert LabelRule(255, colours=(("#00ff00", 255),)).coloured_classes == 2
