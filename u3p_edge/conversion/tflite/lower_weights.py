"""Translate to TFLite the ops that carry weights or an activation: convolutions, dense layers, activation functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.conversion.tflite.pieces import RELU, SAME, VALID, Call, LoweringContext, integers, make_constant, quantized
from u3p_edge.conversion.tflite.schema import Tensor
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Node
from u3p_edge.graph.ops import FUNCTIONS


def lower_convolution(context: LoweringContext, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
    """Return CONV_2D or DEPTHWISE_CONV_2D, followed by an activation that it cannot fuse."""
    kernel = node.weights["kernel"]
    depthwise = node.op == "depthwise_conv"
    if depthwise:
        weights, axis = kernel.reshape(1, *kernel.shape[:2], -1), 3
    else:
        weights, axis = kernel.transpose(3, 0, 1, 2), 0
    code = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    (down, right), (tall, wide) = node.attrs["strides"], node.attrs["dilation"]
    options = {"strideH": down, "strideW": right, "dilationHFactor": tall, "dilationWFactor": wide, **padding(node)}
    inputs = (context.source(node), *_weights(context, node, weights, axis))
    return _activated(node, out, fused, Call(code, inputs, out, options | _multiplier(node)))


def _multiplier(node: Node) -> dict[str, int]:
    return {"depthMultiplier": node.weights["kernel"].shape[3]} if node.op == "depthwise_conv" else {}


def padding(node: Node) -> dict[str, int]:
    """Return the option that says whether windows reach beyond the border."""
    return {"padding": SAME if node.attrs["padding"] == "same" else VALID}


def lower_conv_transpose(context: LoweringContext, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
    """Return TRANSPOSE_CONV. Raises ModelError for output padding or dilation."""
    if node.attrs["output_padding"] is not None or node.attrs["dilation"] != (1, 1):
        raise ModelError(f"the transposed convolution {node.name!r} has output padding or dilation, which TFLite cannot say")
    weights, bias = _weights(context, node, node.weights["kernel"].transpose(3, 0, 1, 2), 0)
    down, right = node.attrs["strides"]
    options = {"strideH": down, "strideW": right, **padding(node)}
    size = integers(f"{node.name}/size", *out.shape)
    inputs = (size, weights, context.source(node), *((bias,) if "bias" in node.weights else ()))
    return _activated(node, out, fused, Call("TRANSPOSE_CONV", inputs, out, options))


def lower_dense(context: LoweringContext, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
    """Return FULLY_CONNECTED, followed by an activation that it cannot fuse."""
    kernel, bias = _weights(context, node, node.weights["kernel"].T, 0)
    inputs = (context.source(node), kernel, bias if "bias" in node.weights else None)
    return _activated(node, out, fused, Call("FULLY_CONNECTED", inputs, out, {"keepNumDims": len(out.shape) > 2}))


def _weights(context: LoweringContext, node: Node, kernel: npt.NDArray[Any], axis: int) -> tuple[Tensor, Tensor]:
    """Return the kernel in TFLite's layout, and the bias, which is zeros where the node has none."""
    name, kernel = f"{node.name}/kernel", np.ascontiguousarray(kernel)
    bias = node.weights.get("bias", np.zeros(kernel.shape[axis], np.float32 if context.scheme is None else np.int32))
    if context.scheme is None:
        if any(array.dtype != np.float32 for array in (kernel, bias)):
            raise ModelError(f"the weights of {node.name!r} are {kernel.dtype} and {bias.dtype}, not float32")
        return make_constant(name, kernel), make_constant(f"{node.name}/bias", bias)
    scales = context.scheme.kernels[node.name]
    source = context.map(context.source(node))
    return quantized(name, kernel, scales, axis), quantized(f"{node.name}/bias", bias, source.scale[0] * scales, 0)


def _activated(node: Node, out: Tensor, fused: int, call: Call) -> tuple[Call, ...]:
    """Return the call with the node's own activation, a ReLU; `decompose` makes any other a node of its own."""
    activation = node.attrs["activation"]
    if activation not in ("linear", "relu"):
        raise ModelError(f"the activation {activation} of {node.name!r} has no quantization of its own to start from")
    kind = RELU if activation == "relu" else fused
    return (Call(call.code, call.inputs, out, {**call.options, "fusedActivationFunction": kind}),)


def lower_function(name: str, source: Tensor, out: Tensor) -> tuple[Call, ...]:
    """Lower the activation of that name, for a float map or an integer one."""
    record = FUNCTIONS[name]
    if not record.tflite:
        raise ModelError(f"no operator computes the activation {name} of {out.name!r}")
    return (Call(record.tflite, (source.name,), out, record.options),)
