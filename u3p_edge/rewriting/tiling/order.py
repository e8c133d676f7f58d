"""Orders of computing some nodes of a graph in which few of their maps are alive at once.

A graph may compute all upsamplings of a decoder before all its convolutions, so that their maps are alive together. In
depth-first order, one operand after the other, only their results are alive together. The operand that needs the most beyond
its result goes first; for a tree, this order needs the least memory (Sethi and Ullman 1970). Where operands share much, as in
Winograd's form, the nodes form no tree, and their original order in the graph can be the better one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set

from u3p_edge.graph.ir import Graph
from u3p_edge.graph.ops import Shape


def list_orders(graph: Graph, out: str, names: Set[str], shapes: Mapping[str, Shape]) -> tuple[tuple[str, ...], ...]:
    """Return the nodes in depth-first order, and in the graph's order.

    `out` is computed from all the others and comes last.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    needs: dict[str, int] = {}
    operands: dict[str, list[str]] = {}
    for node in graph.nodes:
        if node.name in names:
            inside = [name for name in dict.fromkeys(node.inputs) if name in names]
            operands[node.name] = inside = sorted(inside, key=lambda name: sizes[name] - needs[name])
            before = [sum(sizes[name] for name in inside[:i]) for i in range(len(inside) + 1)]
            needs[node.name] = max(
                a + b for a, b in zip(before, [*map(needs.__getitem__, inside), sizes[node.name]], strict=True)
            )
    return _operands_first(out, operands), tuple(operands)


def _operands_first(out: str, operands: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    placed: dict[str, None] = {}
    waiting = [(out, False)]
    while waiting:
        name, ready = waiting.pop()
        if ready:
            placed[name] = None
        elif name not in placed:
            waiting += [(name, True), *((source, False) for source in reversed(operands[name]))]
    return tuple(placed)
