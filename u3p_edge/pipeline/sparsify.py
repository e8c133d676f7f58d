"""Sparsity: set small weights to zero, for the size of a compressed file. A stage between the rewrites and quantization."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from safetensors import numpy as safetensors

from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.rewrite import Network
from u3p_edge.pipeline.validation import float_model_dice
from u3p_edge.quantization.sparsity import Sparsity

MB = 1_000_000


def sparsify_network(network: Network, context: Context) -> Network:
    """Set the network's small weights to zero and fine-tune it, as the recipe says; unchanged where it asks for no sparsity."""
    sparsity = context.recipe.sparsity
    if sparsity is None:
        return network
    kept = context.staging.file("sparse.safetensors", lambda: _weights(_train(network, sparsity, context)))
    weights = safetensors.load(kept.read_bytes())
    model = to_keras(network.graph)
    model.set_weights([weights[str(index)] for index in range(len(weights))])
    return dataclasses.replace(network, model=model, graph=from_keras(model))


def describe_compression(int8: Path, sparsity: Sparsity | None) -> tuple[str, ...]:
    """Return a sentence on what sparsity did to a file; none where it was not asked for."""
    if sparsity is None:
        return ()
    from u3p_edge.quantization.sparsify import gzip_bytes

    raw, zipped = int8.stat().st_size / MB, gzip_bytes(int8) / MB
    return (
        f"{100 * sparsity.share:.0f} % of the weights of each large kernel are zero ({sparsity.pattern}): {int8.name} "
        f"has {raw:.3f} MB, {zipped:.3f} MB as gzip. Zeros shrink a compressed file alone; they make no dense kernel faster.",
    )


def _train(network: Network, sparsity: Sparsity, context: Context) -> Any:
    from u3p_edge.quantization.sparsify import sparsify
    from u3p_edge.training.losses import dice_cross_entropy

    original, data, staging = context.original, context.data, context.staging
    done = sparsify(
        to_keras(network.graph),
        data.train.images,
        data.train.labels,
        sparsity,
        loss=dice_cross_entropy,
        validate=lambda model: float_model_dice(dataclasses.replace(original, model=model), data.val),
        seed=context.recipe.seed,
        keep_epoch=staging.locked("sparse_epoch"),
        progress=context.progress,
    )
    staging.decide("sparse_epoch", lambda: done.epoch)
    return done.model


def _weights(model: Any) -> bytes:
    return bytes(safetensors.save({str(index): array for index, array in enumerate(model.get_weights())}))
