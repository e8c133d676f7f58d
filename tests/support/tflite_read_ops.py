"""Translate each TFLite operator to a node of a graph: one function for each operator, and one table of them all.

A fused activation that the node itself can carry (the ReLU of convolutions and dense layers) becomes an attribute of the node.
Any other fused activation becomes a node of its own. Then the operator's node has no quantization, because its value is never
stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.conversion.slicing import cut_operator
from u3p_edge.conversion.tflite.pieces import NONE, RELU, RELU6, SAME
from u3p_edge.conversion.tflite.schema import Operator, Tensor, TFLiteGraph
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Node
from u3p_edge.graph.ops import Attrs, Weights

_NOTHING: Mapping[str, Any] = MappingProxyType({})

Reader = Callable[["Reading"], Node]
"""Takes an operator; returns the node that computes what the operator computes before its fused activation."""


@dataclass(frozen=True)
class Reading:
    """One operator of a file, and the names of the maps that it reads and writes."""

    file: TFLiteGraph
    op: Operator
    names: Mapping[int, str]
    name: str

    def tensor(self, position: int) -> Tensor:
        """Return an input tensor of the operator."""
        return self.file.tensors[self.op.inputs[position]]

    @property
    def output(self) -> Tensor:
        return self.file.tensors[self.op.outputs[0]]

    def maps(self) -> tuple[str, ...]:
        """Return the names of the inputs, all of which must be maps."""
        for index in self.op.inputs:
            if index not in self.names:
                raise self.refusal("it has a constant operand")
        return tuple(self.names[index] for index in self.op.inputs)

    def source(self, position: int = 0) -> str:
        index = self.op.inputs[position]
        if index not in self.names:
            raise self.refusal("it reads a constant")
        return self.names[index]

    def constant(self, position: int) -> npt.NDArray[Any]:
        data = self.tensor(position).data
        if data is None:
            raise self.refusal("what must be constant is computed")
        return data

    def node(self, op: str, attrs: Attrs = _NOTHING, weights: Weights = _NOTHING) -> Node:
        """Return a node that reads the operator's first input."""
        return Node(self.name, op, (self.source(),), attrs, weights)

    def refusal(self, reason: str) -> ModelError:
        return ModelError(f"the TFLite operator {self.op.code} that gives {self.output.name!r} cannot be read: {reason}")


def _attributes(at: Reading) -> dict[str, Any]:
    options = at.op.options
    given = {"strides": (options["strideH"], options["strideW"]), "padding": "same" if options["padding"] == SAME else "valid"}
    if "dilationHFactor" in options:
        given["dilation"] = (options["dilationHFactor"], options["dilationWFactor"])
    return given


def _own_activation(at: Reading) -> dict[str, str]:
    return {"activation": "relu" if at.op.options["fusedActivationFunction"] == RELU else "linear"}


def _conv(at: Reading) -> Node:
    kernel = at.constant(1).transpose(1, 2, 3, 0)
    groups = at.tensor(0).shape[3] // kernel.shape[2]
    return at.node("conv", {**_attributes(at), **_own_activation(at), "groups": groups}, _weights(at, kernel, 2))


def _depthwise(at: Reading) -> Node:
    data = at.constant(1)
    channels = at.tensor(0).shape[3]
    kernel = data.reshape(*data.shape[1:3], channels, data.shape[3] // channels)
    return at.node("depthwise_conv", {**_attributes(at), **_own_activation(at)}, _weights(at, kernel, 2))


def _conv_transpose(at: Reading) -> Node:
    weights = _weights(at, at.constant(1).transpose(1, 2, 3, 0), 3)
    return Node(at.name, "conv_transpose", (at.source(2),), {**_attributes(at), **_own_activation(at)}, weights)


def _dense(at: Reading) -> Node:
    before, kept = at.tensor(0).shape, bool(at.op.options["keepNumDims"])
    if at.op.options["weightsFormat"] or (len(before) != 2 and not kept) or at.constant(1).shape[1] != before[-1]:
        raise at.refusal("it flattens what it reads, or its weights are shuffled")
    return at.node("dense", _own_activation(at), _weights(at, at.constant(1).T, 2))


def _weights(at: Reading, kernel: npt.NDArray[Any], bias: int) -> dict[str, npt.NDArray[Any]]:
    """Return kernel and bias (input number `bias`), as integers of an integer operator and as floats of a float one."""
    expected = (np.int8, np.int32) if at.output.dtype == np.int8 else (np.float32, np.float32)
    result = {"kernel": np.ascontiguousarray(kernel)}
    if len(at.op.inputs) > bias and at.op.inputs[bias] >= 0:
        result["bias"] = at.constant(bias)
    if any(array.dtype != dtype for array, dtype in zip(result.values(), expected, strict=False)):
        raise at.refusal(f"its weights are {', '.join(str(array.dtype) for array in result.values())}")
    if np.any(at.tensor(1).zero_point):
        raise at.refusal("its kernel is not symmetric")
    return result


def _pool(op: str) -> Reader:
    def read(at: Reading) -> Node:
        size = (at.op.options["filterHeight"], at.op.options["filterWidth"])
        return at.node(op, {**_attributes(at), "pool_size": size})

    return read


def _resize(interpolation: str) -> Reader:
    def read(at: Reading) -> Node:
        before, after = at.tensor(0).shape, at.output.shape
        if at.op.options["alignCorners"] or not at.op.options["halfPixelCenters"]:
            raise at.refusal("its grid has no half-pixel centres")
        if after[1] % before[1] or after[2] % before[2]:
            raise at.refusal(f"{before[1:3]} does not grow to {after[1:3]} by whole factors")
        size = (after[1] // before[1], after[2] // before[2])
        return at.node("upsample", {"size": size, "interpolation": interpolation})

    return read


def _concatenation(at: Reading) -> Node:
    axis = at.op.options["axis"] % len(at.output.shape)
    if all(index in at.names for index in at.op.inputs):
        return Node(at.name, "concat", at.maps(), {"axis": axis})
    return _joined_zeros(at, axis)


def _joined_zeros(at: Reading, axis: int) -> Node:
    """Read a concatenation of one map with rows or columns of zeros as padding."""
    maps = [position for position, index in enumerate(at.op.inputs) if index in at.names]
    if len(maps) != 1 or axis not in (1, 2):
        raise at.refusal("constants are joined to it that are not rows or columns around one map")
    sizes = [0, 0]
    for position in range(len(at.op.inputs)):
        if position != maps[0]:
            tensor = at.tensor(position)
            zero = tensor.zero_point[0] if tensor.scale.size else 0
            if np.any(at.constant(position) != zero):
                raise at.refusal("the constants joined to it are not zeros")
            sizes[position > maps[0]] += tensor.shape[axis]
    padding = (tuple(sizes), (0, 0)) if axis == 1 else ((0, 0), tuple(sizes))
    return Node(at.name, "pad", (at.source(maps[0]),), {"padding": padding})


def _merge(op: str) -> Reader:
    return lambda at: Node(at.name, op, at.maps())


def _activation(function: str) -> Reader:
    return lambda at: at.node("activation", {"function": function})


def _softmax(at: Reading) -> Node:
    if at.op.options["beta"] != 1:
        raise at.refusal(f"its beta is {at.op.options['beta']}")
    return at.node("softmax", {"axis": -1})


def _crop(at: Reading) -> Node:
    shape, spans = at.tensor(0).shape, cut_operator(at.file, at.op)
    if len(shape) != 4 or spans[0] != (0, shape[0]):
        raise at.refusal("it cuts something other than the height, width and channels of a map")
    cropping = tuple((spans[axis][0], shape[axis] - spans[axis][1]) for axis in (1, 2))
    return at.node("crop", {"cropping": cropping, "channels": None if spans[3] == (0, shape[3]) else spans[3]})


def _blocks(op: str) -> Reader:
    return lambda at: at.node(op, {"block": int(at.op.options["blockSize"])})


def _pad(at: Reading) -> Node:
    paddings = at.constant(1).tolist()
    if len(paddings) != 4 or any(paddings[0]) or any(paddings[3]):
        raise at.refusal("it pads something other than height and width")
    return at.node("pad", {"padding": (tuple(paddings[1]), tuple(paddings[2]))})


def _global(op: str) -> Reader:
    def read(at: Reading) -> Node:
        rank = len(at.tensor(0).shape)
        if rank != 4 or sorted(axis % rank for axis in np.ravel(at.constant(1)).tolist()) != [1, 2]:
            raise at.refusal("it is not over height and width")
        return at.node(op, {"keepdims": bool(at.op.options["keepDims"])})

    return read


def _reshape(at: Reading) -> Node:
    return at.node("reshape", {"target_shape": at.output.shape[1:]})


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "CONV_2D": _conv,
        "DEPTHWISE_CONV_2D": _depthwise,
        "TRANSPOSE_CONV": _conv_transpose,
        "FULLY_CONNECTED": _dense,
        "MAX_POOL_2D": _pool("max_pool"),
        "AVERAGE_POOL_2D": _pool("average_pool"),
        "RESIZE_BILINEAR": _resize("bilinear"),
        "RESIZE_NEAREST_NEIGHBOR": _resize("nearest"),
        "CONCATENATION": _concatenation,
        "ADD": _merge("add"),
        "SUB": _merge("subtract"),
        "MUL": _merge("multiply"),
        "MAXIMUM": _merge("maximum"),
        "MINIMUM": _merge("minimum"),
        "RELU": lambda at: at.node("relu"),
        "RELU6": lambda at: at.node("relu", {"max_value": 6.0}),
        "LEAKY_RELU": lambda at: at.node("leaky_relu", {"alpha": at.op.options["alpha"]}),
        "LOGISTIC": _activation("sigmoid"),
        "TANH": _activation("tanh"),
        "SOFTMAX": _softmax,
        "STRIDED_SLICE": _crop,
        "SLICE": _crop,
        "PAD": _pad,
        "SPACE_TO_DEPTH": _blocks("space_to_depth"),
        "DEPTH_TO_SPACE": _blocks("depth_to_space"),
        "RESHAPE": _reshape,
        "REDUCE_MAX": _global("global_max_pool"),
        "MEAN": _global("global_average_pool"),
        "QUANTIZE": lambda at: at.node("identity"),
    }
)
"""The function of every operator that has a node."""


def fused(at: Reading, node: Node) -> Node | None:
    """Return the node of the activation fused after an operator, which reads the operator's node; None where there is none."""
    kind = int(at.op.options.get("fusedActivationFunction", NONE))
    if kind == NONE or (kind == RELU and "activation" in node.attrs):
        return None
    if kind not in (RELU, RELU6):
        raise at.refusal(f"its fused activation is {kind}")
    limit = {"max_value": 6.0} if kind == RELU6 else {}
    return Node(at.name, "relu", (f"{at.name}_{node.op}",), limit)
