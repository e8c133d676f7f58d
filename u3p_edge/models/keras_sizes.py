"""Find how large the model is that a Keras config describes, before Keras builds it. No TensorFlow here.

A config of a few kilobytes can ask for gigabytes: Keras allocates every weight when a layer is built.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.graph.keras_layers import LAYERS
from u3p_edge.graph.ops import OPS, Shape
from u3p_edge.models.keras_calls import Key, LayerCall

MAX_PARAMETERS = 2**29
"""Most weights of one model: 2 GiB of float32. A UNet 3+ of twice the paper's width has a fifth of it."""

MAX_VALUES = 2**30
"""Most values of one feature map: 4 GiB of float32, such as 64 channels at 4096x4096."""

UNKNOWN = 256
"""Height and width that are assumed where a config leaves them open."""

Shapes = Mapping[str, Shape]


def count_parameters(calls: Sequence[LayerCall], where: str) -> int:
    """Count the weights of all the calls' layers.

    Args:
        calls: each after those it reads.
        where: the file, for the message.

    Raises:
        ModelError: names the layer that asks for more than `MAX_PARAMETERS` weights or a feature map of more than `MAX_VALUES`
            values, or whose configuration does not fit what it reads.
    """
    maps: dict[Key, Shape] = {}
    weights: dict[str, Shapes] = {}
    total = 0
    for call in calls:
        try:
            given = tuple(maps[source] for source in call.sources)
            if call.layer not in weights:
                weights[call.layer] = _weights(call, given)
                total += sum(math.prod(shape) for shape in weights[call.layer].values())
            if total <= MAX_PARAMETERS:
                maps[call.layer, call.number] = _shape(call, weights[call.layer], given)
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            reason = f"layer {call.layer!r} of class {call.kind} does not fit what it reads ({error})"
            raise ModelError(f"{where}: {reason}", mend="Save the model again with model.save(...) of tf_keras.") from error
        if total > MAX_PARAMETERS:
            asked = f"up to layer {call.layer!r} the model has {total / 1e6:.0f} million weights"
            raise ModelError(f"{where}: {asked}; at most {MAX_PARAMETERS / 1e6:.0f} million are read")
        _check_map(call, maps[call.layer, call.number], where)
    return total


def _check_map(call: LayerCall, shape: Shape, where: str) -> None:
    if not _positive(shape):
        raise ModelError(f"{where}: the output of layer {call.layer!r} has the shape {list(shape)}")
    if math.prod(shape) > MAX_VALUES:
        raise ModelError(
            f"{where}: the output of layer {call.layer!r} has {math.prod(shape) / 1e6:.0f} million values "
            f"(shape {list(shape)}); at most {MAX_VALUES / 1e6:.0f} million are read"
        )


def _shape(call: LayerCall, weights: Shapes, given: tuple[Shape, ...]) -> Shape:
    kind = LAYERS[call.kind]
    op = OPS[kind.op]
    attrs = {**op.attrs, **{name: call.config[key] for name, key in kind.attrs.items() if key in call.config}}
    if kind.op == "input":
        batch, *size = call.config["batch_input_shape"]
        attrs = {"shape": (batch, *(UNKNOWN if length is None else length for length in size))}
    for key in ("strides", "dilation", "pool_size", "size"):
        if type(attrs.get(key)) is int:
            attrs[key] = (attrs[key], attrs[key])
    if not op.arity == 0 and not given:
        raise ValueError("it reads nothing")
    # A shape rule uses only the shape of a weight; a broadcast scalar has one and takes no memory.
    blanks = {name: np.broadcast_to(np.float32(0), shape) for name, shape in weights.items()}
    return tuple(op.shape(attrs, blanks, given))


def _weights(call: LayerCall, given: tuple[Shape, ...]) -> Shapes:
    """Return the shapes of a layer's weights, at its first call."""
    if call.config.get("data_format") == "channels_first":
        raise ModelError(f"layer {call.layer!r} of class {call.kind} cannot be exported: its data format is channels_first")
    shapes = LAYERS[call.kind].sizes(call.config, given[0] if given else ())
    for name, shape in shapes.items():
        if not _positive(shape):
            raise ValueError(f"its {name} has the shape {list(shape)}")
    return shapes


def _positive(shape: Shape) -> bool:
    return all(type(size) is int and size > 0 for size in shape)
