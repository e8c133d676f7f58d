"""Cut an image that is larger than the network into overlapping tiles of the network's size, and blend their masks into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from u3p_edge.data.intensity import Pixels, PlaneMap

Floats = npt.NDArray[np.float32]
Size = tuple[int, int]

OVERLAP = 4
"""Neighbouring tiles share at least one `OVERLAP`-th of their height or width."""


@dataclass(frozen=True)
class TileGrid:
    """The positions of an image's tiles: one tile at every pair of a top and a left.

    Args:
        tops, lefts: row and column of the image at which tiles begin, ascending; negative where the image is smaller than
            a tile and is centred in it.
        tile: (height, width) of a tile.
        image: (H, W) of the image.
    """

    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    tile: Size
    image: Size

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.tops) * len(self.lefts)


def tile_grid(image: Size, tile: Size) -> TileGrid:
    """Return the fewest evenly spaced tiles that cover an image and overlap by `OVERLAP`; one where the image is not larger.

    Args:
        image, tile: (height, width) in pixels.

    >>> tile_grid((64, 100), (64, 64)).lefts
    (0, 36)
    """
    tops, lefts = (_starts(have, want) for have, want in zip(image, tile, strict=True))
    return TileGrid(tops, lefts, tile, image)


def centre_window(image: Size, tile: Size) -> TileGrid:
    """Return one tile in the middle of an image, whatever it leaves out."""
    top, left = ((have - want) // 2 if have > want else -((want - have) // 2) for have, want in zip(image, tile, strict=True))
    return TileGrid((top,), (left,), tile, image)


def cut(image: Pixels, values: PlaneMap, padding: Sequence[float], grid: TileGrid, top: int, left: int) -> Floats:
    """Cut out one tile float32 [height, width, C], normalised.

    Args:
        image: [H, W, C].
        values: the normalisation of its pixels.
        padding: value outside the image, one per channel.
        grid, top, left: of the tile.
    """
    out = np.empty((*grid.tile, image.shape[2]), np.float32)
    out[:] = np.asarray(padding, np.float32)
    (source_rows, rows), (source_columns, columns) = _windows(grid, top, left)
    for channel in range(image.shape[2]):
        out[rows, columns, channel] = np.asarray(values(image[source_rows, source_columns, channel], channel))
    return out


def cut_mask(mask: npt.NDArray[np.uint8], grid: TileGrid, top: int, left: int, outside: int = 0) -> npt.NDArray[np.uint8]:
    """Cut out the part of a mask uint8 [H, W] in one tile, uint8 [height, width].

    Args:
        mask: labels of the whole image.
        grid, top, left: of the tile.
        outside: label of what is not in the image; background unless given.
    """
    out = np.full(grid.tile, outside, np.uint8)
    (source_rows, rows), (source_columns, columns) = _windows(grid, top, left)
    out[rows, columns] = mask[source_rows, source_columns]
    return out


def nearest_part(starts: Sequence[int], index: int, length: int) -> slice:
    """Return the part of a tile whose pixels are nearest to that tile, along one axis, counted from the tile's edge.

    Neighbours share each overlap half and half, so every pixel of the image is in the part of exactly one tile.

    Args:
        starts: of all tiles.
        index: of the tile among them.
        length: of a tile.
    """
    start = starts[index]
    first = 0 if index == 0 else (starts[index - 1] + length - start) // 2
    last = length if index == len(starts) - 1 else starts[index + 1] - start + (start + length - starts[index + 1]) // 2
    return slice(first, last)


def blend(rows: Iterator[Sequence[Floats]], grid: TileGrid) -> Iterator[Floats]:
    """Blend tiles into one image: where they overlap, by an average that weights a tile most in its middle, least at its edge.

    Args:
        rows: for each of `grid.tops` the tiles float32 [height, width, K] of `grid.lefts`.
        grid: of the image.

    Yields:
        Bands of whole rows, from top to bottom, float32 [rows, W, K].
    """
    height, width = grid.tile
    down, across = _weights(height, len(grid.tops)), _weights(width, len(grid.lefts))
    pending: Floats | None = None
    for index, tiles in enumerate(rows):
        total = _blend_row(tiles, grid, across)
        band = np.concatenate([total, np.ones_like(total[:, :, :1])], axis=2) * down[:, None, None]
        if pending is not None:
            band[: len(pending)] += pending
        top = grid.tops[index]
        last = index == len(grid.tops) - 1
        done = min(height, grid.image[0] - top) if last else grid.tops[index + 1] - top
        finished = band[max(-top, 0) : done]
        yield finished[:, :, :-1] / finished[:, :, -1:]
        pending = band[done:]


def join_labels(rows: Iterator[Sequence[npt.NDArray[np.uint8]]], grid: TileGrid) -> npt.NDArray[np.uint8]:
    """Join the labels of tiles into one image: where tiles overlap, a pixel has the label of the nearer one.

    Args:
        rows: for each of `grid.tops` the labels uint8 [height, width] of the tiles of `grid.lefts`.
        grid: of the image.

    Returns:
        Labels uint8 [H, W].
    """
    out = np.zeros(grid.image, np.uint8)
    for i, tiles in enumerate(rows):
        for j, tile in enumerate(tiles):
            (target_rows, rows_in), (target_columns, columns_in) = _windows(grid, grid.tops[i], grid.lefts[j])
            nearest = np.zeros(grid.tile, bool)
            nearest[nearest_part(grid.tops, i, grid.tile[0]), nearest_part(grid.lefts, j, grid.tile[1])] = True
            np.copyto(out[target_rows, target_columns], tile[rows_in, columns_in], where=nearest[rows_in, columns_in])
    return out


def _blend_row(tiles: Sequence[Floats], grid: TileGrid, weights: Floats) -> Floats:
    """Blend the tiles of one row of tiles: float32 [height, W, K]."""
    total = np.zeros((grid.tile[0], grid.image[1], tiles[0].shape[2]), np.float32)
    weight = np.zeros((1, grid.image[1], 1), np.float32)
    for left, tile in zip(grid.lefts, tiles, strict=True):
        columns, within = _window(left, grid.tile[1], grid.image[1])
        share = weights[None, within, None]
        total[:, columns] += tile[:, within] * share
        weight[:, columns] += share
    return total / weight


def _weights(length: int, tiles: int) -> Floats:
    """Return the weights of the pixels along a tile: 1 where there is no other tile, else falling from middle to edges."""
    if tiles == 1:
        return np.ones(length, np.float32)
    steps = np.arange(length, dtype=np.float32)
    return np.minimum(steps + 1, length - steps)


def _starts(have: int, want: int) -> tuple[int, ...]:
    if have <= want:
        return (-((want - have) // 2),)
    step = want - want // OVERLAP
    count = 1 + -(-(have - want) // step)
    return tuple((have - want) * i // (count - 1) for i in range(count))


def _windows(grid: TileGrid, top: int, left: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return, for rows, then for columns, where a tile reads the image, and where that part is in the tile."""
    rows, columns = (_window(start, want, have) for start, want, have in zip((top, left), grid.tile, grid.image, strict=True))
    return rows, columns


def _window(start: int, want: int, have: int) -> tuple[slice, slice]:
    """Return where a length `want` from `start` on reads from a length `have`, and where that part is in it."""
    first, last = max(start, 0), min(start + want, have)
    return slice(first, last), slice(first - start, last - start)
