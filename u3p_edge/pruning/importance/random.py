"""Random scores: the control that every other measure has to beat."""

from __future__ import annotations

import numpy as np

from u3p_edge.pruning.importance.scores import Evidence, Importance, each_group


def score_elements(evidence: Evidence) -> Importance:
    """Draw the scores of the graph from 0 to 1 with the seed."""
    rng = np.random.default_rng(evidence.seed)
    return each_group(evidence.graph, lambda group: rng.random(group.size))
