"""Shapes of arithmetic on every value, and of reductions."""

from __future__ import annotations

import numpy as np

from u3p_edge.files.tflite.call import Call, Shape


def same(call: Call) -> tuple[Shape, ...]:
    """A function of every value."""
    return (call.shape(0),)


def rows(call: Call) -> tuple[Shape, ...]:
    """A function along the last dimension."""
    call.require(1 <= len(call.shape(0)) <= 4 and 0 not in call.shape(0), f"its input has the shape {list(call.shape(0))}")
    return (call.shape(0),)


def broadcast(call: Call) -> tuple[Shape, ...]:
    """A function of several values at the same place; a dimension of one is repeated."""
    shapes = [call.shape(position) for position in range(len(call.inputs))]
    try:
        return (np.broadcast_shapes(*shapes),)
    except ValueError as error:
        raise call.refusal("its maps do not fit each other") from error


def total(call: Call) -> tuple[Shape, ...]:
    """A sum of equal maps."""
    shapes = {call.shape(position) for position in range(len(call.inputs))}
    call.require(len(shapes) == 1, "its maps do not fit each other")
    return tuple(shapes)


def prelu(call: Call) -> tuple[Shape, ...]:
    """Slopes that are repeated to the map, never the map to them."""
    call.require(broadcast(call) == (call.shape(0),), "its slopes do not fit its map")
    return (call.shape(0),)


def reduction(call: Call) -> tuple[Shape, ...]:
    """One value for all along constant axes."""
    shape = call.shape(0)
    call.require(0 not in shape and len(shape) <= 5, f"it reads the shape {list(shape)}")
    axes = {call.axis(n, len(shape)) for n in call.integers(1)}
    if call.option("keepDims"):
        return (tuple(1 if axis in axes else n for axis, n in enumerate(shape)),)
    return (tuple(n for axis, n in enumerate(shape) if axis not in axes),)


def place(call: Call) -> tuple[Shape, ...]:
    """The index of the largest or smallest along a constant axis."""
    shape = call.shape(0)
    axis = call.constant_axis(1, len(shape))
    call.require(0 not in shape, f"it reads the shape {list(shape)}")
    return ((*shape[:axis], *shape[axis + 1 :]),)
