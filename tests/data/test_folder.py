"""Pairs, groups and splits of a data folder; and `data check`, which names everything that is wrong with one."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from tests.support.data_folders import make_folder
from u3p_edge.cli.data import data_app
from u3p_edge.data.check import check_data
from u3p_edge.data.embedded import embedded_folder
from u3p_edge.data.folder import read_folder
from u3p_edge.data.load import infer_labels
from u3p_edge.data.split import SPLITS, draw_splits
from u3p_edge.errors import DataError


def test_split_file_is_followed(tmp_path: Path) -> None:
    table = "note,name,patient_id,split\n,a,1,train\n,b.png,2,Validation\n,c,3,test\n"
    dataset = read_folder(make_folder(tmp_path, ["a", "b", "c"], table))
    assert [(s.stem, s.group, s.split) for s in dataset.samples] == [("a", "1", "train"), ("b", "2", "val"), ("c", "3", "test")]
    assert dataset.group_column == "patient_id"
    assert not dataset.drawn
    assert dataset.split("val")[0].mask == tmp_path / "masks" / "b.png"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_may_be_unnamed_for_us_and_delimited_otherwise(tmp_path: Path, delimiter: str) -> None:
    rows = ["\ufeffslice", "split"], ["a", "train"], ["b", "val"]
    text = "".join(delimiter.join(r) + "\r\n" for r in rows)
    dataset = read_folder(make_folder(tmp_path, ["a", "b"], text))
    assert [s.split for s in dataset.samples] == ["train", "val"]
    assert [s.group for s in dataset.samples] == ["a", "b"]


def test_a_group_in_two_splits_is_named(tmp_path: Path) -> None:
    root = make_folder(tmp_path, ["a", "b", "c"], "name,patient,clinic,split\na,7,x,train\nb,7,x,val\nc,8,y,val\n")
    with pytest.raises(DataError, match=r"group '7' is in several splits \(train, val\)"):
        read_folder(root)
    with pytest.raises(DataError, match="group 'x'"):
        read_folder(root, group_column="clinic")
    with pytest.raises(DataError, match="no column 'hospital'"):
        read_folder(root, group_column="hospital")


def test_groups_without_splits_are_drawn_whole(tmp_path: Path) -> None:
    stems = [f"p{p}_{s}" for p in range(10) for s in range(3)]
    root = make_folder(tmp_path, stems, "name,patient\n" + "".join(f"{s},{s[:2]}\n" for s in stems))
    dataset = read_folder(root)
    assert dataset.drawn
    # 15 % of 10 patients rounds to 2 in val and in test (half to even), with 3 images each.
    assert Counter(s.split for s in dataset.samples) == {"train": 18, "val": 6, "test": 6}
    for patient in range(10):
        assert len({s.split for s in dataset.samples if s.group == f"p{patient}"}) == 1


@settings(deadline=None)
@given(st.sets(st.text(min_size=1, max_size=5), min_size=3, max_size=60), st.integers(0, 99))
def test_a_drawn_split_fills_all_three_and_only_depends_on_names_and_seed(groups: set[str], seed: int) -> None:
    splits = draw_splits(groups, seed)
    assert set(splits) == groups
    assert set(splits.values()) == set(SPLITS)
    assert splits == draw_splits(sorted(groups, reverse=True), seed)
    held = Counter(splits.values())
    assert held["val"] == held["test"] <= max(1, round(0.15 * len(groups)))


def test_seeds_draw_different_splits() -> None:
    groups = [str(i) for i in range(20)]
    assert draw_splits(groups, 0) != draw_splits(groups, 1)


def test_an_empty_split_is_an_error_when_it_is_asked_for(tmp_path: Path) -> None:
    dataset = read_folder(make_folder(tmp_path, ["a", "b"], "name,split\na,train\nb,train\n"))
    assert dataset.count("val") == 0
    with pytest.raises(DataError, match="no images in its split 'val'"):
        dataset.split("val")


def test_system_files_are_ignored(tmp_path: Path) -> None:
    root = make_folder(tmp_path, ["a"])
    for name in (".DS_Store", "._a.png", "Thumbs.db"):
        (root / "images" / name).write_bytes(b"x")
    assert [s.stem for s in read_folder(root).samples] == ["a"]


def test_nothing_to_read_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_folder(tmp_path / "nowhere")
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="holds no PNG"):
        read_folder(tmp_path)
    Image.new("L", (4, 4)).save(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match="no folder masks/"):
        read_folder(tmp_path)
    assert read_folder(tmp_path, masks=False).samples[0].mask is None


def test_split_file_without_a_use_is_refused(tmp_path: Path) -> None:
    root = make_folder(tmp_path, ["a"], "name,colour\na,red\n")
    with pytest.raises(DataError, match="no column `split`"):
        read_folder(root)
    (root / "split.csv").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(DataError, match=r"split\.csv cannot be read"):
        read_folder(root)


def broken_folder(root: Path) -> Path:
    make_folder(root, ["good", "lonely", "twice", "size", "index", "text", "nan", "unlisted", "bad_split"])
    (root / "masks" / "lonely.png").unlink()
    Image.new("L", (8, 6)).save(root / "images" / "twice.bmp")
    Image.new("L", (3, 3)).save(root / "masks" / "size.png")
    Image.fromarray(np.full((6, 8), 9, np.uint8)).save(root / "masks" / "index.png")
    (root / "images" / "text.png").write_text("text")
    (root / "masks" / "text.png").write_text("text")
    (root / "images" / "nan.png").unlink()
    Image.fromarray(np.full((6, 8), np.nan, np.float32)).save(root / "images" / "nan.tif")
    (root / "images" / "notes.txt").write_text("notes")
    Image.new("L", (8, 6)).save(root / "masks" / "maskonly.png")
    names = ["good", "lonely", "twice", "size", "index", "text", "nan", "gone", "good"]
    (root / "split.csv").write_text("name,split\n" + "".join(f"{n},train\n" for n in names) + "bad_split,dev\n")
    return root


def test_check_names_every_problem_and_goes_on(tmp_path: Path) -> None:
    report = check_data(broken_folder(tmp_path), labels=3)
    expected = [
        "lonely.png has no mask",
        "maskonly.png has no image",
        "twice.png and twice.bmp have the same stem",
        "notes.txt is not a PNG",
        "lists 'gone', which is not in",
        "lists 'good' more than once",
        "unlisted.png is not listed",
        "the split of 'bad_split' is 'dev'",
        "size.png has 6x8 pixels (height x width) but its mask",
        "index.png has the value 9, beyond the 3 classes",
        "images/text.png is not an image",
        "masks/text.png is not an image",
        "nan.tif has pixels that are not numbers",
    ]
    for symptom in expected:
        assert sum(symptom in p for p in report.problems) == 1, symptom
    # bad_split is both: of no known split, and so not listed.
    assert len(report.problems) == len(expected) + 1
    assert "column `patient`" in report.notes[0]
    assert report.images == {"train": 6, "val": 0, "test": 0}
    assert report.notes[-2:] == ("no images in the split 'val'", "no images in the split 'test'")
    assert report.sizes == {"6x8": 3}  # good, twice, index
    with pytest.raises(DataError, match="There are 8 more problems"):  # those that need no decoding
        read_folder(tmp_path)


def test_check_counts_classes(tmp_path: Path) -> None:
    report = check_data(make_folder(tmp_path, ["a", "b", "c"]))
    assert report.problems == ()
    assert report.labels == 3
    assert report.fractions == pytest.approx((1 / 3, 1 / 3, 1 / 3))  # 48 pixels, i % 3
    assert report.present == (3, 3, 3)
    assert report.modes == {"grey uint8": 3}


def test_binary_and_index_masks_do_not_mix(tmp_path: Path) -> None:
    root = make_folder(tmp_path, ["a", "b"])
    Image.fromarray(np.array([[0, 255]] * 6, np.uint8).repeat(4, axis=1)).save(root / "masks" / "b.png")
    report = check_data(root)
    assert len(report.problems) == 1
    assert "b.png has the value 255, beyond the 3 classes" in report.problems[0]
    with pytest.raises(DataError, match="value 255, beyond the 3 classes"):
        infer_labels(read_folder(root))
    Image.fromarray(np.array([[0, 1]] * 6, np.uint8).repeat(4, axis=1)).save(root / "masks" / "a.png")
    assert check_data(root).labels == infer_labels(read_folder(root)) == 2
    assert check_data(root).fractions == (0.5, 0.5)


def test_command_prints_a_table_and_exits_2_on_problems(tmp_path: Path) -> None:
    good = make_folder(tmp_path / "good", ["a", "b", "c"])
    result = CliRunner().invoke(data_app, ["check", str(good)])
    assert result.exit_code == 0, result.output
    assert "33.33%" in result.output
    bad = broken_folder(tmp_path / "bad")
    result = CliRunner().invoke(data_app, ["check", str(bad), "--labels", "3"])
    assert result.exit_code == 2
    assert "14 problems" in result.output
    result = CliRunner().invoke(data_app, ["check", str(bad), "--labels", "3", "--json"])
    assert result.exit_code == 2
    assert len(json.loads(result.stdout)["problems"]) == 14


def test_the_embedded_folder_is_sound() -> None:
    report = check_data(embedded_folder())
    assert report.problems == report.notes == ()
    assert report.labels == 2
    assert report.group_column == "group"


def test_hippocampus_is_read_as_its_notes_say(shared: Path) -> None:
    root = shared / "data" / "hippocampus_64"
    dataset = read_folder(root)
    # SOURCE.txt: "split.csv is by volume: train 1995 / val 188 / test 620 slices", 260 volumes.
    assert {s: dataset.count(s) for s in SPLITS} == {"train": 1995, "val": 188, "test": 620}
    assert dataset.group_column == "volume"
    assert len({s.group for s in dataset.samples}) == 260


def test_chase_is_checked_as_its_notes_say(shared: Path) -> None:
    root = shared / "data" / "chase_db1"
    report = check_data(root)
    # SOURCE.txt: 28 photos, "split.csv by child: train 20 / test 8", 0/255, 6.9 % foreground on average.
    assert report.problems == ()
    assert report.images == {"train": 20, "val": 0, "test": 8}
    assert report.labels == 2
    assert report.modes == {"RGB uint8": 28}
    with (root / "split.csv").open() as file:
        shares = [float(row["fg_fraction"]) for row in csv.DictReader(file)]
    # All images have one size, so the pooled share is the mean of the shares, which are kept to 4 decimals.
    assert report.fractions[1] == pytest.approx(np.mean(shares), abs=0.5e-4)
