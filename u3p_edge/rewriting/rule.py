"""What a rewrite rule is: it matches a node or refuses it with a reason, and rewrites what it matched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from u3p_edge.graph.ir import Graph


@dataclass(frozen=True)
class Refusal:
    """The reason why a rule does not apply to a node of the kind that the rule is about."""

    reason: str


@dataclass(frozen=True)
class Match:
    """The nodes that a rule applies to.

    Args:
        node: the node whose value is computed in another way; the node that computes it afterwards has the same name.
        nodes: all nodes that the rule replaces, in the graph's order, `node` last.
    """

    node: str
    nodes: tuple[str, ...]


class Rule(Protocol):
    """A rewrite rule: one identity between graphs."""

    @property
    def name(self) -> str:
        """The rule's name in reports and recorded selections."""

    @property
    def exact(self) -> bool:
        """Whether the rewritten graph computes the same function in real arithmetic."""

    def match(self, graph: Graph, name: str) -> Match | Refusal | None:
        """Return whether the rule applies to the node of that name, or None where the rule is not about such nodes."""

    def rewrite(self, graph: Graph, match: Match) -> Graph:
        """Return the graph with the matched nodes computed in the rule's way."""
