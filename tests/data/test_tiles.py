"""Tiles cover an image evenly, and are joined without seams."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from u3p_edge.data.tiles import OVERLAP, TileGrid, blend, nearest_part, tile_grid

LENGTHS = st.integers(1, 300)


@settings(deadline=None)
@given(LENGTHS, LENGTHS, st.sampled_from([16, 32, 48]))
def test_tiles_cover_the_image_and_overlap(height: int, width: int, tile: int) -> None:
    grid = tile_grid((height, width), (tile, tile))
    for starts, length in ((grid.tops, height), (grid.lefts, width)):
        if length <= tile:
            assert starts == (-((tile - length) // 2),)
            continue
        assert (starts[0], starts[-1]) == (0, length - tile)
        steps = np.diff(starts)
        assert steps.max() <= tile - tile // OVERLAP
        assert steps.max() - steps.min() <= 1
        # Fewest: one tile less would have to lie further apart.
        assert len(starts) < 3 or (length - tile) / (len(starts) - 2) > tile - tile // OVERLAP
    assert grid.count == len(grid.tops) * len(grid.lefts)


@settings(deadline=None)
@given(LENGTHS, st.sampled_from([16, 32, 48]))
def test_own_parts_share_the_image_out(length: int, tile: int) -> None:
    starts = tile_grid((length, tile), (tile, tile)).tops
    owner = np.zeros(max(length, tile), int)
    for index, start in enumerate(starts):
        own = nearest_part(starts, index, tile)
        assert 0 <= own.start < own.stop <= tile
        owner[max(start, 0) + own.start : max(start, 0) + own.stop] += 1
        if index > 0:  # half of the overlap with the neighbour above, up to one row
            overlap = starts[index - 1] + tile - start
            assert abs(own.start - overlap / 2) <= 0.5
    assert (owner == 1).all()


def test_a_seam_is_a_gradual_passage() -> None:
    """One tile says 0 and the next 1: in their overlap the blend rises evenly from the one to the other."""
    grid = tile_grid((16, 28), (16, 16))
    assert grid.lefts == (0, 12)
    tiles = [np.zeros((16, 16, 1), np.float32), np.ones((16, 16, 1), np.float32)]
    (band,) = blend(iter([tiles]), grid)
    assert band.shape == (16, 28, 1)
    row = band[0, :, 0]
    assert (row[:12] == 0).all()
    assert (row[16:] == 1).all()
    # Weights fall 4, 3, 2, 1 on the left and rise 1, 2, 3, 4 on the right.
    np.testing.assert_allclose(row[12:16], [0.2, 0.4, 0.6, 0.8], atol=1e-7)


def cut_rows(whole: npt.NDArray[np.float32], grid: TileGrid) -> Iterator[list[npt.NDArray[np.float32]]]:
    """The tiles of maps [H, W, K] that a network would give which sees nothing beyond a pixel."""
    height, width = grid.tile
    return ([whole[top : top + height, left : left + width] for left in grid.lefts] for top in grid.tops)


@settings(deadline=None, max_examples=20)
@given(st.integers(16, 90), st.integers(16, 90), st.integers(0, 2**31))
def test_tiles_that_agree_have_no_seam(height: int, width: int, seed: int) -> None:
    """A pixel is a sum of at most three products a direction over the sum of their weights: some ten roundings of 2^-24."""
    whole = np.random.default_rng(seed).random((height, width, 2), np.float32)
    blended = np.concatenate(list(blend(cut_rows(whole, grid := tile_grid((height, width), (16, 16))), grid)))
    np.testing.assert_allclose(blended, whole, rtol=16 * 2**-24)


def test_an_image_is_blended_in_the_memory_of_some_rows_of_tiles() -> None:
    grid = tile_grid((4096, 512), (64, 64))
    whole = np.zeros((*grid.image, 2), np.float32)
    tracemalloc.start()
    try:
        rows = sum(len(band) for band in blend(cut_rows(whole, grid), grid))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == 4096
    # A row of tiles with its weights has 64 x 512 x 3 numbers; it, what is pending, and what sums and quotients take while they
    # are computed are below ten times that, a quarter of the whole map.
    assert peak < 10 * 64 * 512 * 3 * 4 < whole.nbytes / 4
