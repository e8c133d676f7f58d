"""Score the channels of a source: hand a measure of `u3p_edge.pruning.importance` the data that it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from u3p_edge.data.calibration import calibration_indices
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.source import Source
from u3p_edge.pruning.importance import score_groups
from u3p_edge.pruning.importance.scores import Gradients, Importance

TITLE = "Score channels"


def score_channels(source: Source, context: Context) -> Importance:
    """Score how much each channel matters, by the recipe's measure on calibration images."""
    pruning = context.recipe.pruning
    return score_groups("taylor" if pruning is None else pruning.importance, _Evidence(source, context))


@dataclass(frozen=True)
class _Evidence:
    """What calibration images say about a source; see `u3p_edge.pruning.importance.Evidence`."""

    source: Source
    context: Context

    @property
    def graph(self) -> Graph:
        return self.source.graph

    @property
    def seed(self) -> int:
        return self.context.recipe.seed

    def gradients(self, graph: Graph) -> Sequence[Gradients]:
        from u3p_edge.training import sensitivity

        images, labels = self._images()
        return sensitivity.gradients(to_keras(graph), images, labels, step=self.context.progress(TITLE, len(images)))

    def mean_squares(self) -> Mapping[str, npt.NDArray[Any]]:
        from u3p_edge.training import sensitivity

        images, _ = self._images()
        return sensitivity.mean_squares(self.source.model, images, self.context.progress(TITLE, len(images)))

    def _images(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        train = self.context.data.train
        chosen = list(calibration_indices(train, self.context.recipe.quantization.calibration_images))
        return train.images[chosen], train.labels[chosen]
