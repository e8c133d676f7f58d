"""A cascade of pools: a max pooling reads the result of a finer pooling of the same map, where the graph has one.

The maximum over a window is the maximum of the maxima over smaller windows that tile it. With k = a * b, windows of size k
whose strides are their size, and P_a the pooling that the graph has,

    P_k x = P_b (P_a x)        and P_k x = P_a x itself where k = a

bit for bit, in any arithmetic. UNet 3+ pools its first encoder level by 2, 4 and 8 for its decoder, and by 2 for its next
encoder level: a map that is read once need not be read three times more.

Domain: max pooling whose strides are its size, over maps that its windows tile; the finer pooling reads the same map and comes
before it. Nothing is measured: less is read, and nothing more is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from u3p_edge.graph.ir import Graph, Node, substitute
from u3p_edge.rewriting.rule import Match, Refusal


@dataclass(frozen=True)
class PoolCascade:
    """Pool the result of a finer pooling."""

    name: ClassVar[str] = "pool cascade"
    exact: ClassVar[bool] = True

    def match(self, graph: Graph, name: str) -> Match | Refusal | None:
        """See `Rule.match`. The first of the match's nodes is the finer pooling, which stays."""
        node = graph[name]
        if node.op != "max_pool":
            return None
        if not _tiles(graph, node):
            return Refusal("its windows do not tile the map")
        finer = list(_finer(graph, node))
        if not finer:
            return Refusal("no finer pooling of the same map comes before it")
        return Match(name, (max(finer, key=lambda other: _size(other)[0] * _size(other)[1]).name, name))

    def rewrite(self, graph: Graph, match: Match) -> Graph:
        """See `Rule.rewrite`."""
        other, node = (graph[name] for name in match.nodes)
        size = (_size(node)[0] // _size(other)[0], _size(node)[1] // _size(other)[1])
        if size == (1, 1) and node.name not in graph.outputs:
            return substitute(graph, node.name, (), result=other.name)
        again = replace(node, inputs=(other.name,), attrs={**node.attrs, "pool_size": size, "strides": size})
        return substitute(graph, node.name, (again,))


def cascade_pools(graph: Graph) -> Graph:
    """Return the graph with the rule applied wherever it can be."""
    rule = PoolCascade()
    for node in graph.nodes:
        match = rule.match(graph, node.name)
        if isinstance(match, Match):
            graph = rule.rewrite(graph, match)
    return graph


def _size(pool: Node) -> tuple[int, int]:
    height, width = pool.attrs["pool_size"]
    return int(height), int(width)


def _tiles(graph: Graph, pool: Node) -> bool:
    height, width = graph.shapes[pool.inputs[0]][1:3]
    return tuple(pool.attrs["strides"]) == _size(pool) and height % _size(pool)[0] == 0 and width % _size(pool)[1] == 0


def _finer(graph: Graph, pool: Node) -> Iterator[Node]:
    """Yield the poolings of the same map that come before a pooling and whose windows tile its windows."""
    for node in graph.nodes:
        if node.name == pool.name:
            return
        alike = node.op == "max_pool" and node.inputs == pool.inputs and _tiles(graph, node)
        if alike and all(whole % part == 0 for whole, part in zip(_size(pool), _size(node), strict=True)):
            yield node
