"""Data sets of nnU-Net and of MSD are read with their classes, channels, licences and test cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.nifti_files import label_voxels, nifti_folder, save_nifti, scan_voxels
from u3p_edge.data.check import check_data
from u3p_edge.data.description import read_class_names, read_license
from u3p_edge.data.folder import read_folder
from u3p_edge.data.images import read_native
from u3p_edge.errors import DataError
from u3p_edge.scans.import_data import import_data
from u3p_edge.scans.nifti_file import read_nifti
from u3p_edge.scans.options import ScanOptions

NNUNET: dict[str, Any] = {
    "channel_names": {"0": "T2", "1": "ADC"}, "labels": {"background": 0, "PZ": 1, "TZ": 2}, "file_ending": ".nii.gz",
    "numTraining": 3, "licence": "CC0-1.0",
}  # fmt: skip

MSD: dict[str, Any] = {
    "modality": {"0": "T2", "1": "ADC"}, "labels": {"0": "background", "1": "PZ", "2": "TZ"}, "licence": "CC0-1.0",
    "training": [{"image": f"./imagesTr/p{i}.nii.gz", "label": f"./labelsTr/p{i}.nii.gz"} for i in range(3)],
    "test": ["./imagesTs/p9.nii.gz"],
}  # fmt: skip


def describe(root: Path, dataset: dict[str, Any]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(dataset))
    return root


def make_nnunet(root: Path, test_labels: bool = False) -> Path:
    """Three training cases and a test case, of two channels each."""
    for part, seeds in (("Tr", range(3)), ("Ts", range(9, 10))):
        for seed in seeds:
            for channel in range(2):
                save_nifti(root / f"images{part}" / f"p{seed}_000{channel}.nii.gz", scan_voxels(10 * channel + seed))
            if part == "Tr" or test_labels:
                save_nifti(root / f"labels{part}" / f"p{seed}.nii.gz", label_voxels(seed))
    return describe(root, NNUNET)


def make_msd(root: Path) -> Path:
    """Three training cases of two modalities, and what macOS leaves in an archive."""
    nifti_folder(root, images="imagesTr", labels="labelsTr")
    for seed in range(3):
        save_nifti(root / "imagesTr" / f"p{seed}.nii.gz", np.stack([scan_voxels(seed), scan_voxels(10 + seed)], -1))
    (root / "imagesTr" / "._p0.nii.gz").write_bytes(b"Mac OS X")
    return describe(root, MSD)


@pytest.mark.parametrize("make", [make_nnunet, make_msd])
def test_the_chosen_channel_the_classes_and_the_licence_are_kept(make: Any, tmp_path: Path) -> None:
    source = make(tmp_path / "source")
    with pytest.raises(DataError, match=r"2 channels .*\(T2, ADC\)"):
        import_data(source, tmp_path / "out")
    result = import_data(source, tmp_path / "out", ScanOptions(channel="ADC"))
    assert result.class_names == read_class_names(tmp_path / "out") == ("background", "PZ", "TZ")
    assert read_license(tmp_path / "out") == "CC0-1.0"
    report = check_data(tmp_path / "out")
    assert (report.problems, sum(report.images.values()), report.labels) == ((), 12, 3)
    alone = read_nifti(save_nifti(tmp_path / "alone.nii", scan_voxels(11)), ScanOptions()).voxels
    np.testing.assert_array_equal(read_native(tmp_path / "out" / "images" / "p1_s002.png")[:, :, 0], alone[2])


def test_test_cases_with_labels_are_the_test_split(tmp_path: Path) -> None:
    import_data(make_nnunet(tmp_path / "without"), tmp_path / "a", ScanOptions(channel="0"))
    assert not any(sample.group == "p9" for sample in read_folder(tmp_path / "a").samples)
    import_data(make_nnunet(tmp_path / "with", test_labels=True), tmp_path / "b", ScanOptions(channel="0"))
    splits = {(sample.group, sample.split) for sample in read_folder(tmp_path / "b").samples}
    assert ("p9", "test") in splits
    assert sorted(split for group, split in splits if group != "p9") == ["train", "train", "val"]


def test_pictures_of_nnunet_are_read(tmp_path: Path) -> None:
    """A file of three channels for each case."""
    rgb = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    for kind in ("imagesTr", "labelsTr"):
        (tmp_path / "in" / kind).mkdir(parents=True)
    for seed in range(3):
        Image.fromarray(rgb[seed]).save(tmp_path / "in" / "imagesTr" / f"road{seed}_0000.png")
        Image.fromarray((rgb[seed, :, :, 0] > 127).astype(np.uint8)).save(tmp_path / "in" / "labelsTr" / f"road{seed}.png")
    channels = {"0": "R", "1": "G", "2": "B"}
    describe(tmp_path / "in", {"channel_names": channels, "labels": {"background": 0, "road": 1}, "file_ending": ".png"})
    result = import_data(tmp_path / "in", tmp_path / "out")
    assert [case.slices for case in result.cases] == [("road0",), ("road1",), ("road2",)]
    assert check_data(tmp_path / "out").problems == ()
    np.testing.assert_array_equal(read_native(tmp_path / "out" / "images" / "road2.png"), rgb[2])


def test_a_label_to_ignore_is_no_class_and_is_named(tmp_path: Path) -> None:
    source = make_nnunet(tmp_path / "source")
    describe(source, {**NNUNET, "labels": {"background": 0, "any": [1, 2], "PZ": 1, "ignore": 2}})
    result = import_data(source, tmp_path / "out", ScanOptions(channel="0"))
    assert result.class_names == ("background", "PZ")
    assert "--ignore-label 2" in result.notes[0]


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({**NNUNET, "labels": {"background": 0, "PZ": 1000}}, "does not name classes"),
    ({**NNUNET, "labels": [1, 2]}, "does not name classes"),
    ({**NNUNET, "channel_names": ["T2"]}, "does not list channels"),
    ({**NNUNET, "file_ending": ".mha"}, r"end in '\.mha' are not read"),
    ({**MSD, "training": []}, "does not list cases"),
    ({**MSD, "training": [{"image": "./imagesTr/p0.nii.gz"}]}, "names no label"),
    ({**MSD, "training": [{"image": "../p0.nii.gz", "label": "./labelsTr/p0.nii.gz"}]}, "no NIfTI file in its folder"),
    ({**MSD, "training": [{"image": "./imagesTr/p7.nii.gz", "label": "./labelsTr/p0.nii.gz"}]}, r"p7\.nii\.gz does not exist"),
]


@pytest.mark.parametrize(("dataset", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_what_is_wrong_with_a_description_is_said(dataset: dict[str, Any], message: str, tmp_path: Path) -> None:
    source = describe(make_nnunet(tmp_path / "source"), dataset)
    with pytest.raises(DataError, match=message):
        import_data(source, tmp_path / "out", ScanOptions(channel="0"), dry_run=True)


def test_names_that_nnunet_would_not_read_are_refused(tmp_path: Path) -> None:
    source = make_nnunet(tmp_path / "source")
    save_nifti(source / "imagesTr" / "p5.nii.gz", scan_voxels(5))
    with pytest.raises(DataError, match=r"p5\.nii\.gz has no channel in its name"):
        import_data(source, tmp_path / "out", ScanOptions(channel="0"))
    (source / "imagesTr" / "p5.nii.gz").rename(source / "labelsTr" / "p5.nii.gz")
    with pytest.raises(DataError, match=r"labelsTr/p5\.nii\.gz has no image"):
        import_data(source, tmp_path / "out", ScanOptions(channel="0"))
    (source / "dataset.json").write_text("{")
    with pytest.raises(DataError, match="not readable JSON"):
        import_data(source, tmp_path / "out", ScanOptions(channel="0"))
