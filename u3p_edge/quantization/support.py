"""Check that every layer has an int8 kernel that computes what it does in float, and that fake quantization can train it."""

from __future__ import annotations

from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import function, is_plain_relu, is_relu
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import FUNCTIONS

_TRAINABLE_FUNCTIONS = frozenset(("linear", "relu", "sigmoid", "softmax"))
_OWN_KERNEL = frozenset(("leaky_relu", "elu", "global_average_pool"))
"""Ops with an integer kernel that is neither trained under fake quantization nor free in the scale of its output."""

_LAST = (-1, 3, (-1,), (3,))


class UntrainableError(ModelError):
    """A network that quantization-aware training cannot train, though post-training quantization may do."""


def check_quantizable(graph: Graph) -> None:
    """Refuse a graph with a node that has no integer form.

    Args:
        graph: folded, and in parts (`graph.decompose`).

    Raises:
        ModelError: the first such node; the message names it.
    """
    for node in graph.nodes:
        reason = ""
        if not _has_kernel(node):
            reason = f"layers of kind {node.op}"
        elif function(node) != "linear" and not FUNCTIONS[function(node)].tflite:
            reason = f"the activation {function(node)!r}"
        elif node.op == "relu" and not is_relu(node):
            reason = "a ReLU with a slope, a threshold or this bound"
        elif _reads_other_axes(node):
            reason = f"{node.op} along another axis than the channels"
        elif node.op == "elu" and node.attrs["alpha"] != 1:
            reason = "an ELU with another slope than 1"
        if reason:
            raise ModelError(
                f"int8 has no form of {reason} (layer {node.name!r})",
                mend="Export float files alone, or build the model with ReLU and batch normalisation.",
            )


def _has_kernel(node: Node) -> bool:
    kind = node.kind
    named = bool(kind.tflite) and not kind.merges  # the kernels of maximum and minimum want one scale for all their maps
    return kind.trains_int8 or kind.keeps_scale or kind.rescales or named or node.op in _OWN_KERNEL


def check_trainable(graph: Graph) -> None:
    """Refuse a graph with a node that quantization-aware training does not know.

    Args:
        graph: the graph before folding, so that the message names the layer that the user knows.

    Raises:
        UntrainableError: the first such node; the message names it.
    """
    for node in graph.nodes:
        _check_trainable(node)


def _check_trainable(node: Node) -> None:
    if node.op == "layer_norm":
        raise UntrainableError(
            f"QAT does not support layer normalisation (layer {node.name!r}): its mean and variance have no int8 kernel",
            mend="Use post-training quantization, or train with batch normalisation.",
        )
    reason = ""
    if not node.kind.trains_int8:
        reason = f"does not know layers of kind {node.op}"
    elif function(node) not in _TRAINABLE_FUNCTIONS:
        reason = f"does not know the activation {function(node)!r}"
    elif node.attrs.get("groups", 1) != 1:
        reason = "does not know grouped convolutions"
    elif node.op == "relu" and not is_plain_relu(node):
        reason = "knows only the plain ReLU"
    elif _reads_other_axes(node):
        reason = "works on the channel axis only"
    if reason:
        raise UntrainableError(f"QAT {reason} (layer {node.name!r})", mend="Use post-training quantization.")


def _reads_other_axes(node: Node) -> bool:
    """Whether a normalisation or softmax is not over channels, or a concatenation joins images of a batch."""
    return (node.op in ("batch_norm", "softmax") and node.attrs["axis"] not in _LAST) or (
        node.op == "concat" and node.attrs["axis"] == 0
    )
