"""Splits of patients that the benchmarks use instead of a data set's own, and the view of the data folder that has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.lib.data_view import SPLITS, make_data_view, read_splits
from u3p_edge.data.folder import read_folder

FILES = sorted(SPLITS.glob("*.csv"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_patient_is_in_one_split(path: Path) -> None:
    _, splits = read_splits(path)  # which refuses a second line for a patient
    assert set(splits.values()) == {"train", "val", "test"}


def test_a_patient_with_two_splits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text("patient,split\na,val\na,test\n", encoding="utf-8")
    with pytest.raises(ValueError, match="twice"):
        read_splits(path)


def test_the_view_has_all_images_and_no_patient_in_two_splits(shared: Path, tmp_path: Path) -> None:
    data = shared / "data" / "acdc_ed224"
    if not data.is_dir():
        pytest.skip("the data set is not here")
    before, view = read_folder(data), read_folder(make_data_view(data, tmp_path))
    assert [sample.stem for sample in view.samples] == [sample.stem for sample in before.samples]
    patients = {split: {sample.group for sample in view.samples if sample.split == split} for split in ("train", "val", "test")}
    assert {split: len(names) for split, names in patients.items()} == {"train": 60, "val": 8, "test": 12}
    assert len(set.union(*patients.values())) == 60 + 8 + 12  # so the three do not overlap
    assert patients["train"] == {sample.group for sample in before.split("train")}
    # The list is what it is said to be: the first 8 of a seeded permutation of the data set's own validation patients.
    shown = sorted({sample.group for sample in before.split("val")})
    assert patients["val"] == {shown[index] for index in np.random.default_rng(0).permutation(len(shown))[:8]}


def test_data_without_a_list_of_splits_is_taken_unchanged(tmp_path: Path) -> None:
    assert make_data_view(tmp_path / "unlisted", tmp_path) == tmp_path / "unlisted"
