"""What describes an op: one record with everything that some room of the package asks about it.

A record is data and pure functions of NumPy. It names the Keras layers, the TFLite operator and the ONNX operator that compute
the op; the rooms that need those libraries look the names up. So a new op is one record in one file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Attrs = Mapping[str, Any]
Weights = Mapping[str, Array]
ShapeRule = Callable[[Attrs, Weights, tuple[Shape, ...]], Shape]
Compute = Callable[[Attrs, Weights, Sequence[Array]], Array]
MacRule = Callable[[Attrs, Weights, tuple[Shape, ...], Shape], int]
SizeRule = Callable[[Mapping[str, Any], Shape], Mapping[str, Shape]]

REQUIRED = object()
"""Marks an attribute that has no default."""


def no_macs(_attrs: Attrs, _weights: Weights, _inputs: tuple[Shape, ...], _output: Shape) -> int:
    """Return 0: the op multiplies nothing by a weight."""
    return 0


def no_weights(_config: Mapping[str, Any], _given: Shape) -> Mapping[str, Shape]:
    """Return no shapes: the layer has no weights."""
    return {}


def same_shape(_attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    """Return the shape of the first input."""
    return inputs[0]


def own_names(*names: str) -> dict[str, str]:
    """Map each name to itself: attributes or weights that are called the same in Keras."""
    return {name: name for name in names}


@dataclass(frozen=True)
class Layer:
    """How one Keras layer class is written as a node.

    Args:
        name: name of the class, in tf_keras.layers or in `u3p_edge.graph.keras_own`.
        attrs: from the names of the op's attributes to the keys of the layer's config.
        weights: from the names of the op's weights to the attributes of the layer.
        derived: computes the config keys that follow from the weights, so that the node does not store them twice.
        sizes: computes the shapes of the weights from the layer's config and the shape that it reads, before Keras builds it.
        swap: whether to exchange the last two axes of the kernel (Keras keeps transposed kernels as HWOI).
        attrs_of: computes the op's attributes from the weights; the node then has no weights, and is written as another layer.
            Raises ValueError where the op has no such attributes.
        function: for a class that neither module has: the function of TensorFlow that it applies, such as "math.abs".
        op: name of the op; `keras_layers.LAYERS` fills it in.

    Raises:
        ValueError: the layer has weights and no rule for their shapes.
    """

    name: str
    attrs: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    derived: Callable[[Weights], dict[str, Any]] = lambda _: {}
    sizes: SizeRule = no_weights
    swap: bool = False
    attrs_of: Callable[[Weights], Attrs] | None = None
    function: str = ""
    op: str = ""

    def __post_init__(self) -> None:
        if self.weights and self.sizes is no_weights:
            raise ValueError(f"the Keras layer {self.name} has weights and no rule for their shapes (`Layer.sizes`)")


@dataclass(frozen=True)
class Op:
    """A kind of node: what it takes and gives, how it is computed, and the facts that decide how it may be treated.

    Args:
        name: the op's name.
        shape: from attributes, weights and the inputs' shapes to the output's shape; raises ValueError where they do not fit.
        compute: the reference in NumPy, from attributes, weights and inputs to the output, in the inputs' dtype.
        arity: number of inputs; None for an op that merges any number of them.
        weights: names of the arrays it must carry.
        optional: names of the arrays it may carry.
        attrs: every attribute with its default, or REQUIRED.
        layers: the Keras layer classes that compute it; a graph with an op without one cannot become a Keras model.
        macs: multiply-accumulates, from attributes, weights and the shapes of inputs and output.
        tflite: the TFLite operator that takes the same inputs and needs no options but a fused ReLU; "" where there is none, or
            where `u3p_edge.conversion.tflite.lower` has a function for the op.
        onnx: the ONNX operator that computes what `tflite` does, element by element.
        channelwise: computes each channel from the same channel of its one input, with no number that belongs to a channel.
        pixelwise: computes each pixel from the same pixel of its inputs.
        merges: combines its inputs element by element; one of a single row, column or channel is broadcast.
        view: gives its input's bytes in their order, so both may share one buffer.
        is_identity: gives back its input at inference.
        keeps_range: every value lies within the range of its input's values.
        keeps_zero: gives zeros for zeros, unless a bias, a threshold or its function prevents it: see `activation.keeps_zero`.
        keeps_scale: its integer kernel needs inputs and output in one scale. Padding fills with the integer that represents
            zero, so every range has to include zero.
        rescales: its integer kernel writes its output in any scale.
        fuses_relu: runtimes compute a ReLU that alone reads its result in the same kernel.
        cheap: costs less than reading its result again, so tiles may compute some rows of it twice.
    """

    name: str
    shape: ShapeRule
    compute: Compute
    arity: int | None = 1
    weights: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    attrs: Attrs = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    macs: MacRule = no_macs
    tflite: str = ""
    onnx: str = ""
    channelwise: bool = False
    pixelwise: bool = False
    merges: bool = False
    view: bool = False
    is_identity: bool = False
    keeps_range: bool = False
    keeps_zero: bool = False
    keeps_scale: bool = False
    rescales: bool = False
    fuses_relu: bool = False
    cheap: bool = False


def norm_axes(attrs: Attrs, rank: int) -> tuple[int, ...]:
    """Return the attribute `axis` as axes from 0, for a tensor of that rank."""
    axis = attrs["axis"]
    return tuple(a % rank for a in (axis if isinstance(axis, tuple) else (axis,)))


def is_over_channels(attrs: Attrs) -> bool:
    """Return whether the attribute `axis` is the channels of a map [N, H, W, C]."""
    return attrs["axis"] in (-1, 3, (-1,), (3,))


def add_all(parts: Sequence[Array]) -> Array:
    """Return the sum of some arrays, added from left to right."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return np.asarray(total)
