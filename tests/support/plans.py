"""Pruning plans."""

from __future__ import annotations

from u3p_edge.graph.ir import Graph
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.pruning.plan import PruningPlan


def keep_all(graph: Graph) -> PruningPlan:
    """Return the plan that names every group of which channels may be dropped, and drops none."""
    return PruningPlan({group.name: range(group.size) for group in find_groups(graph) if not group.frozen})
