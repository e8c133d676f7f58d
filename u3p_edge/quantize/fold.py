"""A float graph in the shape that integer kernels have: no batch normalisation, ReLU inside the convolutions. Exact up to
float rounding.

With scale a = gamma / sqrt(variance + epsilon) and shift b = beta - a * mean, per channel, batch normalisation goes

    after a convolution:            a (W x + c) + b = (a W) x + (a c + b)
    before one that never pads:     W (a x + b) + c = (W a) x + (c + sum over kernel and input channels of W b)
    anywhere else:                  into a 1x1 convolution whose kernel is diag(a), with the bias b

A convolution that pads reads zeros at the border, not b, so there the second form would be wrong and the third is used.

The fake-quant model is trained with the folded weights, so the statistics are frozen. TFMOT instead keeps batch
normalisation beside the convolution and quantizes with each batch's own statistics; over the few epochs of a fine-tune on
small batches that only adds noise, and the integer file has to use the frozen ones anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node, consumers, shapes, substitute
from u3p_edge.graph.ops import TRAINING_ONLY

Array = npt.NDArray[np.float32]

SAME_SCALE = frozenset(("max_pool", "average_pool", "global_max_pool", "upsample", "reshape"))
"""Ops whose integer kernels want their output in their input's scale."""

_KNOWN = (
    SAME_SCALE | TRAINING_ONLY | {"input", "conv", "batch_norm", "activation", "relu", "softmax", "concat", "add", "multiply"}
)
_FUNCTIONS = frozenset(("linear", "relu", "sigmoid", "softmax"))
_LAST = (-1, 3, (-1,), (3,))


def fold(graph: Graph) -> Graph:
    """The same function of input, convolutions (linear or ReLU), activations, merges, poolings, resizes and reshapes only.

    Raises:
        ModelError: a node that quantization-aware training does not know; the message names it.
    """
    for node in graph.nodes:
        check(node)
    for node in graph.nodes:
        if node.op in TRAINING_ONLY or (node.op == "activation" and function(node) == "linear"):
            graph = substitute(graph, node.name, (), result=graph[node.name].inputs[0])
        elif function(node) in ("sigmoid", "softmax") and node.op == "conv":
            graph = _split(graph, node)
    for node in graph.nodes:
        if node.op == "batch_norm":
            graph = _fold_norm(graph, graph[node.name])
    for node in graph.nodes:
        if function(node) == "relu" and node.op != "conv":
            graph = _fuse_relu(graph, graph[node.name])
    return graph


def function(node: Node) -> str:
    """The activation a node applies, "linear" for none."""
    if node.op in ("relu", "softmax"):
        return node.op
    return str(node.attrs.get("function", node.attrs.get("activation", "linear")))


def check(node: Node) -> None:
    """Refuse what would become a float island, or another function, in the integer file."""
    if node.op == "layer_norm":
        raise ModelError(
            f"QAT does not support layer normalisation (layer {node.name!r}): its mean and variance have no int8 kernel",
            mend="Use post-training quantization, or train with batch normalisation.",
        )
    reason = ""
    if node.op not in _KNOWN:
        reason = f"does not know layers of kind {node.op}"
    elif function(node) not in _FUNCTIONS:
        reason = f"does not know the activation {function(node)!r}"
    elif node.attrs.get("groups", 1) != 1:
        reason = "does not know grouped convolutions"
    elif node.op == "relu" and (node.attrs["max_value"] is not None or node.attrs["negative_slope"] or node.attrs["threshold"]):
        reason = "knows only the plain ReLU"
    elif node.op in ("batch_norm", "concat", "softmax") and node.attrs["axis"] not in _LAST:
        reason = "works on the channel axis only"
    if reason:
        raise ModelError(f"QAT {reason} (layer {node.name!r})", mend="Use post-training quantization.")


def never_pads(conv: Node, size: Sequence[int]) -> bool:
    """Whether a convolution over a map of `size` (h, w) reads no border zeros."""
    if conv.attrs["padding"] == "valid":
        return True
    kernel = conv.weights["kernel"].shape[:2]
    axes = zip(size, kernel, conv.attrs["strides"], conv.attrs["dilation"], strict=True)
    return all((-(-n // s) - 1) * s + (k - 1) * d + 1 <= n for n, k, s, d in axes)


def scale_and_shift(norm: Node) -> tuple[Array, Array]:
    """a and b of the module docstring: float32 [channels] each."""
    weights = {key: np.asarray(value, np.float64) for key, value in norm.weights.items()}
    scale = weights.get("gamma", 1.0) / np.sqrt(weights["variance"] + norm.attrs["epsilon"])
    shift = weights.get("beta", 0.0) - scale * weights["mean"]
    return scale.astype(np.float32), shift.astype(np.float32)


def _split(graph: Graph, conv: Node) -> Graph:
    """A convolution with its sigmoid or softmax as a node of its own, which keeps the name."""
    logits = replace(conv, name=f"{conv.name}_logits", attrs={**conv.attrs, "activation": "linear"})
    return substitute(graph, conv.name, (logits, Node(conv.name, "activation", (logits.name,), {"function": function(conv)})))


def _fold_norm(graph: Graph, norm: Node) -> Graph:
    readers = consumers(graph)
    before, after = graph[norm.inputs[0]], [graph[name] for name in readers[norm.name]]
    if before.op == "conv" and function(before) == "linear" and readers[before.name] == (norm.name,):
        return substitute(_put(graph, _scale_output(before, norm)), norm.name, (), result=before.name)
    size = shapes(graph)[norm.name][1:3]
    if after and norm.name not in graph.outputs and all(node.op == "conv" and never_pads(node, size) for node in after):
        for conv in after:
            graph = _put(graph, _scale_input(conv, norm))
        return substitute(graph, norm.name, (), result=before.name)
    return _put(graph, _as_convolution(norm))


def _put(graph: Graph, node: Node) -> Graph:
    """The graph with the node of that name replaced."""
    return substitute(graph, node.name, (node,))


def _scale_output(conv: Node, norm: Node) -> Node:
    scale, shift = scale_and_shift(norm)
    bias = conv.weights.get("bias", np.zeros_like(shift)) * scale + shift
    return replace(conv, weights={"kernel": conv.weights["kernel"] * scale, "bias": bias})


def _scale_input(conv: Node, norm: Node) -> Node:
    scale, shift = scale_and_shift(norm)
    kernel = conv.weights["kernel"]
    bias = conv.weights.get("bias", np.zeros(kernel.shape[-1], np.float32)) + np.einsum("hwio,i->o", kernel, shift)
    return replace(conv, weights={"kernel": kernel * scale[:, None], "bias": bias})


def _as_convolution(norm: Node) -> Node:
    scale, shift = scale_and_shift(norm)
    return Node(norm.name, "conv", norm.inputs, {}, {"kernel": np.diag(scale)[None, None], "bias": shift})


def _fuse_relu(graph: Graph, relu: Node) -> Graph:
    """Into a convolution that nobody else reads; its integer kernel clamps for free."""
    before = graph[relu.inputs[0]]
    if before.op != "conv" or function(before) != "linear" or consumers(graph)[before.name] != (relu.name,):
        return graph
    fused = replace(before, attrs={**before.attrs, "activation": "relu"})
    return substitute(_put(graph, fused), relu.name, (), result=before.name)
