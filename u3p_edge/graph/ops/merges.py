"""Ops that merge several maps: element by element, or side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from u3p_edge.graph.ops.op import Array, Attrs, Compute, Layer, Op, Shape, Weights, own_names


def _merged_shape(_attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    # Keras aligns inputs of lower rank by adding axes after the batch.
    rank = max(map(len, inputs))
    return tuple(np.broadcast_shapes(*((s[0], *(1,) * (rank - len(s)), *s[1:]) for s in inputs)))


def _merged(function: Callable[[Array, Array], Array]) -> Compute:
    """Return an op that merges its inputs from left to right; inputs of lower rank get axes after the batch, as in Keras."""

    def compute(_attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
        rank = max(a.ndim for a in x)
        aligned = [a.reshape(a.shape[0], *(1,) * (rank - a.ndim), *a.shape[1:]) for a in x]
        total = aligned[0]
        for other in aligned[1:]:
            total = function(total, other)
        return total

    return compute


def _average(attrs: Attrs, weights: Weights, x: Sequence[Array]) -> Array:
    return np.asarray(_merged(np.add)(attrs, weights, x) / np.asarray(len(x), x[0].dtype))


def _concat_shape(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    axis = attrs["axis"] % len(inputs[0])
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in inputs}
    if len(others) != 1:
        raise ValueError(f"shapes {', '.join(map(str, inputs))} cannot be joined along axis {axis}")
    return (*inputs[0][:axis], sum(shape[axis] for shape in inputs), *inputs[0][axis + 1 :])


def _concat(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    return np.concatenate(x, axis=attrs["axis"])


OPS: tuple[Op, ...] = (
    Op(
        "concat", _concat_shape, _concat, arity=None, attrs={"axis": -1}, layers=(Layer("Concatenate", own_names("axis")),),
        keeps_zero=True, keeps_scale=True, cheap=True,
    ),
    Op(
        "add", _merged_shape, _merged(np.add), arity=None, layers=(Layer("Add"),), tflite="ADD", onnx="Add",
        pixelwise=True, merges=True, keeps_zero=True, rescales=True, fuses_relu=True, cheap=True,
    ),
    Op(
        "subtract", _merged_shape, _merged(np.subtract), arity=2, layers=(Layer("Subtract"),), tflite="SUB", onnx="Sub",
        pixelwise=True, merges=True, keeps_zero=True, rescales=True, fuses_relu=True, cheap=True,
    ),
    Op(
        "multiply", _merged_shape, _merged(np.multiply), arity=None, layers=(Layer("Multiply"),), tflite="MUL", onnx="Mul",
        pixelwise=True, merges=True, keeps_zero=True, rescales=True, fuses_relu=True,
    ),
    Op(
        "maximum", _merged_shape, _merged(np.maximum), arity=None, layers=(Layer("Maximum"),), tflite="MAXIMUM", onnx="Max",
        pixelwise=True, merges=True, keeps_zero=True, keeps_scale=True,
    ),
    Op(
        "minimum", _merged_shape, _merged(np.minimum), arity=None, layers=(Layer("Minimum"),), tflite="MINIMUM", onnx="Min",
        pixelwise=True, merges=True, keeps_zero=True, keeps_scale=True,
    ),
    Op(
        "average", _merged_shape, _average, arity=None, layers=(Layer("Average"),),
        pixelwise=True, merges=True, keeps_zero=True,
    ),
)  # fmt: skip
