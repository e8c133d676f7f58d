"""What each op of a graph is in TFLite: one function an op, one table that names them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.export.flatbuffer import Tensor
from u3p_edge.export.tflite_pieces import (
    NONE,
    RELU,
    SAME,
    VALID,
    Call,
    Context,
    constant,
    integers,
    quantized,
    relu_kind,
)
from u3p_edge.graph.ir import Node

Lowering = Callable[[Context, Node, Tensor, int], tuple[Call, ...]]
"""From a node, the map it gives and the activation fused behind it, to the operators that compute it."""

CONCAT_OPERANDS = 5
"""The most operands with which XNNPACK takes a concatenation."""


def _plain(code: str, **options: Any) -> Lowering:
    """An operator of the same meaning, which fuses nothing."""

    def lower(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
        return (Call(code, at.sources(node), out, options),)

    return lower


def _convolution(at: Context, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
    kernel = node.weights["kernel"]
    depthwise = node.op == "depthwise_conv"
    if depthwise:
        weights, axis = kernel.reshape(1, *kernel.shape[:2], -1), 3
    else:
        weights, axis = kernel.transpose(3, 0, 1, 2), 0
    code = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    (down, right), (tall, wide) = node.attrs["strides"], node.attrs["dilation"]
    options = {"strideH": down, "strideW": right, "dilationHFactor": tall, "dilationWFactor": wide, **_padding(node)}
    inputs = (at.source(node), *_weights(at, node, weights, axis))
    return _activated(at, node, out, fused, Call(code, inputs, out, options | _multiplier(node)))


def _multiplier(node: Node) -> dict[str, int]:
    return {"depthMultiplier": node.weights["kernel"].shape[3]} if node.op == "depthwise_conv" else {}


def _padding(node: Node) -> dict[str, int]:
    return {"padding": SAME if node.attrs["padding"] == "same" else VALID}


def _conv_transpose(at: Context, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
    if node.attrs["output_padding"] is not None or node.attrs["dilation"] != (1, 1):
        raise ModelError(f"the transposed convolution {node.name!r} has output padding or dilation, which TFLite cannot say")
    weights, *bias = _weights(at, node, node.weights["kernel"].transpose(3, 0, 1, 2), 0)
    down, right = node.attrs["strides"]
    options = {"strideH": down, "strideW": right, **_padding(node)}
    call = Call("TRANSPOSE_CONV", (integers(f"{node.name}/size", *out.shape), weights, at.source(node), *bias), out, options)
    return _activated(at, node, out, fused, call)


def _dense(at: Context, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
    kernel, bias = _weights(at, node, node.weights["kernel"].T, 0)
    inputs = (at.source(node), kernel, bias if "bias" in node.weights else None)
    return _activated(at, node, out, fused, Call("FULLY_CONNECTED", inputs, out, {"keepNumDims": len(out.shape) > 2}))


def _weights(at: Context, node: Node, kernel: npt.NDArray[Any], axis: int) -> tuple[Tensor, Tensor]:
    """The kernel as TFLite lays it out, and the bias; zeros where the node has none."""
    name, kernel = f"{node.name}/kernel", np.ascontiguousarray(kernel)
    bias = node.weights.get("bias", np.zeros(kernel.shape[axis], np.float32 if at.scheme is None else np.int32))
    if at.scheme is None:
        return constant(name, kernel), constant(f"{node.name}/bias", bias)
    scales = at.scheme.kernels[node.name]
    source = at.map(at.source(node))
    return quantized(name, kernel, scales, axis), quantized(f"{node.name}/bias", bias, source.scale[0] * scales, 0)


_FUNCTIONS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "relu": ("RELU", {}),
        "sigmoid": ("LOGISTIC", {}),
        "softmax": ("SOFTMAX", {"beta": 1.0}),
        "tanh": ("TANH", {}),
        "elu": ("ELU", {}),
        "gelu": ("GELU", {}),
        "exponential": ("EXP", {}),
    }
)
"""Activation functions that are one operator."""


def _activated(at: Context, node: Node, out: Tensor, fused: int, call: Call) -> tuple[Call, ...]:
    """The call with the node's own activation: fused if TFLite can, else as an operator behind it."""
    function = node.attrs["activation"]
    if function in ("linear", "relu"):
        kind = RELU if function == "relu" else fused
        return (Call(call.code, call.inputs, out, {**call.options, "fusedActivationFunction": kind}),)
    if at.scheme is not None:
        raise ModelError(f"the activation {function} of {node.name!r} has no quantization of its own to start from")
    linear = at.map(f"{out.name}/linear", out.shape)
    return Call(call.code, call.inputs, linear, call.options), *_function(function, linear, out)


def _function(function: str, source: Tensor, out: Tensor) -> tuple[Call, ...]:
    """An activation by name, of a float map or of one in integers."""
    if function == "swish" and not source.scale.size:
        gate = Tensor(f"{out.name}/gate", out.shape, out.dtype, None, out.scale, out.zero_point, 0)
        return Call("LOGISTIC", (source.name,), gate), Call("MUL", (source.name, gate.name), out)
    if function not in _FUNCTIONS:
        raise ModelError(f"the activation {function} of {out.name!r} has no TFLite form here")
    code, options = _FUNCTIONS[function]
    return (Call(code, (source.name,), out, options),)


def _activation(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    if node.attrs["function"] == "linear":
        return _copy(at, node, out, NONE)
    return _function(node.attrs["function"], at.map(at.source(node)), out)


def _relu(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    limit, slope = node.attrs["max_value"], node.attrs["negative_slope"]
    if node.attrs["threshold"] != 0 or limit not in (None, 6) or (slope != 0 and limit is not None):
        raise ModelError(f"the ReLU {node.name!r} has a bound, slope or threshold that TFLite cannot say")
    if slope != 0:
        return (Call("LEAKY_RELU", at.sources(node), out, {"alpha": slope}),)
    return (Call("RELU" if relu_kind(node) == RELU else "RELU6", at.sources(node), out),)


def _leaky(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    return (Call("LEAKY_RELU", at.sources(node), out, {"alpha": node.attrs["alpha"]}),)


def _elu(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    if node.attrs["alpha"] != 1:
        raise ModelError(f"the ELU {node.name!r} has the slope {node.attrs['alpha']}; TFLite knows only 1")
    return (Call("ELU", at.sources(node), out),)


def _softmax(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    if node.attrs["axis"] not in (-1, len(out.shape) - 1):
        raise ModelError(f"the softmax {node.name!r} is over axis {node.attrs['axis']}; TFLite knows only the last")
    return (Call("SOFTMAX", at.sources(node), out, {"beta": 1.0}),)


def _pool(code: str) -> Lowering:
    def lower(at: Context, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
        (height, width), (down, right) = node.attrs["pool_size"], node.attrs["strides"]
        options = {"filterHeight": height, "filterWidth": width, "strideH": down, "strideW": right}
        return (Call(code, at.sources(node), out, {**options, **_padding(node), "fusedActivationFunction": fused}),)

    return lower


def _global(code: str) -> Lowering:
    def lower(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
        axes = integers(f"{node.name}/axes", 1, 2)
        return (Call(code, (at.source(node), axes), out, {"keepDims": bool(node.attrs["keepdims"])}),)

    return lower


def _upsample(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    code = {"bilinear": "RESIZE_BILINEAR", "nearest": "RESIZE_NEAREST_NEIGHBOR"}.get(node.attrs["interpolation"])
    if code is None:
        raise ModelError(f"the interpolation {node.attrs['interpolation']} of {node.name!r} has no TFLite form")
    size = integers(f"{node.name}/size", *out.shape[1:3])
    return (Call(code, (at.source(node), size), out, {"alignCorners": False, "halfPixelCenters": True}),)


def _merge(code: str) -> Lowering:
    """Two operands an operator; more are taken one by one, the activation behind the last."""

    def lower(at: Context, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
        first, second, *more = at.sources(node)
        options = {} if code in ("MAXIMUM", "MINIMUM") else {"fusedActivationFunction": NONE if more else fused}
        if not more:
            return (Call(code, (first, second), out, options),)
        if at.scheme is not None:
            raise ModelError(
                f"the int8 {node.op} {node.name!r} has {2 + len(more)} operands; its partial results have no scale"
            )
        partial = [*(at.map(f"{node.name}/{count}", out.shape) for count in range(len(more))), out]
        lefts = [first, *(tensor.name for tensor in partial[:-1])]
        pairs = zip(lefts, (second, *more), partial, strict=True)
        calls = [Call(code, (left, right), given, options) for left, right, given in pairs]
        return *calls[:-1], replace(calls[-1], options=dict.fromkeys(options, fused))

    return lower


def _concat(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    axis = node.attrs["axis"] % len(out.shape)
    calls: tuple[Call, ...] = ()
    level = [(name, at.shapes[name]) for name in at.sources(node)]
    while len(level) > CONCAT_OPERANDS:
        joined = []
        for start in range(0, len(level), CONCAT_OPERANDS):
            part = level[start : start + CONCAT_OPERANDS]
            if len(part) == 1:
                joined += part
                continue
            shape = (*out.shape[:axis], sum(s[axis] for _, s in part), *out.shape[axis + 1 :])
            given = at.map(f"{node.name}/{len(calls)}", shape, like=node.name)
            calls += (Call("CONCATENATION", tuple(n for n, _ in part), given, {"axis": axis}),)
            joined.append((given.name, shape))
        level = joined
    return *calls, Call("CONCATENATION", tuple(n for n, _ in level), out, {"axis": axis})


def _crop(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    (top, _), (left, _) = node.attrs["cropping"]
    begin = (0, top, left, 0)
    end = tuple(start + size for start, size in zip(begin, out.shape, strict=True))
    span = integers(f"{node.name}/begin", *begin), integers(f"{node.name}/end", *end), integers("steps", 1, 1, 1, 1)
    return (Call("STRIDED_SLICE", (at.source(node), *span), out),)


def _pad(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    """Along one axis the zeros are joined on: XNNPACK joins several times faster than it pads."""
    rows, columns = node.attrs["padding"]
    if any(rows) == any(columns):
        paddings = integers(f"{node.name}/paddings", (0, 0), rows, columns, (0, 0))
        return (Call("PAD", (at.source(node), paddings), out),)
    axis, (before, after) = (1, rows) if any(rows) else (2, columns)
    operands = (_zeros(out, axis, before), at.source(node), _zeros(out, axis, after))
    return (Call("CONCATENATION", tuple(o for o in operands if o is not None), out, {"axis": axis}),)


def _zeros(out: Tensor, axis: int, count: int) -> Tensor | None:
    """`count` rows or columns that stand for zero, or None for no row."""
    if not count:
        return None
    shape = (*out.shape[:axis], count, *out.shape[axis + 1 :])
    zero = int(out.zero_point[0]) if out.scale.size else 0
    return constant(f"zeros_{'x'.join(map(str, shape))}", np.full(shape, zero, out.dtype), like=out)


def _reshape(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    shape = integers(f"{node.name}/shape", *out.shape)
    return (Call("RESHAPE", (at.source(node), shape), out, {"newShape": np.asarray(out.shape, np.int32)}),)


def _copy(at: Context, node: Node, out: Tensor, _fused: int) -> tuple[Call, ...]:
    """A node that computes nothing: another quantization, or the same values under an output's name."""
    source = at.map(at.source(node))
    if (source.scale, source.zero_point) == (out.scale, out.zero_point):
        return _reshape(at, node, out, 0)
    return (Call("QUANTIZE", (source.name,), out),)


LOWERINGS: Mapping[str, Lowering] = MappingProxyType(
    {
        "conv": _convolution,
        "depthwise_conv": _convolution,
        "conv_transpose": _conv_transpose,
        "dense": _dense,
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
        "concat": _concat,
        "add": _merge("ADD"),
        "subtract": _merge("SUB"),
        "multiply": _merge("MUL"),
        "maximum": _merge("MAXIMUM"),
        "minimum": _merge("MINIMUM"),
        "crop": _crop,
        "pad": _pad,
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
"""Every op that has a TFLite form."""
