"""Tiles cover an image evenly, and are joined without seams."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from u3p_edge.data.tiles import OVERLAP, blend, nearest_part, tile_grid

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
