"""Reconstruction: |kernel slice|^2 * mean square of the channel, summed over its readers. This is the energy that their outputs
lose without the element (after Luo et al. 2017, arXiv:1707.06342).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.pruning.dependency import ChannelGroup
from u3p_edge.pruning.importance.scores import Evidence, Importance, Scores, each_group, kernels, slices


def score_elements(evidence: Evidence) -> Importance:
    """Score the graph by what its layers would lose."""
    return reconstruction(evidence.graph, evidence.mean_squares())


def reconstruction(graph: Graph, mean_squares: Mapping[str, npt.NDArray[Any]]) -> Importance:
    """Return, for each element, the sum over all kernels that read it of (squares of its slice) * (the channel's mean square).

    This is exact for channels that are not correlated with the others.

    Args:
        graph: any graph.
        mean_squares: mean squares [C] of each node's tensor over images and pixels, by the node's name.

    Raises:
        ModelError: a tensor that is read has no mean squares; the message names it.
    """

    def score(group: ChannelGroup) -> Scores:
        total = np.zeros(group.size)
        for member in (m for m in kernels(group) if m.role == "consumer"):
            source = graph[member.node].inputs[0]
            if source not in mean_squares:
                raise ModelError(f"the mean squares of {source!r} are missing, which {member.node!r} reads")
            squares = np.square(slices(graph, member)).reshape(*member.positions.shape, -1).sum(axis=2)
            total += (squares * np.asarray(mean_squares[source], np.float64)[member.positions]).sum(axis=1)
        return total

    return each_group(graph, score)
