"""Choose where a folded graph gets fake-quants: one at the end of every fused integer kernel, and nowhere else.

    input, convolution (+ ReLU), addition or subtraction (+ ReLU),
    multiplication, and everything else that is not below               RANGE: calibrated, then follows training
    ... whose values only a sigmoid reads, not mixed on the way         LOGITS: fixed
    ... whose values only one concatenation reads                       none: written directly in its scale
    concatenation, maximum, minimum                                     RANGE, shared by all that it joins
    sigmoid, softmax, and a product of them (the gated mask)            PROBABILITY: fixed, steps of 1/256
    tanh                                                                TANH: fixed, steps of 1/128
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

import math
from collections.abc import Iterator, Mapping
from enum import Enum
from types import MappingProxyType

from u3p_edge.graph.activation import function, fused_relu
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.quantization.ranges import Range
from u3p_edge.quantization.support import UntrainableError

_SUMS = frozenset(("add", "subtract"))


class Placement(Enum):
    """The kind of fake-quant that a node's tensor has."""

    RANGE = "range"
    LOGITS = "logits"
    PROBABILITY = "probability"
    TANH = "tanh"


LOGIT_BOUND = 6.25
"""Fixed range of logits that only a sigmoid reads. sigmoid(6.25) * 256 = 255.51 and sigmoid(-6.25) * 256 = 0.49: beyond it
an int8 probability is at its last or first value anyway, so a calibrated range would only coarsen the steps near 0.5. That
holds where a sigmoid reads the logits as they are. Where they are averaged or interpolated first, a clipped logit pulls its
neighbours less than it should, and the edges of the mask move. There the range is calibrated."""

TOP_PROBABILITY = 255 / 256
"""The largest int8 probability: integer kernels of sigmoid and softmax write steps of 1/256 from zero point -128."""

VISIBLE = 1.5
"""Steps of 1/256 between the two largest probabilities of a pixel whose logits differ by one integer. More than one step is
enough for different integers; the half is for what kernels lose before they round."""

FIXED: Mapping[Placement, Range] = MappingProxyType(
    {
        Placement.LOGITS: (-LOGIT_BOUND, LOGIT_BOUND),
        Placement.PROBABILITY: (0.0, TOP_PROBABILITY),
        Placement.TANH: (-1.0, 127 / 128),  # the integer kernel writes steps of 1/128 around 0
    }
)
"""The ranges that are not calibrated."""


def place_quantizers(graph: Graph) -> Mapping[str, Placement]:
    """Return the fake-quants of a folded graph by node; a node that is not in the mapping has none.

    Raises:
        UntrainableError: the graph's output is not a probability, so nothing fixes its scale.
    """
    placed: dict[str, Placement] = {}
    for node in graph.nodes:
        kind = _choose_placement(graph, placed, node)
        if kind is not None:
            placed[node.name] = kind
    result = graph.outputs[0]
    if placed.get(result) is not Placement.PROBABILITY:
        raise UntrainableError(
            f"the model's output {result!r} is not a probability", mend="Int8 wants a mask from sigmoid or softmax."
        )
    return MappingProxyType(placed)


def widen_logits(graph: Graph, name: str, limits: Range) -> Range:
    """Return the range of a map, wide enough for equal labels if the map is the logits that the output is computed from.

    A range that is too narrow has logits that differ by an integer, while their probabilities are the same integer. Then the
    largest logit and the largest probability need not be those of one class. For K classes and a step s of the logits, the two
    largest probabilities of such a pixel are nearest where all others are as large as the second, exp(-s) of the first:

        (1 - exp(-s)) / (1 + (K - 1) exp(-s)) >= v / 256,  so  s >= log((256 + v (K - 1)) / (256 - v))

    with v = `VISIBLE`. A sigmoid's probability and what it lacks to 1 are the probabilities of two classes, and it is compared
    with 1/2, to which each is half as far: v is twice as large there.

    Args:
        graph: folded, of one output.
        name: of the map.
        limits: (low, high) of its values.
    """
    last = graph[graph.outputs[0]]
    kind = function(last)
    if kind not in ("sigmoid", "softmax") or name != scale_source(graph, last.inputs[0] if last.inputs else last.name):
        return limits
    classes, steps = (2, 2 * VISIBLE) if kind == "sigmoid" else (graph.shapes[last.name][-1], VISIBLE)
    least = 255 * math.log((256 + steps * (classes - 1)) / (256 - steps))
    missing = max(least - (limits[1] - limits[0]), 0.0)
    return limits[0] - missing / 2, limits[1] + missing / 2


def passes_scale(node: Node) -> bool:
    """Return whether a node's one input decides its scale."""
    return node.kind.keeps_scale and node.kind.arity == 1


def joins(node: Node) -> bool:
    """Return whether a node's integer kernel needs several operands in the scale of its output."""
    return node.kind.keeps_scale and node.kind.arity != 1


def _rescales(node: Node) -> bool:
    """Return whether an integer kernel can write a node's output in any scale; what is joined follows what joins it."""
    return node.kind.rescales or joins(node)


def scale_source(graph: Graph, name: str) -> str:
    """Return the node that decides a tensor's scale: its own node, or the one before any ops that keep their input's scale."""
    return scale_source(graph, graph[name].inputs[0]) if passes_scale(graph[name]) else name


def joining_end(graph: Graph, name: str) -> str:
    """Return the concatenation (or maximum, or minimum) in whose scale a node's values are written; "" where there is none.

    That is the only node that reads them, and the node's integer kernel can write them in any scale.
    """
    ends = {end.name: end for end in _ends(graph, name)}
    end = next(iter(ends.values())) if len(ends) == 1 else None
    return end.name if end is not None and joins(end) and _ends_a_kernel(graph, graph[name]) else ""


def _choose_placement(graph: Graph, placed: Mapping[str, Placement], node: Node) -> Placement | None:
    if node.op == "input" or passes_scale(node):
        return None  # the identity behind an input has its range
    if function(node) in ("sigmoid", "softmax"):
        return Placement.PROBABILITY
    if function(node) == "tanh":
        return Placement.TANH
    if node.op == "multiply" and all(placed.get(scale_source(graph, name)) is Placement.PROBABILITY for name in node.inputs):
        return Placement.PROBABILITY
    return _choose_range(graph, node)


def _choose_range(graph: Graph, node: Node) -> Placement | None:
    if node.op in _SUMS and fused_relu(graph, node):
        return None
    if joining_end(graph, node.name):
        return None
    only_sigmoid = {function(end) for end in _ends(graph, node.name)} == {"sigmoid"}
    return Placement.LOGITS if _rescales(node) and only_sigmoid and not _is_mixed(graph, node.name) else Placement.RANGE


def _is_mixed(graph: Graph, name: str) -> bool:
    """Return whether a tensor's values are averaged or interpolated before they reach a node that decides its own scale."""
    readers = [graph[reader] for reader in graph.consumers[name] if passes_scale(graph[reader])]
    return any(_mixes(reader) or _is_mixed(graph, reader.name) for reader in readers)


def _mixes(node: Node) -> bool:
    """Return whether an op that keeps its input's scale gives other values than those that it reads.

    Clipping before it is then not the same as clipping behind it.
    """
    return node.op == "average_pool" or (node.op == "upsample" and node.attrs["interpolation"] != "nearest")


def _ends_a_kernel(graph: Graph, node: Node) -> bool:
    """Return whether an integer kernel can give a node's values in any scale.

    None can for the input, nor for a ReLU that is not fused into a sum.
    """
    if not _rescales(node) and function(node) == "relu":
        before = graph[node.inputs[0]]
        return before.op in _SUMS and graph.consumers[before.name] == (node.name,)
    return _rescales(node)


def _ends(graph: Graph, name: str) -> Iterator[Node]:
    """Yield the nodes that read a tensor's values, looking through ops that only move them."""
    for reader in graph.consumers[name]:
        if passes_scale(graph[reader]):
            yield from _ends(graph, reader)
        else:
            yield graph[reader]
