"""Translate each op of a graph to TFLite operators: one function for each op, and one table of them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from u3p_edge.conversion.tflite.layout_ops import crop, reshape_to
from u3p_edge.conversion.tflite.lower_interpolated import lower_interpolated_sum
from u3p_edge.conversion.tflite.lower_weights import (
    lower_conv_transpose,
    lower_convolution,
    lower_dense,
    lower_function,
    padding,
)
from u3p_edge.conversion.tflite.pieces import NONE, RELU, Call, LoweringContext, integers, joined, make_constant, relu_kind
from u3p_edge.conversion.tflite.schema import Tensor
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Node

Lowering = Callable[[LoweringContext, Node, Tensor, int], tuple[Call, ...]]
"""Takes a node, the map that it computes and the activation fused after it; returns the operators that compute it."""


def _activation(context: LoweringContext, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    if node.attrs["function"] == "linear":
        return _copy(context, node, out, NONE)
    return lower_function(node.attrs["function"], context.map(context.source(node)), out)


def _relu(context: LoweringContext, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    limit, slope = node.attrs["max_value"], node.attrs["negative_slope"]
    if node.attrs["threshold"] != 0 or limit not in (None, 6) or (slope != 0 and limit is not None):
        raise ModelError(f"the ReLU {node.name!r} has a bound, slope or threshold that TFLite cannot say")
    if slope != 0:
        return (Call("LEAKY_RELU", context.sources(node), out, {"alpha": slope}),)
    return (Call("RELU" if relu_kind(node) == RELU else "RELU6", context.sources(node), out),)


def _leaky(context: LoweringContext, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    return (Call("LEAKY_RELU", context.sources(node), out, {"alpha": node.attrs["alpha"]}),)


def _elu(context: LoweringContext, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    if node.attrs["alpha"] != 1:
        raise ModelError(f"the ELU {node.name!r} has the slope {node.attrs['alpha']}; TFLite knows only 1")
    return (Call("ELU", context.sources(node), out),)


def _softmax(context: LoweringContext, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    if node.attrs["axis"] not in (-1, len(out.shape) - 1):
        raise ModelError(f"the softmax {node.name!r} is over axis {node.attrs['axis']}; TFLite knows only the last")
    return (Call("SOFTMAX", context.sources(node), out, {"beta": 1.0}),)


def _pool(code: str) -> Lowering:
    def lower(context: LoweringContext, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
        (height, width), (down, right) = node.attrs["pool_size"], node.attrs["strides"]
        options = {"filterHeight": height, "filterWidth": width, "strideH": down, "strideW": right}
        return (Call(code, context.sources(node), out, {**options, **padding(node), "fusedActivationFunction": fused}),)

    return lower


def _global(code: str) -> Lowering:
    def lower(context: LoweringContext, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
        axes = integers(f"{node.name}/axes", 1, 2)
        return (Call(code, (context.source(node), axes), out, {"keepDims": bool(node.attrs["keepdims"])}),)

    return lower


def _upsample(context: LoweringContext, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    code = {"bilinear": "RESIZE_BILINEAR", "nearest": "RESIZE_NEAREST_NEIGHBOR"}.get(node.attrs["interpolation"])
    if code is None:
        raise ModelError(f"the interpolation {node.attrs['interpolation']} of {node.name!r} has no TFLite form")
    size = integers(f"{node.name}/size", *out.shape[1:3])
    return (Call(code, (context.source(node), size), out, {"alignCorners": False, "halfPixelCenters": True}),)


def _concat(context: LoweringContext, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    return joined([(name, context.shapes[name]) for name in context.sources(node)], out, node.attrs["axis"] % len(out.shape))


def _crop(context: LoweringContext, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    (top, _), (left, _) = node.attrs["cropping"]
    first, _ = node.attrs["channels"] or (0, 0)
    return (crop(context.source(node), out, top, left, first),)


def _blocks(code: str) -> Lowering:
    return lambda context, node, out, _fused: (Call(code, context.sources(node), out, {"blockSize": node.attrs["block"]}),)


def _pad(context: LoweringContext, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    """Lower zero padding, of columns alone as a concatenation.

    XNNPACK concatenates columns several times faster than it pads them, and rows as fast.
    """
    rows, columns = node.attrs["padding"]
    if any(rows) or not any(columns):
        paddings = integers(f"{node.name}/paddings", (0, 0), rows, columns, (0, 0))
        return (Call("PAD", (context.source(node), paddings), out),)
    operands = (_zeros(out, columns[0]), context.source(node), _zeros(out, columns[1]))
    return (Call("CONCATENATION", tuple(o for o in operands if o is not None), out, {"axis": 2}),)


def _zeros(out: Tensor, count: int) -> Tensor | None:
    """Return `count` columns that represent zero, or None for no column."""
    if not count:
        return None
    shape = (*out.shape[:2], count, out.shape[3])
    zero = int(out.zero_point[0]) if out.scale.size else 0
    return make_constant(f"zeros_{'x'.join(map(str, shape))}", np.full(shape, zero, out.dtype), like=out)


def _reshape(context: LoweringContext, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    return (reshape_to(context.source(node), out),)


def _copy(context: LoweringContext, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    """Lower a node that computes nothing: it gives another quantization, or the same values under an output's name."""
    source = context.map(context.source(node))
    if (source.scale, source.zero_point) == (out.scale, out.zero_point):
        return _reshape(context, node, out, 0)
    return (Call("QUANTIZE", (source.name,), out),)


LOWERINGS: Mapping[str, Lowering] = MappingProxyType(
    {
        "conv": lower_convolution,
        "depthwise_conv": lower_convolution,
        "conv_transpose": lower_conv_transpose,
        "dense": lower_dense,
        "activation": _activation,
        "relu": _relu,
        "leaky_relu": _leaky,
        "elu": _elu,
        "softmax": _softmax,
        "max_pool": _pool("MAX_POOL_2D"),
        "average_pool": _pool("AVERAGE_POOL_2D"),
        "global_max_pool": _global("REDUCE_MAX"),
        "global_average_pool": _global("MEAN"),
        "upsample": _upsample,
        "interpolated_sum": lower_interpolated_sum,
        "concat": _concat,
        "crop": _crop,
        "pad": _pad,
        "space_to_depth": _blocks("SPACE_TO_DEPTH"),
        "depth_to_space": _blocks("DEPTH_TO_SPACE"),
        "reshape": _reshape,
        "flatten": _reshape,
        "identity": _copy,
        "dropout": _copy,
        "spatial_dropout": _copy,
        "alpha_dropout": _copy,
        "gaussian_dropout": _copy,
        "gaussian_noise": _copy,
    }
)
"""The function of every op that needs one of its own."""


def lowering_of(node: Node) -> Lowering | None:
    """Return how a node is lowered: by its op's function, or to the operator that the op's record names; None for neither."""
    return LOWERINGS.get(node.op) or (_operator if node.kind.tflite else None)


def _operator(context: LoweringContext, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
    """Lower to the operator that the op's record names; a merge has two operands there: `decompose` gives it no more."""
    operands = context.sources(node)
    if node.kind.merges and len(operands) != 2:
        many = f"{node.op} {node.name!r} has {len(operands)} operands"
        raise ModelError(f"the int8 {many}; its partial results have no scale")
    options = {"fusedActivationFunction": fused} if node.kind.fuses_relu else {}
    return (Call(node.kind.tflite, operands, out, options),)
