"""Sets of classes as values of labels: each class is a binary mask of its own, in scores and in distances of outlines too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from u3p_edge.label_values import MOST_CLASSES, classes_of, count_values, describe_values, has_class, join_classes, value_of
from u3p_edge.metrics import IGNORE, confusion, confusion_by_group, confusion_by_image, outline_distances_per_class

CLASSES = st.integers(2, MOST_CLASSES)
MEMBERS = CLASSES.flatmap(lambda count: hnp.arrays(bool, (count, 4, 5)))


@given(MEMBERS)
@settings(max_examples=30, deadline=None)
def test_every_class_is_read_back(members: np.ndarray) -> None:
    values = join_classes(list(members))
    assert values.dtype == np.uint8
    assert values.max() < count_values(len(members) + 1, multi_label=True) <= 128
    for label, member in enumerate(members, start=1):
        np.testing.assert_array_equal(has_class(values, label, multi_label=True), member)
    np.testing.assert_array_equal(has_class(values, 0, multi_label=True), ~members.any(axis=0))
    for value, pixel in zip(values.ravel().tolist(), members.reshape(len(members), -1).T, strict=True):
        assert classes_of(value, multi_label=True) == (tuple(np.flatnonzero(pixel) + 1) or (0,))


def test_no_set_of_classes_is_an_ignored_pixel() -> None:
    every = join_classes([np.ones(1, bool)] * MOST_CLASSES)
    assert every[0] == count_values(MOST_CLASSES + 1, multi_label=True) - 1 < IGNORE


@pytest.mark.parametrize("multi_label", [True, False])
def test_one_class_has_one_code(multi_label: bool) -> None:
    assert count_values(2, multi_label) == 2
    assert [value_of(label, multi_label) for label in range(2)] == [0, 1]
    np.testing.assert_array_equal(has_class(np.array([0, 1]), 1, multi_label), [False, True])


def test_what_the_values_mean_is_said() -> None:
    assert describe_values(("nothing", "a", "b")) == "0 nothing, 1 a, 2 b"
    assert describe_values(("nothing", "a", "b"), multi_label=True) == "0 nothing, 1 a, 2 b, their sum where they overlap"


@given(st.integers(0, 2**16), CLASSES)
@settings(max_examples=30, deadline=None)
def test_counts_of_a_class_are_those_of_its_binary_masks(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    truth, prediction = random.integers(0, 1 << classes, (2, 3, 4, 5)).astype(np.uint8)
    truth[0, 1] = IGNORE
    prediction[0, 1, 0] = 255 >> 8 - classes  # what is predicted where nothing is scored does not matter
    counts = confusion_by_image(truth, prediction, classes + 1, multi_label=True)
    assert counts.shape == (3, classes + 1, 3)
    for label in range(classes + 1):
        masks = [has_class(each, label, multi_label=True).astype(np.uint8) for each in (truth, prediction)]
        masks[0][truth == IGNORE] = IGNORE
        np.testing.assert_array_equal(counts[:, label], confusion_by_image(masks[0], masks[1], 2)[:, 1])
    np.testing.assert_array_equal(confusion(truth, prediction, classes + 1, multi_label=True), counts.sum(axis=0))
    pooled = confusion_by_group(truth, prediction, ("a", "b", "a"), classes + 1, multi_label=True)
    np.testing.assert_array_equal(pooled, [counts[0] + counts[2], counts[1]])


def test_a_value_beyond_the_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"prediction has labels 0\.\.4, outside 0\.\.3"):
        confusion([0, 3, 3], [0, 3, 4], 3, multi_label=True)
    with pytest.raises(ValueError, match=r"truth has labels 0\.\.3, outside 0\.\.2"):
        confusion([0, 3], [0, 1], 3)


def test_outlines_are_those_of_each_class() -> None:
    truth, prediction = np.zeros((2, 8, 8), np.uint8)
    truth[2, 2] = 1 | 2
    prediction[2, 2], prediction[2, 5] = 1, 2
    distances = outline_distances_per_class(truth, prediction, 3, multi_label=True)
    np.testing.assert_array_equal(distances, [(np.nan, np.nan), (0, 0), (3, 3)])
