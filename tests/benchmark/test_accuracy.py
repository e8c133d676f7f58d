"""Scores by group, by hand."""

from __future__ import annotations

import cProfile
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.support.small_artifacts import Zoo, picture, truth
from u3p_edge.benchmark import accuracy
from u3p_edge.benchmark.accuracy import data_sha256, dice_by_group, predict_labels, score
from u3p_edge.runtime import open_session


def labels(*rows: str) -> np.ndarray:
    """Images of one row each."""
    return np.array([[[int(c) for c in row]] for row in rows], np.uint8)


def test_pixels_are_pooled_in_a_group_and_groups_are_averaged() -> None:
    # Patient p: slice 1 has 1 of 1 pixel of class 1 right, slice 2 has 1 of 3; pooled: TP 2, FN 2 -> 2*2 / (2*2+2) = 2/3,
    # while the mean of slices would be (1 + 1/2) / 2. Patient q: TP 4 -> 1. Mean: 5/6.
    t = labels("1000", "1110", "1111")
    p = labels("1000", "1000", "1111")
    actual = score(t, p, t, ["p", "p", "q"], labels=2, stems=["1", "2", "3"])
    assert actual.dice[1] == pytest.approx((2 / 3 + 1) / 2)
    assert actual.iou[1] == pytest.approx((2 / 4 + 1) / 2)
    # Background of p: TP 4, FP 2; q has none, in truth or prediction, so it has no say.
    assert actual.dice[0] == pytest.approx(8 / 10)
    assert actual.mean_dice == actual.dice[1]
    assert actual.agreement == pytest.approx(10 / 12)
    assert actual.group_dice == ((pytest.approx(8 / 10), pytest.approx(2 / 3)), (None, 1.0))
    assert actual.group_iou == ((pytest.approx(4 / 6), pytest.approx(2 / 4)), (None, 1.0))
    # Slice 2: one pixel of each class is right, and two are of class 1 in the truth alone.
    assert actual.image_dice == ((1.0, 1.0), (pytest.approx(1 / 2), pytest.approx(1 / 2)), (None, 1.0))
    assert actual.image_iou == ((1.0, 1.0), (pytest.approx(1 / 3), pytest.approx(1 / 3)), (None, 1.0))


def test_a_class_that_is_nowhere_has_no_score_and_no_say_in_the_mean() -> None:
    t = labels("0012")
    actual = score(t, t, t, ["p"], labels=4)
    assert actual.dice == (1.0, 1.0, 1.0, None)
    assert actual.mean_dice == 1.0
    empty = score(labels("0000"), labels("0000"), labels("0000"), ["p"], labels=2)
    assert empty.mean_dice is None
    assert empty.mean_iou is None


@settings(deadline=None)  # the machine is shared
@given(hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 2)), st.permutations([0, 1, 2]))
def test_the_order_of_images_does_not_matter(t: np.ndarray, order: list[int]) -> None:
    p, groups = np.roll(t, 1, axis=2), ["a", "b", "a"]
    actual = score(t[order], p[order], t[order], [groups[i] for i in order], labels=3)
    expected = score(t, p, t, groups, labels=3)
    for a, b in zip((*actual.dice, *actual.iou), (*expected.dice, *expected.iou), strict=True):
        assert a == pytest.approx(b)


def test_the_cost_of_scoring_does_not_depend_on_how_images_are_grouped() -> None:
    """Counted in calls of the interpreter: each image in a group of its own costs no pass of its own over all images."""
    t = np.random.default_rng(0).integers(0, 3, (600, 4, 4), np.uint8)

    def calls(groups: list[str]) -> int:
        profile = cProfile.Profile()
        profile.runcall(dice_by_group, t, t, groups, labels=3)
        return sum(entry.callcount for entry in profile.getstats())

    together, alone = calls(["p"] * 600), calls([str(i) for i in range(600)])
    assert alone <= together + 10  # a pass a group would add 600


@pytest.mark.parametrize("kind", ["float32.tflite", "int8.onnx"])
def test_labels_of_a_session(zoo: Zoo, kind: str) -> None:
    steps: list[int] = []
    images = np.stack([picture(seed) for seed in (20, 21)])
    actual = predict_labels(open_session(zoo.path(kind)), images, lambda *_: steps.append(1))
    assert actual.shape == (2, 48, 64)
    assert actual.dtype == np.uint8
    assert len(steps) == 2
    t = np.stack([truth(seed) for seed in (20, 21)])
    # The suite's network segments these pictures; a swapped axis or class would fall far below.
    dice = score(t, actual, actual, ["a", "b"], labels=3).mean_dice
    assert dice is not None
    assert dice > 0.95


def test_the_digest_knows_every_part_of_the_data() -> None:
    images, masks = np.zeros((2, 4, 4, 1), np.float32), np.zeros((2, 4, 4), np.uint8)
    base = data_sha256(images, masks, ["a", "b"])
    assert base == data_sha256(images.copy(), masks.copy(), ["a", "b"])
    moved, marked = images.copy(), masks.copy()
    moved[0, 0, 0], marked[1, 2, 3] = 1e-6, 1
    others = {
        data_sha256(moved, masks, ["a", "b"]),
        data_sha256(images, marked, ["a", "b"]),
        data_sha256(images, masks, ["a", "c"]),
    }
    assert base not in others
    assert len(others) == 3


def square(top: int, left: int, label: int = 1) -> npt.NDArray[np.uint8]:
    mask = np.zeros((32, 32), np.uint8)
    mask[top : top + 8, left : left + 8] = label
    return mask


def test_distances_are_of_each_class_and_group_in_pixels() -> None:
    """A square moved by 3 pixels along one axis: no pixel of an outline is further than 3 from the other, and the two sides
    across the motion are 3 apart, which is more than 5 in 100 of an outline of 28 pixels."""
    truth = np.stack([square(4, 4), square(4, 4), square(4, 4)])
    moved = np.stack([square(4, 7), square(4, 4), square(4, 4)])
    actual = accuracy.measure_distances(truth, moved, ("a", "a", "b"), labels=3)
    assert actual is not None
    assert actual.unit == "pixels"
    assert actual.group_hd95 == ((None, 1.5, None), (None, 0.0, None))
    assert actual.hd95 == (None, 0.75, None), "class 2 is in no mask, the background is not measured"
    assert actual.surface[1] is not None
    assert 0 < actual.surface[1] < 0.75
    assert [row[1] for row in actual.group_surface] == [2 * actual.surface[1], 0.0]


def test_distances_are_in_mm_where_the_size_of_a_pixel_is_known() -> None:
    """Moved by 3 pixels of 0.5 mm to the right, and down by 2 of 4 mm; a missed square lies the diagonal of 31 pixels away."""
    truth = np.stack([square(4, 4)] * 3)
    moved = np.stack([square(4, 7), square(6, 4), np.zeros((32, 32), np.uint8)])
    spacings = ((2.0, 0.5), (4.0, 1.0), (3.0, 4.0))
    actual = accuracy.measure_distances(truth, moved, ("a", "b", "c"), 2, spacings=spacings)
    assert actual is not None
    assert actual.unit == "mm"
    assert [row[1] for row in actual.group_hd95] == [1.5, 8.0, 5.0 * 31]


def test_a_class_that_one_mask_alone_has_lies_a_diagonal_away() -> None:
    empty = np.zeros((1, 32, 32), np.uint8)
    actual = accuracy.measure_distances(square(4, 4)[None], empty, ("a",), labels=2)
    assert actual is not None
    assert actual.hd95[1] == actual.surface[1] == pytest.approx(31 * 2**0.5)


def test_without_scipy_there_are_no_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.ndimage", None)  # what Python keeps of a module that is not to be had
    assert accuracy.measure_distances(square(4, 4)[None], square(4, 4)[None], ("a",), labels=2) is None
