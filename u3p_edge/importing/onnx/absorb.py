"""Put scales and shifts of channels into the layer before them: a (W x + c) + b = (a W) x + (a c + b). Exact up to rounding.

That layer has a kernel W, or it is a group normalisation, whose gamma and beta are W and c.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.activation import function
from u3p_edge.graph.fold import is_channel_scale
from u3p_edge.graph.ir import Graph, Node, substitute

_LAYERS = frozenset(("conv", "depthwise_conv", "conv_transpose", "dense", "group_norm"))


def absorb_scales(graph: Graph) -> Graph:
    """Return the graph without 1x1 depthwise convolutions, and diagonal dense layers, that alone read such a layer."""
    for node in graph.nodes:
        scale = _scale(node)
        if scale is None:
            continue
        before = graph[graph[node.name].inputs[0]]
        alone = graph.consumers[before.name] == (node.name,) and before.name not in graph.outputs
        if alone and before.op in _LAYERS and function(before) == "linear" and (before.op == "dense") == (node.op == "dense"):
            merged = _scaled(before, scale, node.weights.get("bias", np.zeros_like(scale)))
            graph = substitute(graph, before.name, (merged,))
            graph = substitute(graph, node.name, (), result=before.name)
    return graph


def _scale(node: Node) -> npt.NDArray[np.float32] | None:
    """Return the scale of each channel where a node does nothing but scale and shift; None for any other node."""
    kernel: npt.NDArray[Any] | None = node.weights.get("kernel")
    if kernel is None or function(node) != "linear":
        return None
    if is_channel_scale(node):
        return np.array(kernel.ravel())
    if node.op == "dense" and kernel.shape[0] == kernel.shape[1] and np.array_equal(kernel, np.diag(kernel.diagonal())):
        return np.array(kernel.diagonal())
    return None


def _scaled(layer: Node, scale: npt.NDArray[np.float32], shift: npt.NDArray[np.float32]) -> Node:
    if layer.op == "group_norm":
        gamma, beta = layer.weights.get("gamma", np.ones_like(scale)), layer.weights.get("beta", np.zeros_like(scale))
        return replace(layer, weights={"gamma": gamma * scale, "beta": beta * scale + shift})
    kernel, bias = layer.weights["kernel"], layer.weights.get("bias", np.zeros_like(scale))
    factors = scale.reshape(kernel.shape[2:]) if layer.op == "depthwise_conv" else scale
    weights = {"kernel": np.asarray(kernel * factors, np.float32), "bias": np.asarray(bias * scale + shift, np.float32)}
    return replace(layer, weights=weights)
