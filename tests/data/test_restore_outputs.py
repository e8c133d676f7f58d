"""The mask of a whole image from probabilities, logits or labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from u3p_edge.config.metadata import OutputKind
from u3p_edge.config.preprocessing import Fit, Preprocessing
from u3p_edge.data.preprocess import inputs, restore, to_labels
from u3p_edge.data.tiles import join_labels, tile_grid
from u3p_edge.graph.ops.functions import apply_function

SIZES = st.tuples(st.integers(1, 50), st.integers(1, 50))


def spec(fit: Fit = "resize") -> Preprocessing:
    return Preprocessing(height=16, width=32, channels=1, fit=fit, normalization="none")


def outputs(channels: int, count: int, seed: int = 0) -> dict[OutputKind, list[np.ndarray]]:
    """The three outputs for each of some inputs, of the same network."""
    logits = 3 * np.random.default_rng(seed).standard_normal((count, 16, 32, channels), np.float32)
    probabilities = apply_function("sigmoid" if channels == 1 else "softmax", logits)
    labels = [to_labels(one, "logits") for one in logits]
    return {"probabilities": list(probabilities), "logits": list(logits), "labels": labels}


@pytest.mark.parametrize("fit", ["resize", "pad"])
@pytest.mark.parametrize("channels", [1, 4])
def test_an_image_of_the_networks_size_has_the_same_mask_by_each(fit: Fit, channels: int) -> None:
    masks = {kind: restore(iter([values]), (16, 32), spec(fit), kind) for kind, values in outputs(channels, 1).items()}
    assert len(np.unique(masks["labels"])) == max(channels, 2)
    np.testing.assert_array_equal(masks["logits"], masks["labels"])
    np.testing.assert_array_equal(masks["probabilities"], masks["labels"])


@pytest.mark.parametrize("channels", [1, 4])
def test_a_padded_image_has_the_same_mask_by_each(channels: int) -> None:
    for size in ((16, 20), (9, 32), (3, 3)):
        masks = [restore(iter([values]), size, spec("pad"), kind) for kind, values in outputs(channels, 1).items()]
        assert masks[0].shape == size
        assert all(np.array_equal(mask, masks[0]) for mask in masks)


def test_labels_are_resized_to_the_nearest_and_logits_in_between() -> None:
    labels = np.zeros((16, 32), np.uint8)
    labels[:, 16:] = 3
    larger = restore(iter([[labels]]), (32, 64), spec(), "labels")
    np.testing.assert_array_equal(larger, labels.repeat(2, axis=0).repeat(2, axis=1))  # and no class between 0 and 3
    logits = np.where(labels[..., None], np.float32(9), np.float32(-1))
    # Centres of the two columns are 16 pixels from each other's; the value 0 is a tenth of the distance from -1 to 9.
    wider = restore(iter([[logits]]), (16, 512), spec(), "logits")
    assert 0 < int(wider[0].argmax()) - (256 - 8 + 16 // 10) <= 1


@given(SIZES, st.integers(0, 99))
def test_joined_tiles_cover_an_image_with_the_labels_of_the_nearest(size: tuple[int, int], seed: int) -> None:
    grid = tile_grid(size, (16, 32))
    image = np.random.default_rng(seed).integers(0, 5, size, np.uint8)
    padded = np.pad(image, 32)
    rows = ([padded[32 + top : 48 + top, 32 + left : 64 + left] for left in grid.lefts] for top in grid.tops)
    np.testing.assert_array_equal(join_labels(rows, grid), image)


def test_where_tiles_disagree_the_nearer_one_decides() -> None:
    pixels = np.zeros((16, 56, 1), np.uint8)
    (row,) = list(inputs(pixels, spec("pad")))
    assert len(row) == 2  # at columns 0 and 24, which share the columns 24 to 31
    tiles = [np.full((16, 32), label, np.uint8) for label in (1, 2)]
    mask = restore(iter([tiles]), (16, 56), spec("pad"), "labels")
    np.testing.assert_array_equal(mask[0], [1] * 28 + [2] * 28)
