"""One site of a graph by itself: the graph that its candidates are timed on, and how much a rule changes what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.reference import run
from u3p_edge.rewriting.rule import Match, Rule


def site_graph(graph: Graph, nodes: Sequence[str]) -> Graph:
    """Return some nodes as a separate graph: what they read from outside is its inputs, the last node its output."""
    inside = [node for node in graph.nodes if node.name in nodes]
    outside = dict.fromkeys(name for node in inside for name in node.inputs if name not in nodes)
    inputs = [Node(name, "input", (), {"shape": (None, *graph.shapes[name][1:])}) for name in outside]
    return Graph((*inputs, *inside), tuple(outside), (nodes[-1],), name=nodes[-1])


def deviation(site: Graph, rule: Rule) -> float:
    """Return how much a rule changes a site's output on random inputs: the largest difference over the largest output.

    It is measured in float32 with the site's weights, on a map cut to a few rows and columns, borders included.

    Raises:
        ValueError: the rule does not apply to the site.
    """
    # A few rows and columns suffice, and before an upsampling two do. A rule that groups columns needs some groups, hence 32.
    for most in (2 if any(node.op == "upsample" for node in site.nodes) else 6, 32):
        small = _cut(site, most)
        match = rule.match(small, small.outputs[0])
        if isinstance(match, Match):
            break
    else:
        raise ValueError(f"{rule.name} does not apply to {site.outputs[0]!r}: {match}")
    draw = np.random.default_rng(0)
    feeds = {
        name: draw.standard_normal(shape).astype(np.float32) for name, shape in small.shapes.items() if name in small.inputs
    }
    expected, given = (run(graph, feeds)[site.outputs[0]] for graph in (small, rule.rewrite(small, match)))
    return float(np.abs(given - expected).max() / max(float(np.abs(expected).max()), np.finfo(np.float32).tiny))


def _cut(site: Graph, most: int) -> Graph:
    """Return the site with maps of at most `most` rows and columns."""

    def cut(node: Node) -> Node:
        if node.op != "input" or len(node.attrs["shape"]) != 4:
            return node
        batch, height, width, channels = node.attrs["shape"]
        return replace(node, attrs={**node.attrs, "shape": (batch, min(height, most), min(width, most), channels)})

    return replace(site, nodes=tuple(map(cut, site.nodes)))
