"""Shapes of the outputs of operators that move values, join or cut maps, or resize them.

Each function computes the shapes that one operator gives. Raises ModelError where inputs, constants or options do not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from types import EllipsisType

import numpy as np

from u3p_edge.files.tflite.call import OperatorCall, Shape


def concatenation_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Join maps along an axis."""
    shapes = [call.shape(position) for position in range(len(call.inputs))]
    axis = call.axis(call.option("axis"), len(shapes[0]))
    rest = {shape[:axis] + shape[axis + 1 :] for shape in shapes if len(shape) == len(shapes[0])}
    call.require(len(rest) == 1 and all(len(shape) == len(shapes[0]) for shape in shapes), "its maps do not fit each other")
    return ((*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :]),)


def reshape_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Take the shape from a constant, or else from the options; one -1 means whatever is left."""
    if len(call.inputs) > 1:
        call.shape(1, 1)
        wanted = call.integers(1)
    else:
        wanted = tuple(int(n) for n in _few(call, "newShape"))
    size = prod(call.shape(0))
    known = prod(n for n in wanted if n != -1)
    call.require(wanted.count(-1) <= 1 and min(wanted, default=0) >= -1, f"its new shape is {list(wanted)}")
    if -1 in wanted:
        call.require(known > 0 and size % known == 0, f"{size} elements do not fit into {list(wanted)}")
        wanted = tuple(size // known if n == -1 else n for n in wanted)
    call.require(prod(wanted) == size, f"{size} elements do not fit into {list(wanted)}")
    return (wanted,)


def _few(call: OperatorCall, name: str) -> Sequence[int]:
    value = call.op.options.get(name)
    numbers = () if value is None else np.ravel(value)
    call.require(len(numbers) <= 64, f"its option {name} has {len(numbers)} numbers")
    return [int(n) for n in numbers]


def squeeze_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Remove the named dimensions of one, or all of them."""
    shape = call.shape(0)
    axes = {call.axis(n, len(shape)) for n in _few(call, "squeezeDims")} or {i for i, n in enumerate(shape) if n == 1}
    call.require(all(shape[axis] == 1 for axis in axes), "it leaves out a dimension of more than one")
    return (tuple(n for axis, n in enumerate(shape) if axis not in axes),)


def expand_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Insert a dimension of one before the axis."""
    shape = call.shape(0)
    axis = call.constant_axis(1, len(shape) + 1)
    return ((*shape[:axis], 1, *shape[axis:]),)


def transpose_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Reorder the dimensions."""
    shape = call.shape(0)
    order = call.integers(1, len(shape))
    call.require(sorted(order) == list(range(len(shape))), f"its order is {list(order)}")
    return (tuple(shape[axis] for axis in order),)


def pad_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Add elements before and after, in every dimension."""
    shape = call.shape(0)
    ends = call.integers(1, 2 * len(shape))
    call.require(call.shape(1) == (len(shape), 2) and min(ends, default=0) >= 0 and len(shape) <= 5, f"it pads by {list(ends)}")
    if call.op.code == "MIRROR_PAD":
        mode = call.option("mode")
        inside = [n - (mode == 0) for n in shape]  # 0 reflects without the edge, 1 with it
        fits = mode in (0, 1) and all(max(ends[2 * i : 2 * i + 2]) <= n for i, n in enumerate(inside))
        call.require(fits, "it mirrors more than there is")
    if call.op.code == "PADV2":
        call.require(prod(call.shape(2)) == 1 and call.tensor(2).dtype == call.tensor(0).dtype, "it pads by several values")
    return (tuple(n + ends[2 * i] + ends[2 * i + 1] for i, n in enumerate(shape)),)


def slice_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Cut out so many elements from an index on; -1 means all that follow."""
    shape = call.shape(0)
    first, size = call.integers(1, len(shape)), call.integers(2, len(shape))
    counts = tuple(n - a if count == -1 else count for n, a, count in zip(shape, first, size, strict=True))
    fits = all(a >= 0 and 0 <= count <= n - a for n, a, count in zip(shape, first, counts, strict=True))
    call.require(fits and len(shape) <= 5, f"it cuts {list(size)} at {list(first)} of {list(shape)}")
    return (counts,)


def strided_slice_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Cut out as a slice of Python does; NumPy computes the shape without the values."""
    shape, first = call.shape(0), call.integers(1)
    last, step = call.integers(2, len(first)), call.integers(3, len(first))
    call.require(len(shape) <= 5 and not call.option("offset") and 0 not in step, "its slices cannot be worked out")

    def masked(name: str, position: int) -> bool:
        return bool(call.option(f"{name}Mask") >> position & 1)

    def index(position: int) -> slice | int | EllipsisType | None:
        if masked("ellipsis", position):
            return Ellipsis
        if masked("newAxis", position):
            return None
        if masked("shrinkAxis", position):
            return first[position]
        ends = (None if masked("begin", position) else first[position], None if masked("end", position) else last[position])
        return slice(*ends, step[position])

    try:
        return (np.broadcast_to(np.zeros(()), shape)[tuple(index(position) for position in range(len(first)))].shape,)
    except IndexError as error:
        raise call.refusal(str(error)) from error


def split_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Cut into equal parts along a constant axis."""
    shape, count = call.shape(1), call.positive("numSplits")
    axis = call.constant_axis(0, len(shape))
    call.require(count == len(call.outputs) and shape[axis] % count == 0, f"it makes {count} parts of {shape[axis]}")
    return ((*shape[:axis], shape[axis] // count, *shape[axis + 1 :]),) * count


def split_v_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Cut into parts of given sizes along a constant axis; one -1 means whatever is left."""
    shape, sizes = call.shape(0), call.integers(1, len(call.outputs))
    axis = call.constant_axis(2, len(shape))
    rest = shape[axis] - sum(n for n in sizes if n != -1)
    sizes = tuple(rest if n == -1 and sizes.count(-1) == 1 else n for n in sizes)
    call.require(min(sizes) >= 0 and sum(sizes) == shape[axis], f"it makes parts of {list(sizes)} of {shape[axis]}")
    return tuple((*shape[:axis], n, *shape[axis + 1 :]) for n in sizes)


def stack_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Join maps of one shape along a new axis."""
    shapes = {call.shape(position) for position in range(len(call.inputs))}
    call.require(len(shapes) == 1 and call.option("valuesCount") == len(call.inputs), "its maps do not fit each other")
    (shape,) = shapes
    axis = call.axis(call.option("axis"), len(shape) + 1)
    return ((*shape[:axis], len(call.inputs), *shape[axis:]),)


def unstack_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Undo `stack_shapes`."""
    shape = call.shape(0)
    axis = call.axis(call.option("axis"), len(shape))
    call.require(shape[axis] == call.option("num") == len(call.outputs), "it has another number of outputs")
    return ((*shape[:axis], *shape[axis + 1 :]),) * len(call.outputs)


def resize_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Resize [N, H, W, C] to a constant height and width."""
    batch, _, _, channels = call.shape(0, 4)
    return ((batch, *call.integers(1, 2), channels),)


def space_to_depth_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Move blocks of pixels to channels."""
    (batch, height, width, channels), block = call.shape(0, 4), call.positive("blockSize")
    call.require(height % block == 0 and width % block == 0, f"{height}x{width} has no blocks of {block}")
    return ((batch, height // block, width // block, channels * block * block),)


def depth_to_space_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Move channels to blocks of pixels."""
    (batch, height, width, channels), block = call.shape(0, 4), call.positive("blockSize")
    call.require(channels % (block * block) == 0, f"{channels} channels are no blocks of {block}")
    return ((batch, height * block, width * block, channels // (block * block)),)


def space_to_batch_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Pad, then move each pixel of a block to a separate map of the batch."""
    (batch, height, width, channels), block = call.shape(0, 4), call.integers(1, 2)
    ends = call.integers(2, 4)
    sizes = (height + ends[0] + ends[1], width + ends[2] + ends[3])
    fits = min(block) > 0 and min(ends) >= 0 and all(n % b == 0 for n, b in zip(sizes, block, strict=True))
    call.require(fits and call.shape(2) == (2, 2), f"{sizes[0]}x{sizes[1]} has no blocks of {list(block)}")
    return ((batch * prod(block), sizes[0] // block[0], sizes[1] // block[1], channels),)


def batch_to_space_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Undo `space_to_batch_shapes`, then crop."""
    (batch, height, width, channels), block = call.shape(0, 4), call.integers(1, 2)
    ends = call.integers(2, 4)
    fits = min(block) > 0 and min(ends) >= 0 and call.shape(2) == (2, 2) and batch % prod(block) == 0
    call.require(fits, f"{batch} maps are no blocks of {list(block)}")
    return ((batch // prod(block), height * block[0] - ends[0] - ends[1], width * block[1] - ends[2] - ends[3], channels),)


def tile_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Repeat in every dimension."""
    shape = call.shape(0)
    return (tuple(n * times for n, times in zip(shape, call.integers(1, len(shape)), strict=True)),)


def broadcast_to_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Repeat to a constant shape."""
    wanted = call.integers(1)
    call.require(min(wanted, default=1) > 0, f"its shape is {list(wanted)}")
    call.require(np.broadcast_shapes(call.shape(0), wanted) == wanted, f"{list(call.shape(0))} does not grow to {list(wanted)}")
    return (wanted,)


def fill_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Fill a constant shape with one value."""
    call.require(call.shape(1) == (), "it fills with several values")
    return (call.integers(0),)


def gather_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Pick parts along an axis by constant indices."""
    shape, (count,) = call.shape(0), call.shape(1, 1)
    axis, indices = call.axis(call.option("axis"), len(shape)), call.tensor(1).data
    call.require(
        call.option("batchDims") == 0 and indices is not None and indices.dtype == np.int32, "its indices are computed"
    )
    fits = indices is not None and (indices.size == 0 or (indices.min() >= 0 and indices.max() < shape[axis]))
    call.require(bool(fits), f"it takes a part that {shape[axis]} have not")
    return ((*shape[:axis], count, *shape[axis + 1 :]),)


def reverse_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Reverse one constant axis."""
    shape = call.shape(0)
    axes = [call.axis(n, len(shape)) for n in call.integers(1)]
    call.require(len(axes) == 1, "it turns several axes")
    return (shape,)
