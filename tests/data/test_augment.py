"""Augmentation: seeded, labels follow the image, intensities stay in the image's range."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from u3p_edge.data.augment import augment, augment_along
from u3p_edge.data.augmentation import NO_AUGMENTATION, Augmentation
from u3p_edge.errors import ConfigError

STILL = Augmentation(1.0, False, False, rotation=0, scaling=0, shift=0, gain=0, gamma=0, noise=0, bias=0)


def pair(seed: int = 0, height: int = 48, width: int = 64, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((height, width, channels), np.float32), rng.integers(0, 3, (height, width), np.uint8)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3]), st.sampled_from([-3.0, 0.0, 10.0]))
def test_any_draw_keeps_shapes_range_and_classes(seed: int, channels: int, offset: float) -> None:
    image, labels = pair(1, 32, 48, channels)
    image = image + np.float32(offset)
    labels[labels == 1] = 5
    before = image.copy(), labels.copy()
    new, mask = augment(image, labels, np.random.default_rng(seed), Augmentation(probability=0.8))
    assert new.shape == image.shape
    assert mask.shape == labels.shape
    assert new.dtype == np.float32
    assert mask.dtype == np.uint8
    # Bilinear weights sum to 1 up to rounding to float32.
    slack = 1e-6 * np.abs(image).max()
    assert image.min() - slack <= new.min()
    assert new.max() <= image.max() + slack
    assert set(np.unique(mask)) <= {0, 2, 5}
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(labels, before[1])
    again = augment(image, labels, np.random.default_rng(seed), Augmentation(probability=0.8))
    np.testing.assert_array_equal(new, again[0])
    np.testing.assert_array_equal(mask, again[1])


def test_none_gives_back_a_copy() -> None:
    image, labels = pair()
    new, mask = augment(image, labels, np.random.default_rng(0), NO_AUGMENTATION)
    np.testing.assert_array_equal(new, image)
    np.testing.assert_array_equal(mask, labels)
    assert not np.shares_memory(new, image)


def test_strengths_of_zero_change_nothing_but_rounding() -> None:
    image, labels = pair()
    new, mask = augment(image, labels, np.random.default_rng(0), STILL)
    np.testing.assert_array_equal(mask, labels)
    np.testing.assert_allclose(new, image, atol=1e-6)  # to 0..1 and back in float32


@pytest.mark.parametrize(
    ("change", "axis"), [({"flip_horizontal": True}, 1), ({"flip_vertical": True}, 0)], ids=["horizontal", "vertical"]
)
def test_flips_are_along_their_axis(change: dict[str, bool], axis: int) -> None:
    image, labels = pair()
    new, mask = augment(image, labels, np.random.default_rng(0), dataclasses.replace(STILL, **change))
    np.testing.assert_array_equal(mask, np.flip(labels, axis))
    np.testing.assert_allclose(new, np.flip(image, axis), atol=1e-6)


@pytest.mark.parametrize("change", [{"rotation": 40.0}, {"scaling": 0.5}, {"shift": 0.2}], ids=str)
def test_labels_move_with_the_image(change: dict[str, Any]) -> None:
    """A disc that is its own label stays so: bilinear and nearest cross one half on the same outline, to one pixel."""
    y, x = np.mgrid[:64, :64]
    disc = ((y - 25) ** 2 + (x - 38) ** 2 < 12**2).astype(np.uint8)
    for seed in range(5):
        new, mask = augment(
            disc[:, :, None].astype(np.float32), disc, np.random.default_rng(seed), dataclasses.replace(STILL, **change)
        )
        assert (mask != disc).any()
        differs = (new[:, :, 0] >= 0.5) != (mask == 1)
        # Of an outline of about 2 * pi * 12 * 1.5 pixels, less than a quarter fall on the other side of one half.
        assert differs.sum() < 28


def test_scaling_is_by_its_factor_and_about_the_centre() -> None:
    y, x = np.mgrid[:65, :65] - 32
    disc = (y**2 + x**2 <= 15**2).astype(np.uint8)
    for seed in range(8):
        mask = augment(
            disc[:, :, None] * np.float32(1), disc, np.random.default_rng(seed), dataclasses.replace(STILL, scaling=0.5)
        )[1]
        rows, columns = np.nonzero(mask)
        np.testing.assert_allclose((rows.mean(), columns.mean()), 32, atol=0.01)
        ratio = np.sqrt(mask.sum() / disc.sum())
        assert 1 / 1.5 - 0.05 < ratio < 1.5 + 0.05  # the outline is known to half a pixel of 15 / 1.5


@pytest.mark.parametrize("name", ["gain", "gamma", "noise", "bias"])
def test_each_intensity_change_acts_on_the_image_alone(name: str) -> None:
    image, labels = pair()
    new, mask = augment(image, labels, np.random.default_rng(3), dataclasses.replace(STILL, **dict[str, Any]({name: 0.3})))
    np.testing.assert_array_equal(mask, labels)
    assert np.abs(new - image).max() > 1e-3


def test_a_constant_image_stays_constant() -> None:
    new, _ = augment(np.zeros((32, 32, 1), np.float32), np.zeros((32, 32), np.uint8), np.random.default_rng(0))
    np.testing.assert_array_equal(new, 0)


@pytest.mark.parametrize("change", [{"noise": -0.1}, {"probability": 1.5}, {"bias": 2.0}], ids=str)
def test_strengths_that_cannot_be_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        Augmentation(**change)


def test_maps_move_along_and_change_nothing_else() -> None:
    image, labels = pair()
    maps = np.concatenate([image, 1 - image], axis=2).astype(np.float16)
    for seed in range(20):
        alone, along = np.random.default_rng(seed), np.random.default_rng(seed)
        new, mask = augment(image, labels, alone)
        same, same_mask, moved = augment_along(image, labels, maps, (0.25, 0.75), along)
        np.testing.assert_array_equal(new, same)
        np.testing.assert_array_equal(mask, same_mask)
        assert alone.random() == along.random()
        assert moved.dtype == np.float32
        # What is read of two maps with the sum 1, and comes from outside, has the sum 1; float16 near 1 has steps of 2^-11.
        np.testing.assert_allclose(moved.sum(axis=2), 1, atol=2**-10)


def test_maps_have_their_own_outside_and_keep_their_values() -> None:
    image, labels = pair()
    maps = np.ones((48, 64, 2), np.float32)
    changes = dataclasses.replace(STILL, shift=0.4, gain=0.5, gamma=0.5, noise=0.2, bias=0.5)
    moved = augment_along(image, labels, maps, (1.0, 0.0), np.random.default_rng(0), changes)[2]
    np.testing.assert_array_equal(moved[..., 0], 1)
    assert set(np.unique(moved[..., 1])) == {0, 1}
    np.testing.assert_array_equal(maps, 1)
