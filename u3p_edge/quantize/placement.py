"""Choose where a folded graph gets fake-quants: one at the end of every fused integer kernel, and nowhere else.

    input, convolution (+ ReLU), addition or subtraction (+ ReLU),
    multiplication                                                      RANGE: calibrated, then follows training
    ... whose values only a sigmoid reads                               LOGITS: fixed
    ... whose values only one concatenation reads                       none: written directly in its scale
    concatenation                                                       RANGE, shared by all that it joins
    sigmoid, softmax, and a product of them (the gated mask)            PROBABILITY: fixed, steps of 1/256
    pooling, resize, reshape, crop, zero padding                        none: same scale out as in

"Reads values" looks through ops that only move them. For example, a convolution whose values reach a concatenation through a
reshape is written in the concatenation's scale. A concatenation of rows whose values reach one of channels is written in the
scale of the latter.

An operand of a concatenation that another node reads too keeps its own range, and the file requantizes it on the way in.

TFMOT's own rules are different. They give a resize a range of its own at its output, which the converter then moves to its
input (model-optimization #1000). They also take the range away from every operand of a concatenation, whichever nodes read it.

The integer resize and average do round to their input's scale. Imitating that with a second fake-quant of the same range was
tried, and brought the two models no closer (mean difference 0.85 against 0.75 output steps). So it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from types import MappingProxyType

from u3p_edge.graph.activation import function
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.quantize.support import UntrainableError

Readers = Mapping[str, tuple[str, ...]]

_SUMS = ("add", "subtract")


class Placement(Enum):
    """The kind of fake-quant that a node's tensor has."""

    RANGE = "range"
    LOGITS = "logits"
    PROBABILITY = "probability"


def place_quantizers(graph: Graph) -> Mapping[str, Placement]:
    """Return the fake-quants of a folded graph by node; a node that is not in the mapping has none.

    Raises:
        UntrainableError: the graph's output is not a probability, so nothing fixes its scale.
    """
    readers = graph.consumers
    placed: dict[str, Placement] = {}
    for node in graph.nodes:
        kind = _place(graph, readers, placed, node)
        if kind is not None:
            placed[node.name] = kind
    result = graph.outputs[0]
    if placed.get(result) is not Placement.PROBABILITY:
        raise UntrainableError(
            f"the model's output {result!r} is not a probability", mend="QAT wants a mask from sigmoid or softmax."
        )
    return MappingProxyType(placed)


def source(graph: Graph, name: str) -> str:
    """Return the node that decides a tensor's scale: its own node, or the one before any ops that keep their input's scale."""
    return source(graph, graph[name].inputs[0]) if _passes_scale(graph[name]) else name


def _passes_scale(node: Node) -> bool:
    """Return whether a node's one input decides its scale."""
    return node.kind.keeps_scale and node.kind.arity == 1


def _rescales(node: Node) -> bool:
    return node.kind.rescales or node.op == "concat"


def _place(graph: Graph, readers: Readers, placed: Mapping[str, Placement], node: Node) -> Placement | None:
    if node.op == "input":
        return None  # the identity behind it has the range
    if _passes_scale(node):
        return None
    if function(node) in ("sigmoid", "softmax"):
        return Placement.PROBABILITY
    if node.op == "multiply" and all(placed.get(source(graph, name)) is Placement.PROBABILITY for name in node.inputs):
        return Placement.PROBABILITY
    return _place_range(graph, readers, node)


def _place_range(graph: Graph, readers: Readers, node: Node) -> Placement | None:
    after = readers[node.name]
    if node.op in _SUMS and len(after) == 1 and function(graph[after[0]]) == "relu":
        return None
    ends = {end.name: end for end in _ends(graph, readers, node.name)}
    if len(ends) == 1 and next(iter(ends.values())).op == "concat" and _ends_a_kernel(graph, readers, node):
        return None
    functions = {function(end) for end in ends.values()}
    return Placement.LOGITS if _rescales(node) and functions == {"sigmoid"} else Placement.RANGE


def _ends_a_kernel(graph: Graph, readers: Readers, node: Node) -> bool:
    """Return whether an integer kernel can give a node's values in any scale.

    None can for the input, nor for a ReLU that is not fused into a sum.
    """
    if not _rescales(node) and function(node) == "relu":
        before = graph[node.inputs[0]]
        return before.op in _SUMS and readers[before.name] == (node.name,)
    return _rescales(node)


def _ends(graph: Graph, readers: Readers, name: str) -> Iterator[Node]:
    """Yield the nodes that read a tensor's values, looking through ops that only move them."""
    for reader in readers[name]:
        if _passes_scale(graph[reader]):
            yield from _ends(graph, readers, reader)
        else:
            yield graph[reader]
