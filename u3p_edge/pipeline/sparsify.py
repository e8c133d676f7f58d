"""Sparsity: set small weights to zero, for the size of a compressed file. A stage between the rewrites and quantization."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from safetensors import numpy as safetensors

from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.quantize import float_model_dice, one_hot
from u3p_edge.pipeline.rewrite import Network
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import Staging
from u3p_edge.progress import Progress
from u3p_edge.recipes.recipe import ExportRecipe

MB = 1_000_000


def sparsify_source(
    network: Network, source: Source, data: ExportData, recipe: ExportRecipe, staging: Staging, progress: Progress
) -> Network:
    """Set the network's small weights to zero and fine-tune it, as the recipe says; unchanged where it asks for no sparsity."""
    if recipe.zeros is None:
        return network
    kept = staging.file("zeros.safetensors", lambda: _weights(_sparsified(network, source, data, recipe, progress)))
    weights = safetensors.load(kept.read_bytes())
    model = to_keras(network.graph)
    model.set_weights([weights[str(place)] for place in range(len(weights))])
    return dataclasses.replace(network, model=model, graph=from_keras(model))


def describe_compression(int8: Path, recipe: ExportRecipe) -> tuple[str, ...]:
    """Return a sentence on what sparsity did to a file; none where it was not asked for."""
    if recipe.zeros is None:
        return ()
    from u3p_edge.quantize.sparsity import gzip_bytes

    raw, zipped = int8.stat().st_size / MB, gzip_bytes(int8) / MB
    return (
        f"{100 * recipe.zeros.share:.0f} % of the weights of each large kernel are zero ({recipe.zeros.pattern}): {int8.name} "
        f"has {raw:.3f} MB, {zipped:.3f} MB as gzip. Zeros shrink a compressed file alone; they make no dense kernel faster.",
    )


def _sparsified(network: Network, source: Source, data: ExportData, recipe: ExportRecipe, progress: Progress) -> Any:
    from u3p_edge.quantize.sparsity import Sparsity, sparsify
    from u3p_edge.training.losses import dice_cross_entropy

    zeros = recipe.zeros
    assert zeros is not None  # the caller looked
    return sparsify(
        to_keras(network.graph),
        data.train.images,
        one_hot(data.train.labels, source.metadata.channels_out),
        Sparsity(**dataclasses.asdict(zeros), seed=recipe.seed),
        loss=dice_cross_entropy,
        validate=lambda model: float_model_dice(dataclasses.replace(source, model=model), data.val),
        progress=progress,
    )


def _weights(model: Any) -> bytes:
    return bytes(safetensors.save({str(place): array for place, array in enumerate(model.get_weights())}))
