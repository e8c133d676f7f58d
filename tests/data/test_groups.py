"""Which images belong together: named by a column of split.csv in any spelling, or given away by file names."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.support.data_folders import make_folder
from u3p_edge.data.check import check_data
from u3p_edge.data.folder import read_folder
from u3p_edge.data.groups import NameGroups, group_by_name
from u3p_edge.errors import DataError


@pytest.mark.parametrize(
    "column",
    [
        "PatientID",
        "patientId",
        "Patient ID",
        "patient-id",
        "PATIENT",
        "pid",
        "MRN",
        "subject_no",
        "case_no",
        "LesionID",
        "group",
    ],
)
def test_a_group_column_is_known_in_any_spelling(tmp_path: Path, column: str) -> None:
    rows = "".join(f"{name},{group},train\n" for name, group in zip("abcd", "1233", strict=True))
    dataset = read_folder(make_folder(tmp_path, list("abcd"), f"name,{column},split\n{rows}"))
    assert dataset.group_column == column
    assert [s.group for s in dataset.samples] == ["1", "2", "3", "3"]
    assert dataset.notes == ()


def test_the_coarser_of_two_units_is_the_group(tmp_path: Path) -> None:
    table = "name,lesion_id,Study ID,patient_name,split\na,1,4,x,train\nb,2,5,x,train\nc,3,6,y,val\n"
    root = make_folder(tmp_path, ["a", "b", "c"], table)
    assert read_folder(root).group_column == "patient_name"
    assert read_folder(root, group_column="study-id").group_column == "Study ID"


def test_two_sides_of_a_body_are_no_groups(tmp_path: Path) -> None:
    table = "name,eye,split\na,left,train\nb,right,train\nc,left,val\nd,right,test\n"
    assert read_folder(make_folder(tmp_path, list("abcd"), table)).group_column == ""


@pytest.mark.parametrize("name", ["PatientID.csv", "mrn.csv"])
def test_patients_in_several_splits_are_refused(shared: Path, tmp_path: Path, name: str) -> None:
    table = (shared / "cases" / "bug17" / name).read_text()
    stems = [row["name"] for row in csv.DictReader(table.splitlines())]
    root = make_folder(tmp_path, stems, table)
    with pytest.raises(DataError, match="is in several splits"):
        read_folder(root)
    # Nine patients, each in all three splits.
    assert len(check_data(root).problems) == len({row.split(",")[1] for row in table.splitlines()[1:]})


def test_without_a_group_column_it_is_reported_and_repeating_columns_are_named(tmp_path: Path) -> None:
    header = "name,who,share,size,split\n"
    rows = [("a", "anna", "0.5", "6x8", "train"), ("b", "ben", "0.5", "6x8", "train"), ("c", "cleo", "0.5", "6x8", "train")]
    rows += [("d", "anna", "0.5", "6x8", "val"), ("e", "ben", "0.5", "6x8", "test")]
    root = make_folder(tmp_path, list("abcde"), header + "".join(",".join(row) + "\n" for row in rows))
    first, second = read_folder(root).notes
    assert "each image is one group" in first
    assert "column `patient` of split.csv" in first
    assert "--group COLUMN" in first
    assert "Values of 'who' in split.csv repeat across splits" in second
    with pytest.raises(DataError, match=r"'anna' is in several splits \(train, val\) by its column 'who'"):
        read_folder(root, group_column="who")


def test_rows_without_a_patient_are_counted(tmp_path: Path) -> None:
    dataset = read_folder(make_folder(tmp_path, ["a", "b"], "name,patient,split\na,1,train\nb,,val\n"))
    assert [s.group for s in dataset.samples] == ["1", "b"]
    assert dataset.notes == ("1 rows of split.csv have no patient: each of these images is one group.",)


@pytest.mark.parametrize(
    ("stems", "groups"),
    [
        ([f"patient{p:03}_s{s:02}" for p in range(4) for s in range(3)], 4),
        ([f"sub-{p:02}_ses-{s}_T1w" for p in range(4) for s in range(2)], 4),
        ([f"{s:04}_case_{p}" for s, p in enumerate((1, 2, 3, 1, 2, 3))], 3),
        ([f"siteA_p_{p}_slice{s}" for p in (11, 12, 13) for s in range(2)], 3),
        ([f"scan{p}_z{z:03}" for p in range(3) for z in range(5)], 3),
        ([f"{p}_x{x}_y{y}" for p in range(3) for x in (0, 256) for y in (0, 256)], 3),
        ([f"hippocampus_{p:03}_x{x:02}" for p in range(5) for x in (9, 11)], 5),
        ([f"p{p}s{s}" for p in range(3) for s in range(2)], 3),
    ],
)
def test_slices_of_one_subject_are_grouped_by_their_names(stems: list[str], groups: int) -> None:
    named = group_by_name(stems)
    assert set(named.groups) == set(stems)
    assert len(set(named.groups.values())) == groups
    assert f"the {len(stems)} images are {groups} groups" in named.note


@pytest.mark.parametrize(
    "stems",
    [
        [f"img_{i:03}" for i in range(9)],
        [f"ISIC_00{i}" for i in range(9)],
        [f"{kind} ({i})" for kind in ("benign", "malignant", "normal") for i in range(4)],
        [f"{kind}_tile_{i}" for kind in ("stroma", "tumour", "fat") for i in range(4)],
        [f"im_ratio1_{i}" for i in range(9)],
        ["00071198d059", "003cee89357d", "7c0eb7c0", "7c1eb7c0", "7c2f01"],
        [f"patient{i}" for i in range(9)],
    ],
)
def test_names_that_only_count_are_not_groups(stems: list[str]) -> None:
    assert group_by_name(stems) == NameGroups({}, "")


def test_names_that_leave_it_open_are_reported() -> None:
    named = group_by_name([f"IM-{i:04}-{j:04}" for i in range(4) for j in range(3)])
    assert named.groups == {}
    assert "(3 of 'IM-0000', for example), as slices of one patient do" in named.note
    named = group_by_name([f"patient001_s{s:02}" for s in range(51)])
    assert named.groups == {}
    assert "of one group only (51 of 'patient001', for example)" in named.note


def test_slices_without_a_split_file_are_drawn_by_subject(tmp_path: Path) -> None:
    root = make_folder(tmp_path, [f"patient{p:03}_s{s:02}" for p in range(5) for s in range(4)])
    dataset = read_folder(root)
    assert dataset.grouped_by_name
    for split in ("train", "val", "test"):
        others = {s.group for s in dataset.samples if s.split != split}
        assert not others & {s.group for s in dataset.split(split)}
    assert {s.group for s in dataset.samples} == {f"patient{p:03}" for p in range(5)}
    assert "20 images are 5 groups (4 of 'patient000', for example)" in dataset.notes[0]
    assert "column `patient` of split.csv" in dataset.notes[0]


def test_subjects_that_a_split_file_without_groups_tears_apart_are_named(tmp_path: Path) -> None:
    stems = [f"patient{p:03}_s{s}" for p in range(3) for s in range(3)]
    table = "name,split\n" + "".join(f"{stem},{('train', 'val', 'test')[i % 3]}\n" for i, stem in enumerate(stems))
    dataset = read_folder(make_folder(tmp_path, stems, table))
    assert "the group 'patient000' is in several splits (train, val, test) and 2 more" in dataset.notes[1]
