"""What is scored of an image in tiles is what prediction writes of it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from u3p_edge.config.metadata import OutputKind, default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.fit_notes import Original
from u3p_edge.data.preprocess import grid_of, restore, score_tiles, to_labels
from u3p_edge.data.tiled_labels import label_inputs
from u3p_edge.metrics import IGNORE

PAD = Preprocessing(16, 32, fit="pad", normalization="none")
METADATA = default_metadata(PAD, labels=3)
SIZES = st.tuples(st.integers(1, 50), st.integers(1, 70))


def outputs_of(size: tuple[int, int], kind: OutputKind, seed: int) -> list[np.ndarray]:
    """What a network might give for the tiles of an image: neighbours say other things of the pixels that they share."""
    random = np.random.default_rng(seed)
    shape = (grid_of(size, PAD).count, 16, 32)
    return list(random.integers(0, 3, shape, np.uint8) if kind == "labels" else random.random((*shape, 3), np.float32))


def mask_of(outputs: list[np.ndarray], size: tuple[int, int], kind: OutputKind) -> np.ndarray:
    """The mask that prediction makes of them."""
    grid = grid_of(size, PAD)
    remaining = iter(outputs)
    return restore(iter([list(itertools.islice(remaining, len(grid.lefts))) for _ in grid.tops]), size, PAD, kind)


@settings(deadline=None, max_examples=40)
@given(st.lists(SIZES, min_size=1, max_size=3), st.sampled_from(["probabilities", "logits", "labels"]), st.integers(0, 99))
def test_every_pixel_that_is_scored_has_the_label_that_is_predicted(
    sizes: list[tuple[int, int]], kind: OutputKind, seed: int
) -> None:
    by_image = [outputs_of(size, kind, seed + k) for k, size in enumerate(sizes)]
    originals = [Original(size) for size in sizes]
    labels = iter(list(label_inputs(itertools.chain(*by_image), originals, replace(METADATA, output=kind))))
    for size, outputs in zip(sizes, by_image, strict=True):
        grid, canvas = grid_of(size, PAD), np.zeros((size[0] + 64, size[1] + 64), np.uint8)
        for (top, left), truth in zip(
            itertools.product(grid.tops, grid.lefts), score_tiles(np.zeros(size, np.uint8), PAD), strict=True
        ):
            window = canvas[32 + top : 48 + top, 32 + left : 64 + left]
            np.copyto(window, next(labels), where=truth != IGNORE)
        np.testing.assert_array_equal(canvas[32:-32, 32:-32], mask_of(outputs, size, kind))
    assert next(labels, None) is None


def test_a_cropped_image_is_one_input() -> None:
    one = np.random.default_rng(0).random((16, 32, 3), np.float32)
    (labels,) = label_inputs(iter([one]), [Original((64, 64), cropped=True)], METADATA)
    np.testing.assert_array_equal(labels, to_labels(one))


@pytest.mark.parametrize("originals", [(), (Original((99, 99)), Original((10, 10)))])
def test_inputs_of_images_that_are_resized_are_their_own(originals: tuple[Original, ...]) -> None:
    outputs = np.random.default_rng(0).random((2, 16, 32, 1), np.float32)
    labels = label_inputs(iter(outputs), originals, default_metadata(Preprocessing(16, 32), labels=2))
    np.testing.assert_array_equal(list(labels), outputs[..., 0] >= 0.5)
