"""Names that mean one image though they are written differently, and split.csv as spreadsheets write it."""

from __future__ import annotations

import os
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from tests.support.data_folders import make_folder
from u3p_edge.data.check import check_data
from u3p_edge.data.folder import read_folder
from u3p_edge.errors import DataError


def rename(folder: Path, stem: str, name: str) -> None:
    (folder / f"{stem}.png").rename(folder / name)


def test_composed_and_decomposed_names_are_one(tmp_path: Path) -> None:
    composed, decomposed = (normalize(form, "Müller_é") for form in ("NFC", "NFD"))
    assert composed != decomposed
    root = make_folder(tmp_path, ["a", "b"], f"name,patient,split\n{decomposed},{decomposed},train\nb,{composed},train\n")
    rename(root / "images", "a", f"{decomposed}.png")
    rename(root / "masks", "a", f"{composed}.png")
    dataset = read_folder(root)
    assert [s.stem for s in dataset.samples] == [composed, "b"]
    assert {s.group for s in dataset.samples} == {composed}
    assert np.asarray(Image.open(dataset.samples[0].image)).shape == (6, 8)
    Image.new("L", (8, 6)).save(root / "images" / f"{composed}.png")
    assert any("have the same stem" in problem for problem in check_data(root).problems)


@pytest.mark.parametrize("cell", ["x1.jpg", "x1.jpg.png", "x1", "images/x1.jpg.png", "c:\\scans\\x1.jpg"])
@pytest.mark.parametrize("mask", ["x1.jpg.png", "x1.png"])
def test_a_second_suffix_may_be_left_out_or_be_there_alone(tmp_path: Path, cell: str, mask: str) -> None:
    root = make_folder(tmp_path, ["x", "x2"], f"name,split\n{cell},val\nx2.png,train\n")
    rename(root / "images", "x", "x1.jpg.png")
    rename(root / "masks", "x", mask)
    assert [(s.stem, s.split) for s in read_folder(root).samples] == [("x1.jpg", "val"), ("x2", "train")]


def test_an_exact_name_comes_before_one_without_suffixes(tmp_path: Path) -> None:
    root = make_folder(tmp_path, ["x1", "x"], "name,split\nx1.jpg,val\nx1.png,train\n")
    for kind in ("images", "masks"):
        rename(root / kind, "x", "x1.jpg.png")
    assert {s.stem: s.split for s in read_folder(root).samples} == {"x1": "train", "x1.jpg": "val"}


@pytest.mark.parametrize(
    ("cell", "stem"), [("a", "a"), ("a.png", "a"), ("images/a.b.TIFF", "a.b"), ("c:\\x\\a.jpg", "a"), ("a.v2", "a.v2")]
)
def test_names_in_split_files_may_be_stems_files_or_paths(tmp_path: Path, cell: str, stem: str) -> None:
    root = make_folder(tmp_path, [stem], f"name,split\n{cell},val\n")
    assert [(s.stem, s.split) for s in read_folder(root).samples] == [(stem, "val")]


@pytest.mark.parametrize(
    "content",
    [
        b"sep=;\r\nname;split\r\na;train\r\nb;val\r\n",
        b'"sep=;"\nname;split\na;train\nb;val\n',
        b"\xef\xbb\xbfsep=,\nname,split\na,train\nb,val\n",
        b"sep=|\nname|split\na|train\nb|val\n",
        b"name;split;share, of pixels\na;train;0,5\nb;val;0,25\n",
        b"name\tsplit\na\ttrain\n\nb\tval\n",
        b'name,split,note\na,train,"two\nlines"\nb,val,\n',
        b"name,split\ra,train\rb,val\r",
        "name;split\na;train\nb;val\n".encode("utf-16"),
    ],
)
def test_a_split_file_is_read_as_spreadsheets_write_it(tmp_path: Path, content: bytes) -> None:
    root = make_folder(tmp_path, ["a", "b"])
    (root / "split.csv").write_bytes(content)
    assert [(s.stem, s.split) for s in read_folder(root).samples] == [("a", "train"), ("b", "val")]


def test_a_wrong_row_is_named_by_its_line(tmp_path: Path) -> None:
    root = make_folder(tmp_path, ["a", "b"], "sep=;\nname;split\n\na;train\nb;dev\na;val\n")
    problems = check_data(root).problems
    assert any("split.csv, line 5: the split of 'b' is 'dev'" in problem for problem in problems)
    assert any("lists 'a' more than once (lines 4 and 6)" in problem for problem in problems)


def test_a_split_file_that_is_no_table_is_one_sentence(tmp_path: Path) -> None:
    root = make_folder(tmp_path, ["a"], 'name,split\na,"' + "x" * 200_000 + "\n")
    with pytest.raises(DataError, match=r"split\.csv, line \d+ cannot be read as a row of a table") as caught:
        read_folder(root)
    assert "quotation mark" in caught.value.mend
    (root / "split.csv").unlink()
    os.mkfifo(root / "split.csv")
    with pytest.raises(DataError, match=r"split\.csv is not a file"):
        read_folder(root)


def test_a_file_name_that_is_not_utf_8_is_named_in_characters_that_are(tmp_path: Path) -> None:
    root = make_folder(tmp_path, ["a", "b"])
    Path(os.fsdecode(os.fsencode(root / "images") + b"/caf\xe9.png")).write_bytes((root / "images" / "a.png").read_bytes())
    (problem,) = check_data(root).problems
    assert problem == rf"the name of {root}/images/caf\udce9.png is not in UTF-8: rename the file"
    with pytest.raises(DataError, match="is not in UTF-8"):
        read_folder(root)


def test_a_data_folder_whose_name_is_not_utf_8_is_refused_at_once(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    make_folder(root, ["a", "b"])
    with pytest.raises(DataError, match=r"caf\\udce9 is not in UTF-8. Rename it"):
        read_folder(root)
