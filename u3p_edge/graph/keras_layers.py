"""The table of which Keras layer is which op, collected from the ops' records. Plain data, no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from u3p_edge.graph.ops import FUNCTIONS, OPS
from u3p_edge.graph.ops.op import Layer

LAYERS: Mapping[str, Layer] = MappingProxyType(
    {layer.name: replace(layer, op=op.name) for op in OPS.values() for layer in op.layers}
)
"""Every layer class that a graph can represent, by its name: those of tf_keras, and those of `u3p_edge.graph.keras_own`."""

REFUSED: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("data_format", lambda value: bool(value == "channels_first"), "its data format is channels_first"),
    ("interpolation", lambda value: value not in ("nearest", "bilinear"), "its interpolation is not nearest or bilinear"),
    ("activation", lambda value: value not in tuple(FUNCTIONS), "its activation is not one that Keras knows by name"),
    ("invert", bool, "it turns a normalisation back"),
    ("sparse", bool, "it is sparse"),
    ("ragged", bool, "it is ragged"),
)
"""Config keys whose value may make a known layer class impossible to export: the key, a test of its value, and the reason."""
