"""Overlap and surface distances against cases worked by hand, and the conventions for empty masks."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from u3p_edge import metrics
from u3p_edge.metrics import (
    IGNORE,
    confusion,
    confusion_by_group,
    dice,
    iou,
    outline_distances,
    outline_distances_per_class,
    rank_score,
)

Distance = Callable[..., float]
TRUTH = np.array([[0, 1, 1], [0, 2, 2]])
PREDICTION = np.array([[0, 1, 2], [1, 2, 2]])
EMPTY = np.zeros((4, 5), bool)


def hd95(truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)) -> float:
    return outline_distances(truth, prediction, spacing)[0]


def average_surface_distance(truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)) -> float:
    return outline_distances(truth, prediction, spacing)[1]


def box(rows: slice, columns: slice, shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_overlap_by_hand() -> None:
    counts = confusion(TRUTH, PREDICTION, 4)
    # class 0: 1 right, 1 missed; 1: 1 right, 1 invented, 1 missed; 2: 2 right, 1 invented; 3: nowhere
    np.testing.assert_array_equal(counts, [[1, 0, 1], [1, 1, 1], [2, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(dice(counts), [2 / 3, 2 / 4, 4 / 5, np.nan])
    np.testing.assert_allclose(iou(counts), [1 / 2, 1 / 3, 2 / 3, np.nan])


def test_a_class_in_one_mask_alone_scores_zero() -> None:
    counts = confusion(np.zeros((2, 2), np.uint8), np.array([[0, 0], [0, 1]], np.uint8), 2)
    assert dice(counts)[1] == iou(counts)[1] == 0


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        confusion(np.zeros((2, 2), int), np.zeros((2, 3), int), 2)
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        confusion(np.full((2, 2), 2), np.zeros((2, 2), int), 2)
    with pytest.raises(ValueError, match="one shape"):
        hd95(EMPTY, EMPTY.T)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_counts_add_and_dice_follows_from_iou(seed: int, labels: int) -> None:
    truth, prediction = np.random.default_rng(seed).integers(0, labels, (2, 6, 8, 8), np.uint8)
    pooled = confusion(truth, prediction, labels)
    np.testing.assert_array_equal(pooled, sum(confusion(t, p, labels) for t, p in zip(truth, prediction, strict=True)))
    np.testing.assert_allclose(dice(pooled), 2 * iou(pooled) / (1 + iou(pooled)))
    np.testing.assert_array_equal(dice(confusion(truth, truth, labels)), 1)
    np.testing.assert_array_equal(dice(confusion(prediction, truth, labels)), dice(pooled))


@pytest.mark.parametrize("distance", [hd95, average_surface_distance])
def test_conventions_for_empty_masks(distance: Distance) -> None:
    assert math.isnan(distance(EMPTY, EMPTY))
    one = EMPTY.copy()
    one[2, 2] = True
    # 4 x 5 pixels: the corners lie 3 rows and 4 columns apart
    assert distance(one, EMPTY) == distance(EMPTY, one) == 5
    assert distance(one, EMPTY, (4.0, 0.0)) == 12
    assert distance(one, one) == 0


@pytest.mark.parametrize("distance", [hd95, average_surface_distance])
def test_two_pixels(distance: Distance) -> None:
    a, b = box(slice(2, 3), slice(2, 3)), box(slice(5, 6), slice(6, 7))
    assert distance(a, b) == 5  # 3 rows, 4 columns
    assert distance(a, b, (4.0, 4.0)) == 20
    assert distance(a, b, (1.0, 0.5)) == pytest.approx(math.hypot(3, 2))


def test_two_parallel_lines_of_one_pixel() -> None:
    """Every pixel of either is 6 away from the other."""
    a, b = box(slice(3, 4), slice(0, 30)), box(slice(9, 10), slice(0, 30))
    assert hd95(a, b) == average_surface_distance(a, b) == 6


def test_a_line_and_its_longer_self() -> None:
    """A row of 10 pixels and one of 20 that starts with it: 10 pixels at 0 one way; 10 at 0 and 1 ... 10 the other."""
    short, long = box(slice(5, 6), slice(0, 10)), box(slice(5, 6), slice(0, 20))
    assert average_surface_distance(short, long) == pytest.approx(sum(range(1, 11)) / (10 + 20))
    # The 95th percentile of 20 sorted distances lies at index 0.95 * 19 = 18.05, between 9 (18) and 10 (19).
    assert hd95(short, long) == pytest.approx(9.05)


def test_only_the_outline_of_a_solid_counts() -> None:
    """A 5x5 box (outline of 16) in a 7x7 box (outline of 24), one pixel all round: 1, but sqrt 2 from the 4 outer corners."""
    inner, outer = box(slice(6, 11), slice(6, 11)), box(slice(5, 12), slice(5, 12))
    assert average_surface_distance(inner, outer) == pytest.approx((16 + 20 + 4 * math.sqrt(2)) / 40)
    # 4 of 24 sorted distances are sqrt 2, so index 0.95 * 23 = 21.85 is one of them.
    assert hd95(inner, outer) == pytest.approx(math.sqrt(2))


def test_the_border_of_the_image_is_outline() -> None:
    full = np.ones((9, 9), bool)
    inner = box(slice(1, 8), slice(1, 8), (9, 9))
    # Were the border no outline, a full image would have none.
    assert average_surface_distance(full, inner) == pytest.approx((28 + 4 * math.sqrt(2) + 24) / (32 + 24))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.6))
def test_distances_are_symmetric_and_agree_with_all_pairs(seed: int, share: float) -> None:
    a, b = np.random.default_rng(seed).random((2, 9, 11)) < share
    assert hd95(a, b) == pytest.approx(hd95(b, a), nan_ok=True)
    if a.any() and b.any():
        pa, pb = (_outline_points(m) * (2.0, 0.5) for m in (a, b))
        pairs = np.hypot(*(pa[:, None] - pb[None]).transpose(2, 0, 1))
        to_b, to_a = pairs.min(axis=1), pairs.min(axis=0)
        expected = max(np.percentile(to_b, 95), np.percentile(to_a, 95))
        assert hd95(a, b, (2.0, 0.5)) == pytest.approx(expected)
        mean = (to_b.sum() + to_a.sum()) / (to_b.size + to_a.size)
        assert average_surface_distance(a, b, (2.0, 0.5)) == pytest.approx(mean)


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=9), st.integers(2, 5), st.integers(1, 60))
def test_pooling_by_group_is_counting_the_images_of_each(groups: list[str], labels: int, chunk: int) -> None:
    rng = np.random.default_rng(len(groups))
    truth, found = rng.integers(0, labels, (2, len(groups), 3, 4), np.uint8)
    truth[rng.random(truth.shape) < 0.2] = IGNORE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "CHUNK", chunk)
        counts = confusion_by_group(truth, found, groups, labels)
    for name, one in zip(dict.fromkeys(groups), counts, strict=True):
        inside = np.array([group == name for group in groups])
        np.testing.assert_array_equal(one, confusion(truth[inside], found[inside], labels))
    assert counts[:, :, [0, 2]].sum() == (truth != IGNORE).sum(), "every scored pixel is right or missed, once"


def test_pixels_that_are_not_scored_do_not_count() -> None:
    truth, found = np.array([[1, IGNORE, 0, IGNORE]]), np.array([[1, 1, 1, 0]])
    np.testing.assert_array_equal(confusion(truth, found, 2), [[0, 0, 1], [1, 1, 0]])


def test_per_class_distances() -> None:
    truth = np.zeros((8, 8), np.uint8)
    truth[2, 2] = 1
    prediction = np.zeros((8, 8), np.uint8)
    prediction[2, 5] = 1
    prediction[0, 0] = 2
    distances = outline_distances_per_class(truth, prediction, 4)
    # One pixel in each mask: both distances are the same. Class 2 is in one mask alone, class 3 in neither.
    expected = np.array([math.nan, 3, math.hypot(7, 7), math.nan])
    np.testing.assert_allclose(distances, np.stack([expected, expected], axis=1))
    assert distances.dtype == np.float64


def test_overlap_needs_no_scipy() -> None:
    code = "import sys, u3p_edge.metrics as m; m.dice(m.confusion([0], [0], 2)); sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _outline_points(mask: np.ndarray) -> np.ndarray:
    """Pixels with a 4-neighbour outside, one by one."""
    inside = {tuple(p) for p in np.argwhere(mask)}
    steps = ((1, 0), (-1, 0), (0, 1), (0, -1))
    return np.array([p for p in sorted(inside) if any((p[0] + y, p[1] + x) not in inside for y, x in steps)], float)


def test_what_is_no_number_ranks_last() -> None:
    assert max([rank_score(float("nan")), rank_score(0.0), rank_score(0.5)]) == 0.5
    assert rank_score(float("nan")) < rank_score(0.0) == 0.0


def test_a_class_is_averaged_over_the_groups_that_have_it() -> None:
    scores = np.array([[1.0, 0.5, np.nan], [0.0, np.nan, np.nan]])
    np.testing.assert_array_equal(metrics.mean_over_groups(scores), [0.5, 0.5, np.nan])
