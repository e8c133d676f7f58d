"""Score the channels of a source: call the measures of `u3p_edge.prune.importance` with the data that they need."""

from __future__ import annotations

import numpy as np

from u3p_edge.data.calibration import calibration_indices
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.source import Source
from u3p_edge.prune.dependency import find_groups
from u3p_edge.prune.importance import Importance, magnitude, norm_scale, reconstruction, taylor


def score_channels(source: Source, context: Context) -> Importance:
    """Score how much each channel matters, by the recipe's measure on calibration images."""
    from u3p_edge.training import sensitivity

    recipe, train = context.recipe, context.data.train
    measure_name = "taylor" if recipe.pruning is None else recipe.pruning.importance
    graph = source.graph
    if measure_name == "magnitude":
        return magnitude(graph)
    if measure_name == "norm_scale":
        return norm_scale(graph)
    if measure_name == "random":
        rng = np.random.default_rng(recipe.seed)
        return {group.name: rng.random(group.size) for group in find_groups(graph) if not group.frozen}
    chosen = list(calibration_indices(train, recipe.quantization.calibration_images))
    images, labels = train.images[chosen], train.labels[chosen]
    step = context.progress("Judge channels", len(chosen))
    if measure_name == "taylor":
        # Folded: a kernel and the normalisation behind it would count the same change of the loss twice.
        folded = fold_batch_norm(graph)
        return taylor(folded, sensitivity.gradients(to_keras(folded), images, labels, step=step))
    return reconstruction(graph, sensitivity.mean_squares(source.model, images, step))
