"""Segmentations become labels of the slices that they lie on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.dicom_files import ROOT, items, ramp, save, save_series, segmentation
from u3p_edge.data.masks import read_values
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.scans.case import CaseList
from u3p_edge.scans.dicom.cases import list_cases
from u3p_edge.scans.import_data import import_data
from u3p_edge.scans.options import ScanOptions

SIZE = (8, 6)


def box(top: int, left: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A mask with 2x2 pixels."""
    mask = np.zeros(SIZE, np.uint8)
    mask[top : top + 2, left : left + 2] = 1
    return mask


def cases(folder: Path) -> CaseList:
    return list_cases(folder, ScanOptions())


def labels_of(folder: Path) -> np.ndarray[Any, np.dtype[Any]]:
    (case,) = cases(folder).cases
    labels = case.read().labels
    assert labels is not None
    return labels


def test_frames_go_where_their_positions_say(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(4, SIZE))
    masks = np.stack([box(0, 0), box(2, 2), box(4, 4)])
    save(segmentation(masks, [7.5, 0, 0], ["liver", "liver", "tumour"]), tmp_path / "seg.dcm")
    expected = np.zeros((4, *SIZE), np.uint8)
    expected[3] = box(0, 0)
    expected[0] = box(2, 2) + 2 * box(4, 4)
    assert (labels_of(tmp_path) == expected).all()
    assert cases(tmp_path).class_names == ("background", "liver", "tumour")


def test_classes_are_the_labels_whatever_their_numbers(tmp_path: Path) -> None:
    """In the second file the tumour is segment 1."""
    save_series(tmp_path / "a", ramp(1, SIZE))
    save(segmentation(np.stack([box(0, 0), box(4, 4)]), [0, 0], ["liver", "tumour"]), tmp_path / "a" / "seg.dcm")
    other = f"{ROOT}.4"
    save_series(tmp_path / "b", ramp(1, SIZE), SeriesInstanceUID=other)
    second = segmentation(box(0, 0)[None], [0], ["tumour"], SOPInstanceUID=f"{ROOT}.10")
    second.ReferencedSeriesSequence = [items(SeriesInstanceUID=other)]
    save(second, tmp_path / "b" / "seg.dcm")
    listed = cases(tmp_path)
    assert listed.class_names == ("background", "liver", "tumour")
    tops = [case.read().labels[0, 0, 0] for case in listed.cases]  # type: ignore[index] # both have labels
    assert tops == [1, 2]


def test_a_label_map(tmp_path: Path) -> None:
    """One frame holds the numbers of all segments (Label Map Segmentation Storage)."""
    save_series(tmp_path, ramp(1, SIZE))
    numbers = (2 * box(0, 0) + box(4, 4))[None]
    dataset = segmentation(
        numbers,
        [0],
        ["liver"],
        SOPClassUID="1.2.840.10008.5.1.4.1.1.66.7",
        SegmentationType="LABELMAP",
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelData=numbers.tobytes(),
    )
    # The number 0 is the background, which some programs list.
    dataset.SegmentSequence += [items(SegmentNumber=k, SegmentLabel=name) for k, name in ((2, "tumour"), (0, "Background"))]
    del dataset.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence
    save(dataset, tmp_path / "seg.dcm")
    assert (labels_of(tmp_path) == numbers).all()


def test_fractions_count_from_half_on(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(1, SIZE))
    fractions = (box(0, 0) * 99 + box(4, 4) * 100)[None]
    dataset = segmentation(
        fractions,
        [0],
        ["liver"],
        SegmentationType="FRACTIONAL",
        MaximumFractionalValue=200,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelData=fractions.tobytes(),
    )
    save(dataset, tmp_path / "seg.dcm")
    assert (labels_of(tmp_path)[0] == box(4, 4)).all()


def test_overlapping_segments_are_refused(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(1, SIZE))
    save(segmentation(np.stack([box(0, 0), box(1, 1)]), [0, 0], ["liver", "tumour"]), tmp_path / "seg.dcm")
    with pytest.raises(DataError, match=r"seg\.dcm: the segments 'liver' and 'tumour' overlap in 1 pixels"):
        labels_of(tmp_path)


def test_overlapping_segments_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    save_series(tmp_path / "in", ramp(2, SIZE))
    first, second = box(0, 0), box(1, 1)
    save(segmentation(np.stack([first, second]), [0, 0], ["liver", "tumour"]), tmp_path / "in" / "seg.dcm")
    result = import_data(tmp_path / "in", tmp_path / "out", ScanOptions(overlap="keep"))
    assert (result.multi_label, result.class_names) == (True, ("background", "liver", "tumour"))
    masks = [read_values(path) for path in sorted((tmp_path / "out" / "masks").iterdir())]
    np.testing.assert_array_equal(masks[0], first + 2 * second)
    assert (masks[0] == 3).sum() == 1
    assert not masks[1].any()
    with pytest.raises(ConfigError, match="--overlap keep for DICOM segmentations too"):
        import_data(tmp_path / "in", tmp_path / "other", ScanOptions(overlap="first"))


def test_two_segmentations_of_one_class_are_refused(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(1, SIZE))
    for number in (9, 10):
        one = segmentation(box(0, 0)[None], [0], ["liver"], SOPInstanceUID=f"{ROOT}.{number}")
        save(one, tmp_path / f"seg{number}.dcm")
    with pytest.raises(DataError, match=r"seg9\.dcm and .*seg10\.dcm both|seg10\.dcm and .*seg9\.dcm both"):
        labels_of(tmp_path)


@pytest.mark.parametrize(
    ("height", "change"),
    [(1.25, {}), (7.5, {}), (0.0, {"size": (8, 5)}), (0.0, {"spacing": [0.5, 0.5]}), (0.0, {"shift": 0.5})],
)
def test_segmentations_on_other_voxels_are_refused(height: float, change: dict[str, Any], tmp_path: Path) -> None:
    save_series(tmp_path, ramp(3, SIZE))
    masks = np.ones((1, *change.get("size", SIZE)), np.uint8)
    dataset = segmentation(masks, [height], ["liver"])
    if "spacing" in change:
        dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = change["spacing"]
    if "shift" in change:
        plane = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
        plane.ImagePositionPatient = [-10.0 + change["shift"], -20.0, height]
    save(dataset, tmp_path / "seg.dcm")
    with pytest.raises(DataError, match=r"seg\.dcm, frame 1, does not lie on a slice"):
        labels_of(tmp_path)


def test_a_segmentation_of_another_series(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(1, SIZE), SeriesInstanceUID=f"{ROOT}.4")
    save(segmentation(box(0, 0)[None], [0], ["liver"]), tmp_path / "seg.dcm")
    with pytest.raises(DataError, match=r"seg\.dcm: a segmentation of a series that is not in the folder"):
        cases(tmp_path)


def test_segments_of_one_label(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(1, SIZE))
    dataset = segmentation(np.stack([box(0, 0), box(4, 4)]), [0, 0], ["liver", "tumour"])
    dataset.SegmentSequence[1].SegmentLabel = "liver"
    save(dataset, tmp_path / "seg.dcm")
    with pytest.raises(DataError, match=r"seg\.dcm has segments without a label, or two with the same one"):
        cases(tmp_path)
