"""Check that every layer has an int8 kernel that computes what it does in float, and that fake quantization can train it."""

from __future__ import annotations

from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import function, is_relu
from u3p_edge.graph.decompose import decompose
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import FUNCTIONS
from u3p_edge.graph.ops.op import is_over_channels

_OWN_KERNEL = frozenset(("input", "activation", "relu", "softmax", "leaky_relu", "elu", "global_average_pool"))
"""Ops with an integer kernel, or none to compute, that no other fact of their record tells of."""


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
        if _reads_other_axes(node):
            reason = f"{node.op} along another axis than the channels"
        elif not _has_kernel(node):
            reason = f"layers of kind {node.op}"
        elif function(node) != "linear" and not FUNCTIONS[function(node)].tflite:
            reason = f"the activation {function(node)!r}"
        elif node.op == "relu" and not is_relu(node):
            reason = "a ReLU with a slope, a threshold or this bound"
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
    return kind.keeps_scale or kind.rescales or named or kind.is_identity or node.op in _OWN_KERNEL


def check_trainable(graph: Graph) -> None:
    """Refuse a graph that quantization-aware training cannot train: it trains what has an integer form, but for grouped
    convolutions, of which TensorFlow computes no gradient on a CPU.

    Args:
        graph: the graph before folding, so that the message names the layer that the user knows.

    Raises:
        UntrainableError: there is a grouped convolution; the message names the first.
        ModelError: as `check_quantizable`.
    """
    for node in graph.nodes:
        if node.op == "conv" and node.attrs["groups"] != 1:
            symptom = f"QAT does not know grouped convolutions (layer {node.name!r})"
            raise UntrainableError(symptom, mend="Use post-training quantization.")
    check_quantizable(decompose(fold_batch_norm(graph)))


def _reads_other_axes(node: Node) -> bool:
    """Whether a normalisation or softmax is not over channels, or a concatenation joins images of a batch."""
    return (node.op in ("batch_norm", "softmax") and not is_over_channels(node.attrs)) or (
        node.op == "concat" and node.attrs["axis"] == 0
    )
