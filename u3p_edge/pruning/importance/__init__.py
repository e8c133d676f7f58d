"""Score how important each channel is. A channel group has one score for every element.

Each measure is a file of this folder, listed in `MEASURES`, with a function `score_elements`. Magnitude and norm scale look at
weights alone and compare channels within a group. Taylor and reconstruction are in units of the loss and of features, so they
are comparable across groups. No measure runs a network: what data say about it comes as `Evidence`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # recipes read the table, and need no NumPy for it
    from u3p_edge.pruning.importance.scores import Evidence, Importance

MEASURES = (
    "taylor",
    "reconstruction",
    "magnitude",
    "norm_scale",
    "random",
)
"""The names of the measures, which are the names of their files. A recipe's `importance` is one of them."""


def score_groups(measure: str, evidence: Evidence) -> Importance:
    """Return the scores of every group that is not frozen, by a measure of `MEASURES`.

    Raises:
        ModelError: the graph does not fit the measure; the message names the group or the node.
    """
    scores: Importance = import_module(f"{__name__}.{measure}").score_elements(evidence)
    return scores
