"""Check what quantization-aware training can train: every node needs an int8 kernel that computes what the float node does."""

from __future__ import annotations

from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import function, is_plain_relu
from u3p_edge.graph.ir import Graph, Node

_FUNCTIONS = frozenset(("linear", "relu", "sigmoid", "softmax"))
_LAST = (-1, 3, (-1,), (3,))


class UntrainableError(ModelError):
    """A network that quantization-aware training cannot train, though post-training quantization may do."""


def check_trainable(graph: Graph) -> None:
    """Refuse a graph with a node that would become a float island, or compute another function, in the integer file.

    Args:
        graph: the graph before folding, so that the message names the layer that the user knows.

    Raises:
        UntrainableError: the first node that quantization-aware training does not know; the message names it.
    """
    for node in graph.nodes:
        _check(node)


def _check(node: Node) -> None:
    if node.op == "layer_norm":
        raise UntrainableError(
            f"QAT does not support layer normalisation (layer {node.name!r}): its mean and variance have no int8 kernel",
            mend="Use post-training quantization, or train with batch normalisation.",
        )
    reason = ""
    if not node.kind.trains_int8:
        reason = f"does not know layers of kind {node.op}"
    elif function(node) not in _FUNCTIONS:
        reason = f"does not know the activation {function(node)!r}"
    elif node.attrs.get("groups", 1) != 1:
        reason = "does not know grouped convolutions"
    elif node.op == "relu" and not is_plain_relu(node):
        reason = "knows only the plain ReLU"
    elif node.op in ("batch_norm", "softmax") and node.attrs["axis"] not in _LAST:
        reason = "works on the channel axis only"
    elif node.op == "concat" and node.attrs["axis"] == 0:
        reason = "does not join images of a batch"
    if reason:
        raise UntrainableError(f"QAT {reason} (layer {node.name!r})", mend="Use post-training quantization.")
