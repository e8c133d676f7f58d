"""What a rewrite rule is: it matches a node or refuses it with a reason, and rewrites what it matched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from u3p_edge.graph.ir import Graph


@dataclass(frozen=True)
class Refusal:
    """Why a rule does not apply to a node that it is about."""

    reason: str


@dataclass(frozen=True)
class Match:
    """Where a rule applies.

    Args:
        node: the node whose value is computed anew; what computes it afterwards has its name.
        nodes: all nodes that the rule replaces, in the graph's order, `node` last.
    """

    node: str
    nodes: tuple[str, ...]


class Rule(Protocol):
    """One identity of graphs."""

    @property
    def name(self) -> str:
        """In reports and recorded choices."""

    @property
    def exact(self) -> bool:
        """Whether the result is the same function in real arithmetic."""

    def match(self, graph: Graph, name: str) -> Match | Refusal | None:
        """Whether the rule applies to the node of that name; None where the rule is not about such nodes."""

    def rewrite(self, graph: Graph, match: Match) -> Graph:
        """The graph with the matched nodes computed the other way."""
