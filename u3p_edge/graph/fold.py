"""Fold a float graph into the form that kernels have: no batch normalisation, ReLU inside the convolutions, every other
activation a separate node, and swish as a product with a sigmoid. This is exact up to float rounding.

With scale a = gamma / sqrt(variance + epsilon) and shift b = beta - a * mean, per channel, batch normalisation is folded

    after a convolution:            a (W x + c) + b = (a W) x + (a c + b)
    before one that never pads:     W (a x + b) + c = (W a) x + (c + sum over kernel and input channels of W b)
    anywhere else on a map:         into a 1x1 convolution whose kernel is diag(a), with the bias b

A convolution that pads reads zeros at the border, not b. There the second form would be wrong, so the third is used. The first
form holds for every linear map that ends in channels: for grouped, depthwise and transposed convolutions too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.activation import function, is_plain_relu
from u3p_edge.graph.ir import Graph, Node, substitute
from u3p_edge.graph.ops.op import is_over_channels

Array = npt.NDArray[np.float32]


def fold_batch_norm(graph: Graph) -> Graph:
    """Return a graph of the same function with fewer nodes; what cannot be folded is left unchanged.

    Raises:
        ModelError: shapes do not fit, or the size of an input is not fixed where the folding depends on it.
    """
    graph = drop_identities(graph)
    for node in graph.nodes:
        if is_convolution(node) and function(node) not in ("linear", "relu"):
            graph = _split(graph, node)
    for node in graph.nodes:
        if node.op == "activation" and function(node) == "swish":
            graph = _gate(graph, node)
    for node in graph.nodes:
        if node.op == "batch_norm":
            graph = _fold_norm(graph, graph[node.name])
    for node in graph.nodes:
        if is_plain_relu(node):
            graph = _fuse_relu(graph, graph[node.name])
    return graph


def drop_identities(graph: Graph) -> Graph:
    """Return the graph without nodes that give back their input at inference: ops for training alone, linear activations."""
    for node in graph.nodes:
        if node.kind.is_identity or (node.op == "activation" and function(node) == "linear"):
            graph = substitute(graph, node.name, (), result=graph[node.name].inputs[0])
    return graph


def never_pads(conv: Node, size: Sequence[int]) -> bool:
    """Return whether a convolution over a map of `size` (h, w) reads no border zeros."""
    if conv.attrs["padding"] == "valid":
        return True
    kernel = conv.weights["kernel"].shape[:2]
    axes = zip(size, kernel, conv.attrs["strides"], conv.attrs["dilation"], strict=True)
    return all((-(-n // s) - 1) * s + (k - 1) * d + 1 <= n for n, k, s, d in axes)


def scale_and_shift(norm: Node) -> tuple[Array, Array]:
    """Return the scale a and the shift b of the module docstring: float32 [channels] each."""
    weights = {key: np.asarray(value, np.float64) for key, value in norm.weights.items()}
    scale = weights.get("gamma", 1.0) / np.sqrt(weights["variance"] + norm.attrs["epsilon"])
    shift = weights.get("beta", 0.0) - scale * weights["mean"]
    return scale.astype(np.float32), shift.astype(np.float32)


def is_channel_scale(node: Node) -> bool:
    """Return whether a node is a depthwise 1x1 convolution that does nothing but scale and shift each channel."""
    if node.op != "depthwise_conv" or function(node) != "linear":
        return False
    kernel = node.weights["kernel"]
    return (*kernel.shape[:2], kernel.shape[3], *node.attrs["strides"]) == (1, 1, 1, 1, 1)


def _split(graph: Graph, conv: Node) -> Graph:
    """Return the graph with a convolution's sigmoid or the like as a separate node, which keeps the convolution's name."""
    name = f"{conv.name}_logits"
    while name in graph:
        name += "_"
    logits = replace(conv, name=name, attrs={**conv.attrs, "activation": "linear"})
    return substitute(graph, conv.name, (logits, Node(conv.name, "activation", (name,), {"function": function(conv)})))


def _gate(graph: Graph, swish: Node) -> Graph:
    """Return the graph with x * sigmoid(x) as two nodes: there is no integer kernel for swish, but one for each of the two."""
    name = f"{swish.name}_gate"
    while name in graph:
        name += "_"
    gate = Node(name, "activation", swish.inputs, {"function": "sigmoid"})
    return substitute(graph, swish.name, (gate, Node(swish.name, "multiply", (*swish.inputs, name))))


def _fold_norm(graph: Graph, norm: Node) -> Graph:
    if not is_over_channels(norm.attrs):
        return graph
    before, after = graph[norm.inputs[0]], [graph[name] for name in graph.consumers[norm.name]]
    if is_convolution(before) and function(before) == "linear" and _only_reader(graph, before, norm):
        return substitute(_put(graph, _scale_output(before, norm)), norm.name, (), result=before.name)
    shape = graph.shapes[norm.name]
    if len(shape) != 4:
        return graph
    if after and norm.name not in graph.outputs and all(_takes_input_scale(node, shape[1:3]) for node in after):
        for conv in after:
            graph = _put(graph, _scale_input(conv, norm))
        return substitute(graph, norm.name, (), result=before.name)
    return _put(graph, _as_convolution(norm))


def is_convolution(node: Node) -> bool:
    """Return whether a node is linear in its input map, and may end in an activation."""
    return "kernel" in node.weights and "strides" in node.attrs


def _only_reader(graph: Graph, before: Node, reader: Node) -> bool:
    return before.name not in graph.outputs and graph.consumers[before.name] == (reader.name,)


def _takes_input_scale(node: Node, size: Sequence[int]) -> bool:
    return node.op == "conv" and node.attrs["groups"] == 1 and never_pads(node, size)


def _put(graph: Graph, node: Node) -> Graph:
    """Return the graph with the node of that name replaced."""
    return substitute(graph, node.name, (node,))


def _scale_output(conv: Node, norm: Node) -> Node:
    scale, shift = scale_and_shift(norm)
    kernel = conv.weights["kernel"]
    # A depthwise kernel [kh, kw, in, multiplier] gives channel in * multiplier + m.
    by_channel = scale.reshape(kernel.shape[2:]) if conv.op == "depthwise_conv" else scale
    bias = conv.weights.get("bias", np.zeros_like(shift)) * scale + shift
    return replace(conv, weights={"kernel": kernel * by_channel, "bias": bias})


def _scale_input(conv: Node, norm: Node) -> Node:
    scale, shift = scale_and_shift(norm)
    kernel = conv.weights["kernel"]
    bias = conv.weights.get("bias", np.zeros(kernel.shape[-1], np.float32)) + np.einsum("hwio,i->o", kernel, shift)
    return replace(conv, weights={"kernel": kernel * scale[:, None], "bias": bias})


def _as_convolution(norm: Node) -> Node:
    scale, shift = scale_and_shift(norm)
    return Node(norm.name, "conv", norm.inputs, {}, {"kernel": np.diag(scale)[None, None], "bias": shift})


def _fuse_relu(graph: Graph, relu: Node) -> Graph:
    """Fuse a ReLU into a convolution that no other node reads; the convolution's integer kernel clamps for free."""
    before = graph[relu.inputs[0]]
    if not is_convolution(before) or function(before) != "linear" or not _only_reader(graph, before, relu):
        return graph
    fused = replace(before, attrs={**before.attrs, "activation": "relu"})
    return substitute(_put(graph, fused), relu.name, (), result=before.name)
