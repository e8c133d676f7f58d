"""Estimate the costs of a run before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from u3p_edge.graph.cost import cost
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.training.dataset import steps_per_epoch
from u3p_edge.training.recipe import TrainRecipe
from u3p_edge.training.trainer import Trainer


@dataclass(frozen=True)
class Estimate:
    """Costs of a run.

    Args:
        parameters: of the network in training, its supervision heads and gate included.
        exported_parameters, gmac: of the exported network: numbers stored, and 1e9 multiply-accumulates per image.
        step_seconds: one training step, measured here and now. run_seconds: all epochs, without early stopping.
    """

    parameters: int
    exported_parameters: int
    gmac: float
    step_seconds: float
    run_seconds: float


def estimate(recipe: TrainRecipe, training_images: int, validation_images: int) -> Estimate:
    """Build the network and time a step.

    Args:
        recipe: with `channels` and `labels` set.
        training_images, validation_images: numbers of images.
    """
    trainer = Trainer(recipe)
    batch = min(recipe.batch_size, training_images)
    images = np.zeros((batch, *trainer.config.input_shape), np.float32)
    labels = np.zeros(images.shape[:3], np.uint8)
    exported = cost(inference_graph(from_keras(trainer.model)).graph)
    train = _seconds(lambda: trainer.train_step(images, labels, 0.0, 0, train_gate=recipe.cgm))
    check = _seconds(lambda: trainer.evaluate(images, labels))
    epoch = train * steps_per_epoch(training_images, batch) + check * validation_images / batch
    return Estimate(
        parameters=trainer.model.count_params(),
        exported_parameters=exported.parameters,
        gmac=exported.total_macs / 1e9,
        step_seconds=train,
        run_seconds=epoch * recipe.epochs,
    )


def _seconds(call: Callable[[], object]) -> float:
    """Return the seconds of the shortest of three calls, after a first call that compiles."""
    call()
    times = []
    for _ in range(3):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)
