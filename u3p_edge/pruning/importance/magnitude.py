"""Magnitude: the norm of an element's weights, those that make it and those that read it together, relative to the group's mean
(Li et al. 2017, arXiv:1608.08710; over groups Fang et al. 2023, arXiv:2301.12900).
"""

from __future__ import annotations

import numpy as np

from u3p_edge.graph.ir import Graph
from u3p_edge.pruning.dependency import ChannelGroup
from u3p_edge.pruning.importance.scores import Evidence, Importance, Scores, each_group, kernels, relative, slices


def score_elements(evidence: Evidence) -> Importance:
    """Score the graph by the magnitude of its weights."""
    return magnitude(evidence.graph)


def magnitude(graph: Graph) -> Importance:
    """Return the norm of each element's kernel slices, divided by the mean norm of its group."""

    def score(group: ChannelGroup) -> Scores:
        squares = [np.square(slices(graph, member)).sum(axis=1) for member in kernels(group)]
        return relative(np.sqrt(np.sum([np.zeros(group.size), *squares], axis=0)))

    return each_group(graph, score)
