"""Operators that compute each value from the value of the same pixel and channel: sums, products, activations, scales.

A constant has no node in a graph. One number a channel becomes a 1x1 depthwise convolution, which `absorb_scales` then puts
into the convolution before it where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.graph.ops import FUNCTIONS, OPS
from u3p_edge.importing.onnx.call import ONNXOperator, Value, same_order
from u3p_edge.importing.onnx.content import Array
from u3p_edge.importing.onnx.operators.operator import OperatorReader
from u3p_edge.importing.onnx.tensors import LARGEST_KERNEL, FileTensor

_MERGES = {op.onnx: op.name for op in OPS.values() if op.merges and op.onnx}
_ACTIVATIONS = {**{f.onnx: name for name, f in FUNCTIONS.items() if f.onnx and f.channelwise}, "Mish": "mish"}
_MAP = 4


def scale_channels(call: ONNXOperator, x: FileTensor, scale: Any, shift: Any, part: str = "") -> FileTensor:
    """Return scale * x + shift; each is one number, or one for every channel.

    Raises:
        ModelError: `x` is neither a map nor a vector.
    """
    channels = x.shape[-1]
    factors, offsets = (np.broadcast_to(np.asarray(v, np.float32), (channels,)) for v in (scale, shift))
    bias = {"bias": np.array(offsets)} if offsets.any() else {}
    if x.rank == _MAP:
        kernel = np.array(factors).reshape(1, 1, channels, 1)
        return call.node("depthwise_conv", x, weights={"kernel": kernel, **bias}, part=part)
    if x.rank != 2 or channels**2 > LARGEST_KERNEL:
        raise ModelError(f"it scales a tensor of {x.rank} axes by a constant, and only maps and vectors can be scaled")
    return call.node("dense", x, weights={"kernel": np.diag(factors), **bias}, part=part)


def per_channel(x: FileTensor, constant: Array) -> Array:
    """Return a constant that is broadcast to a tensor as float32 [channels].

    Raises:
        ModelError: it has different numbers along another axis than the channels.
    """
    if constant.dtype.kind not in "fiu":
        raise ModelError(f"its constant is of type {constant.dtype}")
    axis, shape = x.channel_axis, (1,) * (x.rank - constant.ndim) + constant.shape
    if len(shape) != x.rank or any(n != 1 for i, n in enumerate(shape) if i != axis) or shape[axis] not in (1, x.shape[-1]):
        raise ModelError(
            f"it meets a constant of shape {list(constant.shape)}, and a graph has constants of one number a channel alone"
        )
    return np.broadcast_to(constant.astype(np.float32).ravel(), (x.shape[-1],))


def _merge(call: ONNXOperator) -> FileTensor:
    """Read Add, Sub, Mul, Div, Max or Min of tensors, or the first four of a tensor and a constant."""
    values = [value for value in call.inputs if value is not None]
    tensors = [value for value in values if isinstance(value, FileTensor)]
    if len(tensors) == len(values) and call.op in _MERGES:
        return call.node(_MERGES[call.op], *same_order(tensors)) if len(tensors) > 1 else tensors[0]
    if len(values) != 2 or len(tensors) != 1 or call.op not in ("Add", "Sub", "Mul", "Div"):
        raise ModelError("it divides by a map, or compares a map with a constant")
    return _with_constant(call, values[0], values[1])


def _with_constant(call: ONNXOperator, first: Value, second: Value) -> FileTensor:
    if isinstance(first, FileTensor):
        x, constant = first, per_channel(first, np.asarray(second))
        if call.op in ("Mul", "Div"):
            return scale_channels(call, x, constant if call.op == "Mul" else 1 / constant.astype(np.float64), 0.0)
        return scale_channels(call, x, 1.0, constant if call.op == "Add" else -constant)
    assert isinstance(second, FileTensor), "one of the two is"
    x, constant = second, per_channel(second, first)
    if call.op == "Div":
        raise ModelError("it divides a constant by a map")
    if call.op == "Mul":
        return scale_channels(call, x, constant, 0.0)
    return scale_channels(call, x, 1.0 if call.op == "Add" else -1.0, constant)


def _activation(call: ONNXOperator) -> FileTensor:
    if call.attrs:
        raise ModelError(f"it has constants of its own ({', '.join(call.attrs)})", mend="Export it with the usual constants.")
    return call.node("activation", call.tensor(), attrs={"function": _ACTIVATIONS[call.op]})


def _relu(call: ONNXOperator) -> FileTensor:
    return call.node("relu", call.tensor())


def _slope(op: str, default: float) -> OperatorReader:
    def read(call: ONNXOperator) -> FileTensor:
        return call.node(op, call.tensor(), attrs={"alpha": float(call.attrs.get("alpha", default))})

    return read


def _prelu(call: ONNXOperator) -> FileTensor:
    x = call.tensor()
    if x.rank != _MAP:
        raise ModelError(f"it reads a tensor of {x.rank} axes, not a map")
    slope = np.array(per_channel(x, call.weight(1))).reshape(1, 1, -1)
    return call.node("prelu", x, attrs={"shared_axes": (1, 2)}, weights={"alpha": slope})


def _clip(call: ONNXOperator) -> FileTensor:
    """Read a Clip from a to b as a + relu(x - a), bounded by b - a."""
    low, high = (float(call.constant(i).item()) if call.has(i) else end for i, end in ((1, -np.inf), (2, np.inf)))
    low, high = max(low, float(np.finfo(np.float32).min)), min(high, float(np.finfo(np.float32).max))
    if low == np.finfo(np.float32).min or not low < high:
        raise ModelError(f"it clips to {low:g} to {high:g}, and only a clip with a lower bound can be read")
    x, bound = call.tensor(), None if high == np.finfo(np.float32).max else high - low
    if low == 0:
        return call.node("relu", x, attrs={"max_value": bound})
    above = call.node("relu", scale_channels(call, x, 1.0, -low, "shifted"), attrs={"max_value": bound}, part="bounded")
    return scale_channels(call, above, 1.0, low)


def _hard_gate(call: ONNXOperator, alpha: float, beta: float, part: str = "") -> FileTensor:
    """Return min(max(alpha x + beta, 0), 1) as 1/6 relu6(6 alpha x + 6 beta), which runtimes have kernels for."""
    scaled = scale_channels(call, call.tensor(), 6 * alpha, 6 * beta, "scaled")
    return scale_channels(call, call.node("relu", scaled, attrs={"max_value": 6.0}, part="bounded"), 1 / 6, 0.0, part)


def _hard_sigmoid(call: ONNXOperator) -> FileTensor:
    return _hard_gate(call, float(call.attrs.get("alpha", 0.2)), float(call.attrs.get("beta", 0.5)))


def _hard_swish(call: ONNXOperator) -> FileTensor:
    """Read x * min(max(x / 6 + 1/2, 0), 1) (Howard et al. 2019, arXiv:1905.02244)."""
    return call.node("multiply", call.tensor(), _hard_gate(call, 1 / 6, 0.5, "gate"))


def _gelu(call: ONNXOperator) -> FileTensor:
    if call.attrs.get("approximate", "none") != "none":
        raise ModelError("it is approximate", mend="Export it with approximate='none'.")
    return call.node("activation", call.tensor(), attrs={"function": "gelu"})


def _swish(call: ONNXOperator) -> FileTensor:
    if call.attrs.get("alpha", 1.0) != 1.0:
        raise ModelError("its alpha is not 1")
    return call.node("activation", call.tensor(), attrs={"function": "swish"})


def _softmax(call: ONNXOperator) -> FileTensor:
    x, whole = call.tensor(), call.opset < 13  # which counts all axes from the given one as one
    axis = int(call.attrs.get("axis", 1 if whole else -1))
    if x.graph_axis(axis) != x.rank - 1 or (whole and any(n != 1 for n in x.file_shape[axis % x.rank + 1 :])):
        raise ModelError(
            "it is over another axis than the channels", mend="Export the model with the softmax over its classes."
        )
    return call.node("activation", x, attrs={"function": "softmax"})


OPERATORS: Mapping[str, OperatorReader] = MappingProxyType(
    {
        **dict.fromkeys((*_MERGES, "Div"), _merge),
        **dict.fromkeys(_ACTIVATIONS, _activation),
        "Relu": _relu,
        "LeakyRelu": _slope("leaky_relu", 0.01),
        "Elu": _slope("elu", 1.0),
        "PRelu": _prelu,
        "Clip": _clip,
        "HardSigmoid": _hard_sigmoid,
        "HardSwish": _hard_swish,
        "Gelu": _gelu,
        "Swish": _swish,
        "Softmax": _softmax,
    }
)
