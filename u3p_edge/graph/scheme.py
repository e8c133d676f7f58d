"""The integer network as a value: a graph of integers, and the scheme that says which real numbers they represent.

real = (integer - zero point) * scale. An activation has one zero point and one scale for its whole tensor. A kernel has zero
point 0, and one scale for every output channel. A bias counts in steps of input scale * kernel scale, so it needs no entry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import is_relu
from u3p_edge.graph.ir import Graph, Node

LOWEST, HIGHEST = -128, 127
"""The range of an int8 activation."""


@dataclass(frozen=True)
class Quantization:
    """The quantization of an int8 activation: real = (integer - zero_point) * scale.

    Raises:
        ModelError: the scale is not a positive number, or the zero point is outside -128..127.
    """

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ModelError(f"an activation cannot have the scale {self.scale}")
        if not LOWEST <= self.zero_point <= HIGHEST:
            raise ModelError(f"an int8 activation cannot have the zero point {self.zero_point}")


@dataclass(frozen=True, eq=False)
class Scheme:
    """Which real numbers the integers of a graph represent.

    Args:
        tensors: quantization of each node's int8 tensor, by the node's name. A node without an entry is never materialised:
            its value is read by one ReLU only, and both are one kernel.
        kernels: float32 [O], a scale for every output channel, by the name of the node that has the kernel. A depthwise
            convolution has in * multiplier of them, the multiplier running fastest.

    Raises:
        ModelError: the scales of a kernel are not float32 [O] of positive numbers.
    """

    tensors: Mapping[str, Quantization]
    kernels: Mapping[str, npt.NDArray[np.float32]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))
        object.__setattr__(self, "kernels", MappingProxyType({n: _scales(n, s) for n, s in self.kernels.items()}))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scheme):
            return NotImplemented
        same = self.tensors == other.tensors and self.kernels.keys() == other.kernels.keys()
        return same and all(np.array_equal(scales, other.kernels[name]) for name, scales in self.kernels.items())

    __hash__ = None  # type: ignore[assignment]


def _scales(name: str, scales: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if scales.dtype != np.float32 or scales.ndim != 1 or not np.all(np.isfinite(scales) & (scales > 0)):
        raise ModelError(f"the kernel scales of {name!r} are not one positive float32 for every output channel")
    frozen = np.array(scales)
    frozen.flags.writeable = False
    return frozen


@dataclass(frozen=True)
class Quantized:
    """A network in integers.

    Args:
        graph: a graph whose kernels are int8 HWIO and whose biases are int32 [O]; everything else is as in a float graph.
        scheme: which real numbers the integers represent.

    Raises:
        ModelError: the weights are not such integers, the scales do not fit them, the scheme has names that the graph does
            not have, or something other than one ReLU reads a node without quantization.
    """

    graph: Graph
    scheme: Scheme

    def __post_init__(self) -> None:
        unknown = sorted(name for name in (*self.scheme.tensors, *self.scheme.kernels) if name not in self.graph)
        if unknown:
            raise ModelError(f"the scheme speaks of {unknown[0]!r}, which the graph does not have")
        readers = self.graph.consumers
        for node in self.graph.nodes:
            _check_weights(node, self.scheme)
            fused = [name for name in readers[node.name] if is_relu(self.graph[name])]
            alone = len(fused) == len(readers[node.name]) == 1 and node.name not in self.graph.outputs
            if node.name not in self.scheme.tensors and not alone:
                raise ModelError(f"the node {node.name!r} has no quantization, and not just one ReLU reads it")


def out_channels(node: Node) -> int:
    """Return the number of output channels of a node that has a kernel."""
    shape = node.weights["kernel"].shape
    return int(shape[2] * shape[3] if node.op == "depthwise_conv" else shape[-1])


def _check_weights(node: Node, scheme: Scheme) -> None:
    if "kernel" not in node.weights:
        if node.weights:
            raise ModelError(f"the node {node.name!r} ({node.op}) carries weights that have no int8 form")
        return
    scales = scheme.kernels.get(node.name)
    if scales is None or scales.size != out_channels(node):
        raise ModelError(f"the kernel of {node.name!r} has not one scale for each of its {out_channels(node)} output channels")
    for key, dtype in (("kernel", np.int8), ("bias", np.int32)):
        if key in node.weights and node.weights[key].dtype != dtype:
            raise ModelError(f"the {key} of {node.name!r} is {node.weights[key].dtype}, not {np.dtype(dtype)}")
