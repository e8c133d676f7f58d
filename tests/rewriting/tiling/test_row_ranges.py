"""Cuts along the rows: they cover the map, nearly evenly, at multiples that suit what is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from u3p_edge.rewriting.tiling.row_ranges import cut_rows


@given(st.integers(4, 700), st.data())
def test_cuts_cover_the_rows_nearly_evenly(height: int, data: st.DataObject) -> None:
    """The tallest tile is at most a quarter taller than the mean, or a row, where no tile could be as tall as the mean."""
    count = data.draw(st.integers(2, height // 2))
    rows = cut_rows(height, count)
    assert len(rows) == count
    assert (rows[0][0], rows[-1][1]) == (0, height)
    assert all(a[1] == b[0] for a, b in pairwise(rows))
    sizes = [last - first for first, last in rows]
    assert min(sizes) >= 2
    assert max(sizes) <= max(1.25 * height / count, height / count + 1)


@pytest.mark.parametrize(
    ("height", "count", "sizes"),
    [
        (320, 5, {64}),
        (320, 6, {48, 56}),  # at multiples of 8: of 16 there would be tiles of 64, a fifth above the mean
        (320, 12, {24, 28}),
        (128, 12, {10, 12}),  # pairs are worth more: 12 rows are an eighth above the mean
        (30, 7, {4, 5}),
    ],
)
def test_cuts_are_at_the_largest_multiples_that_keep_tiles_even(height: int, count: int, sizes: set[int]) -> None:
    assert {last - first for first, last in cut_rows(height, count)} == sizes
