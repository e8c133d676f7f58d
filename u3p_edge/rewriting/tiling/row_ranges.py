"""Which rows of its inputs a node needs for some rows of its output, and how to change the node so that it computes just those.

Rows are half-open intervals [first, last) of the height axis. From some rows of its input a node computes the rows `given`.
Where the input was cut, the outermost of these are wrong: a convolution reads the zero padding instead of the row beyond the
cut, and an interpolation clamps. `needed` therefore asks for so many more rows that the wrong ones are never among those that
are wanted. At the map's border there is no cut, and padding and clamping do what they do to the whole map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from u3p_edge.graph.ir import Node
from u3p_edge.graph.ops import Shape
from u3p_edge.graph.ops.op import norm_axes

Rows = tuple[int, int]

_HEIGHT = 1
_CUTS = {16: 1.1, 8: 1.1, 4: 1.1, 2: 1.25}
"""Multiples of rows to cut at, and how many times the mean height a tile may then have: the tallest determines the memory."""


@dataclass(frozen=True)
class Geometry:
    """How one node maps the rows of its (first) input to those of its output.

    Args:
        refusal: why the node cannot compute some of its rows alone; empty if it can. The other fields hold only then.
        needed: returns the input's rows that are needed for rows of the node, clipped to those that exist.
        given: returns the rows that the node computes, from the input's rows `needed(wanted)` and from `wanted`, in that order.
            They include `wanted`.
        cut: returns the node that computes those rows, from the original node, the input's rows and `wanted`.
    """

    refusal: str = ""
    needed: Callable[[Rows], Rows] = lambda rows: rows
    given: Callable[[Rows, Rows], Rows] = lambda rows, _wanted: rows
    cut: Callable[[Node, Rows, Rows], Node] = lambda node, _rows, _wanted: node


_SAME = Geometry()


def row_geometry(node: Node, before: tuple[Shape, ...], after: Shape) -> Geometry:
    """Return the geometry of a node with inputs of shapes `before` and the shape `after`, all [N, H, W, C]."""
    if len(after) != 4:
        return Geometry("it is not a map with rows")
    if node.kind.merges:
        return _SAME
    if not before or len(before[0]) != 4:
        return Geometry("it is not computed from a map with rows")
    if node.op in _KINDS:
        return _KINDS[node.op](node, before[0], after)
    return _SAME if node.kind.pixelwise else Geometry(f"{node.op} needs the whole map")


def clip_rows(rows: Rows, height: int) -> Rows:
    """Return the rows of an interval that a map of `height` rows has, or the nearest row where it has none of them."""
    first = min(max(rows[0], 0), height - 1)
    return first, max(min(rows[1], height), first + 1)


def cut_rows(height: int, count: int) -> tuple[Rows, ...]:
    """Return the rows [first, last) of `count` tiles, nearly even, and cut at multiples of 16, else 8, 4 or 2, where possible.

    Winograd's form computes pairs of rows, an upsampling by s computes groups of s: what a cut divides is computed twice.
    """
    for multiple, taller in _CUTS.items():
        step = count * multiple
        cuts = [(2 * i * height + step) // (2 * step) * multiple for i in range(count)] + [height]
        rows = tuple(pairwise(cuts))
        sizes = [last - first for first, last in rows]
        if min(sizes) >= 2 and max(sizes) * count <= taller * height:
            return rows
    return tuple((i * height // count, (i + 1) * height // count) for i in range(count))


def join_rows(a: Rows, b: Rows) -> Rows:
    """Return the smallest interval that contains both intervals."""
    return min(a[0], b[0]), max(a[1], b[1])


def broadcasts(shape: Shape, after: Shape) -> bool:
    """Return whether a merge of shape `after` uses the one row of an operand of that shape for all its rows."""
    return len(shape) != 4 or (shape[_HEIGHT] == 1 < after[_HEIGHT])


def _along(node: Node, _before: Shape, after: Shape) -> Geometry:
    return Geometry(f"its {node.op} works along the rows") if _HEIGHT in norm_axes(node.attrs, len(after)) else _SAME


def _prelu(node: Node, _before: Shape, _after: Shape) -> Geometry:
    return _SAME if node.weights["alpha"].shape[0] == 1 else Geometry("its slopes differ from row to row")


def _conv(node: Node, before: Shape, _after: Shape) -> Geometry:
    span = (node.weights["kernel"].shape[0] - 1) * node.attrs["dilation"][0] + 1
    if node.attrs["strides"][0] != 1:
        return Geometry("it is strided along the rows")
    if node.attrs["padding"] == "valid":
        return Geometry(needed=lambda r: (r[0], r[1] + span - 1), given=lambda _rows, wanted: wanted)
    above = (span - 1) // 2
    return Geometry(needed=lambda r: clip_rows((r[0] - above, r[1] + span - 1 - above), before[_HEIGHT]))


def _pool(node: Node, before: Shape, _after: Shape) -> Geometry:
    size, stride, height = node.attrs["pool_size"][0], node.attrs["strides"][0], before[_HEIGHT]
    if size != stride:
        return Geometry("its windows overlap")
    if height % size and node.attrs["padding"] == "same":
        return Geometry("its windows do not divide the rows, so where they start depends on the height")
    return Geometry(needed=lambda r: (r[0] * size, r[1] * size), given=lambda _rows, wanted: wanted)


def _upsample(node: Node, before: Shape, _after: Shape) -> Geometry:
    """Bilinear with half-pixel centres: row y lies at (y + 1/2) / s - 1/2 of the small map, between its two neighbours."""
    s, height = node.attrs["size"][0], before[_HEIGHT]
    if s == 1:
        return _SAME

    def grown(rows: Rows, _wanted: Rows) -> Rows:
        return rows[0] * s, rows[1] * s

    if node.attrs["interpolation"] == "nearest":
        return Geometry(needed=lambda r: (r[0] // s, -(-r[1] // s)), given=grown)
    if node.attrs["interpolation"] != "bilinear":
        return Geometry(f"{node.attrs['interpolation']} interpolation reads more than two rows")
    if s & (s - 1):
        # Only for a power of two is a row's position the same float counted from the map's and from a tile's first row.
        return Geometry(f"its scale {s} is not a power of two, so a tile's interpolation weights would round differently")

    def read(rows: Rows) -> Rows:
        return clip_rows(((2 * rows[0] + 1 - s) // (2 * s), (2 * rows[1] - 1 - s) // (2 * s) + 2), height)

    return Geometry(needed=read, given=grown)


def _interpolated_sum(node: Node, before: Shape, _after: Shape) -> Geometry:
    """The output rows of an input row are computed from it and its two neighbours.

    Beyond a cut there is no neighbour, so the output rows of the outermost input row are left out there.
    """
    s, height = node.attrs["factor"], before[_HEIGHT]
    if node.attrs["axis"] != _HEIGHT:
        return _SAME

    def ends(rows: Rows) -> tuple[bool, bool]:
        return rows[0] > 0, rows[1] < height

    def given(rows: Rows, _wanted: Rows) -> Rows:
        first, last = ends(rows)
        return s * (rows[0] + first), s * (rows[1] - last)

    return Geometry(
        needed=lambda r: clip_rows((r[0] // s - 1, -(-r[1] // s) + 1), height),
        given=given,
        cut=lambda new, rows, _wanted: replace(new, attrs={**new.attrs, "cut": ends(rows)}),
    )


def _crop(node: Node, _before: Shape, _after: Shape) -> Geometry:
    (top, _), columns = node.attrs["cropping"]
    return Geometry(
        needed=lambda r: (r[0] + top, r[1] + top),
        given=lambda _rows, wanted: wanted,
        cut=lambda new, _rows, _wanted: replace(new, attrs={**new.attrs, "cropping": ((0, 0), columns)}),
    )


def _pad(node: Node, before: Shape, _after: Shape) -> Geometry:
    """Add only the zero rows that are wanted.

    Where only zero rows are wanted, they are attached to the map's nearest row, and that row is cropped away.
    """
    (top, _), columns = node.attrs["padding"]

    def given(rows: Rows, wanted: Rows) -> Rows:
        return join_rows((rows[0] + top, rows[1] + top), wanted)

    def cut(new: Node, rows: Rows, wanted: Rows) -> Node:
        first, last = given(rows, wanted)
        added = (rows[0] + top - first, last - rows[1] - top)
        return replace(new, attrs={**new.attrs, "padding": (added, columns)})

    return Geometry(needed=lambda r: clip_rows((r[0] - top, r[1] - top), before[_HEIGHT]), given=given, cut=cut)


def _space_to_depth(node: Node, _before: Shape, _after: Shape) -> Geometry:
    block = node.attrs["block"]
    return Geometry(needed=lambda r: (r[0] * block, r[1] * block), given=lambda _rows, wanted: wanted)


def _depth_to_space(node: Node, _before: Shape, _after: Shape) -> Geometry:
    block = node.attrs["block"]
    return Geometry(
        needed=lambda r: (r[0] // block, -(-r[1] // block)), given=lambda rows, _wanted: (rows[0] * block, rows[1] * block)
    )


def _reshape(_node: Node, before: Shape, after: Shape) -> Geometry:
    """The same values in rows that are longer or shorter by a whole factor."""
    old, new_height = before[_HEIGHT], after[_HEIGHT]
    if old % new_height and new_height % old:
        return Geometry("its rows do not merge or split evenly")
    merged, split = max(old // new_height, 1), max(new_height // old, 1)

    def cut(new: Node, rows: Rows, _wanted: Rows) -> Node:
        return replace(new, attrs={**new.attrs, "target_shape": ((rows[1] - rows[0]) * split // merged, *after[2:])})

    return Geometry(
        needed=lambda r: (r[0] * merged // split, math.ceil(r[1] * merged / split)),
        given=lambda rows, _wanted: (rows[0] * split // merged, rows[1] * split // merged),
        cut=cut,
    )


_KINDS: Mapping[str, Callable[[Node, Shape, Shape], Geometry]] = {
    "conv": _conv,
    "depthwise_conv": _conv,
    **dict.fromkeys(("concat", "batch_norm", "layer_norm", "softmax"), _along),
    "prelu": _prelu,
    "max_pool": _pool,
    "average_pool": _pool,
    "upsample": _upsample,
    "interpolated_sum": _interpolated_sum,
    "crop": _crop,
    "pad": _pad,
    "space_to_depth": _space_to_depth,
    "depth_to_space": _depth_to_space,
    "reshape": _reshape,
}
