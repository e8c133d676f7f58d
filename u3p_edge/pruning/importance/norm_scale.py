"""Norm scale: |gamma| of the normalisations on an element, relative to the group's mean (Liu et al. 2017, arXiv:1708.06519)."""

from __future__ import annotations

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.pruning.dependency import ChannelGroup
from u3p_edge.pruning.importance.scores import Evidence, Importance, Scores, each_group, relative, slices


def score_elements(evidence: Evidence) -> Importance:
    """Score the graph by the scales of its normalisations."""
    return norm_scale(evidence.graph)


def norm_scale(graph: Graph) -> Importance:
    """Return the mean |gamma| of each element, divided by the mean of its group.

    Raises:
        ModelError: no batch normalisation with a gamma acts on a group, as in a folded graph; the message names the group.
    """

    def score(group: ChannelGroup) -> Scores:
        scales = [m for m in group.members if m.weight == "gamma"]
        if not scales:
            raise ModelError(
                f"no batch normalisation scales the channels of {group.name!r}",
                mend="Use the graph before it is folded, or another measure.",
            )
        return relative(np.mean([np.abs(slices(graph, m)).mean(axis=1) for m in scales], axis=0))

    return each_group(graph, score)
