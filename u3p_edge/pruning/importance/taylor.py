"""Taylor: (sum of weight * gradient)^2 of the weights that make an element. To first order, this is the squared change of the
loss without it (Molchanov et al. 2019, arXiv:1906.10771, eq. 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph
from u3p_edge.pruning.dependency import ChannelGroup, Member
from u3p_edge.pruning.importance.scores import Evidence, Gradients, Importance, Scores, each_group, take


def score_elements(evidence: Evidence) -> Importance:
    """Score the folded graph: a kernel and the normalisation behind it would count the same change of the loss twice."""
    folded = fold_batch_norm(evidence.graph)
    return taylor(folded, evidence.gradients(folded))


def taylor(graph: Graph, gradients: Sequence[Gradients]) -> Importance:
    """Return the mean over batches of the squared sum of weight * gradient over the weights that make an element.

    Args:
        graph: the graph whose weights the gradients belong to.
        gradients: the gradients of one batch each; a weight that is missing counts as having no gradient.

    Raises:
        ModelError: there is no batch, or a gradient has another shape than its weight; the message names the node.
    """
    if not gradients:
        raise ModelError("there is no gradient to score channels by", mend="Give those of one batch or more.")

    def of_batch(group: ChannelGroup, batch: Gradients) -> Scores:
        total = np.zeros(group.size)
        for member in group.members:
            if member.role == "producer" and (member.node, member.weight) in batch:
                total += _products(graph, member, batch[member.node, member.weight]).sum(axis=1)
        return np.asarray(total**2)

    return each_group(graph, lambda group: np.mean([of_batch(group, batch) for batch in gradients], axis=0))


def _products(graph: Graph, member: Member, gradient: npt.NDArray[Any]) -> Scores:
    weight = graph[member.node].weights[member.weight]
    if gradient.shape != weight.shape:
        raise ModelError(f"the gradient of {member.weight} of {member.node!r} is {gradient.shape}, the weight {weight.shape}")
    return take(weight * gradient.astype(np.float64), member)
