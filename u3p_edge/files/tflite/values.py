"""Shapes of the outputs of arithmetic on every value, and of reductions.

Each function computes the shapes that one kind of operator gives. Raises ModelError where inputs or constants do not fit.
"""

from __future__ import annotations

import numpy as np

from u3p_edge.files.tflite.call import OperatorCall, Shape


def elementwise_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Apply a function to every value."""
    return (call.shape(0),)


def row_wise_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Apply a function along the last dimension."""
    call.require(1 <= len(call.shape(0)) <= 4 and 0 not in call.shape(0), f"its input has the shape {list(call.shape(0))}")
    return (call.shape(0),)


def broadcast_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Combine values at the same index; a dimension of one is repeated."""
    shapes = [call.shape(position) for position in range(len(call.inputs))]
    try:
        return (np.broadcast_shapes(*shapes),)
    except ValueError as error:
        raise call.refusal("its maps do not fit each other") from error


def add_n_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Add maps of one shape."""
    shapes = {call.shape(position) for position in range(len(call.inputs))}
    call.require(len(shapes) == 1, "its maps do not fit each other")
    return tuple(shapes)


def prelu_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Repeat the slopes to the map, never the map to the slopes."""
    call.require(broadcast_shapes(call) == (call.shape(0),), "its slopes do not fit its map")
    return (call.shape(0),)


def reduction_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Reduce constant axes to one value each."""
    shape = call.shape(0)
    call.require(0 not in shape and len(shape) <= 5, f"it reads the shape {list(shape)}")
    axes = {call.axis(n, len(shape)) for n in call.integers(1)}
    if call.option("keepDims"):
        return (tuple(1 if axis in axes else n for axis, n in enumerate(shape)),)
    return (tuple(n for axis, n in enumerate(shape) if axis not in axes),)


def arg_max_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Give the index of the largest or smallest value along a constant axis."""
    shape = call.shape(0)
    axis = call.constant_axis(1, len(shape))
    call.require(0 not in shape, f"it reads the shape {list(shape)}")
    return ((*shape[:axis], *shape[axis + 1 :]),)
