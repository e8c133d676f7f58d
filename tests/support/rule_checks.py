"""What is asked of every rule: where it fires, why it refuses, and how far its graph may be from the original."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.support.rewrite_sites import drawn
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.reference import run
from u3p_edge.rewriting.rule import Match, Refusal, Rule

EPSILON = float(np.finfo(np.float32).eps)


def apply_rule(rule: Rule, graph: Graph, name: str = "y") -> Graph:
    """The graph with a node rewritten by a rule that must match it."""
    match = rule.match(graph, name)
    assert isinstance(match, Match), match
    return rule.rewrite(graph, match)


def refusal(rule: Rule, graph: Graph, name: str = "y") -> str:
    """Why a rule leaves a node as it is."""
    match = rule.match(graph, name)
    assert isinstance(match, Refusal), match
    return match.reason


def deviation(a: Graph, b: Graph, dtype: Any) -> float:
    """Largest difference of two graphs' outputs on drawn inputs, relative to the largest output."""
    feeds = {name: drawn(i, *a.shapes[name]) for i, name in enumerate(a.inputs)}
    x, y = (run(graph, feeds, dtype=dtype)[graph.outputs[0]] for graph in (a, b))
    return float(np.abs(x - y).max() / max(np.abs(x).max(), 1e-30))


def tolerance(graph: Graph) -> float:
    """Each output is a sum of n products; either order of it is off by at most n * eps of the sum of their magnitudes.

    Magnitudes of drawn terms add up to sqrt(n) times their sum, and errors of drawn signs to sqrt(n) * eps, so n * eps covers
    both; the few further roundings (interpolations, sums of parts, Winograd's growth by 2) are within the factor 4.
    """
    products = max(node.weights["kernel"][..., 0].size for node in graph.nodes if "kernel" in node.weights)
    return 4 * max(products, 16) * EPSILON


def in_eighths(graph: Graph) -> Graph:
    """The graph with a kernel of eighths: no float32 weight of any form is rounded then, so only float64's own rounding is
    left."""
    eighths = np.round(graph["y"].weights["kernel"] * 8) / np.float32(8)
    exact = replace(graph["y"], weights={**graph["y"].weights, "kernel": eighths})
    return replace(graph, nodes=(*graph.nodes[:-1], exact))
