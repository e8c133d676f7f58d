"""Choose the int8 network: post-training quantization where it loses little enough, else quantization-aware training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.benchmark.accuracy import predict_labels, score
from u3p_edge.benchmark.environment import available_cores
from u3p_edge.conversion.network_file import SUFFIX, read_network, write_network
from u3p_edge.conversion.tflite import converter
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.data.calibration import calibration_indices
from u3p_edge.data.load import Arrays
from u3p_edge.data.preprocess import to_labels
from u3p_edge.graph.scheme import Quantized
from u3p_edge.metrics import IGNORE
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import Staging
from u3p_edge.progress import Progress, Step, idle
from u3p_edge.quantization.support import UntrainableError
from u3p_edge.runtime import Session, open_session

RANGES = "ranges.json"
"""File in the staging folder that says how the ranges of the post-training quantized network were chosen."""

BATCH = 16
"""Images that a float model predicts at a time."""


@dataclass(frozen=True)
class QuantizationChoice:
    """The int8 network that was kept.

    Args:
        method: "ptq" or "qat".
        float_dice, ptq_dice, qat_dice: mean foreground Dice on the validation split, 0..1; None where not tried.
        calibration_images: number of images that post-training quantization measured ranges on.
        pruned_dice: of the float network that was quantized, where that is not the original model.
        qat_refused: why quantization-aware training cannot train this network, None where it can or was not asked.
        ranges: how post-training quantization chose the ranges of the feature maps; empty where that is not known.
        range_errors: by method, the mean squared difference of the probabilities from the float model's on a calibration
            image, median over images; the method with the smallest is `ranges`.
    """

    method: str
    float_dice: float
    ptq_dice: float
    qat_dice: float | None
    calibration_images: int
    qat_refused: str | None = None
    pruned_dice: float | None = None
    ranges: str = ""
    range_errors: Mapping[str, float] = field(default_factory=dict)

    @property
    def quantized_dice(self) -> float:
        """Dice of the float network that was quantized."""
        return self.float_dice if self.pruned_dice is None else self.pruned_dice

    @property
    def drop(self) -> float:
        """Points of Dice that the kept network loses on the validation split; negative where it gains."""
        kept = self.ptq_dice if self.qat_dice is None or self.method == "ptq" else self.qat_dice
        return 100 * (self.float_dice - kept)

    @property
    def notes(self) -> tuple[str, ...]:
        """The choice in sentences, for a report."""
        lost = lost_or_gained(100 * (self.quantized_dice - self.ptq_dice))
        tried = f"post-training quantization on {self.calibration_images} training images {lost}"
        if self.qat_dice is not None:
            tried += f", quantization-aware training {lost_or_gained(100 * (self.quantized_dice - self.qat_dice))}"
        kept = {"ptq": "post-training quantization", "qat": "quantization-aware training"}[self.method]
        pruned = "" if self.pruned_dice is None else f", pruned {100 * self.pruned_dice:.2f}"
        sentence = f"Validation Dice (float {100 * self.float_dice:.2f}{pruned}): {tried}; kept: {kept}."
        if self.method == "qat" and self.drop < 0:
            sentence += " What it gains over the float model it gains by training on, not by its integers."
        refused = (f"Quantization-aware training was not possible: {self.qat_refused}.",) if self.qat_refused else ()
        return (sentence, *self._range_notes, *refused)

    @property
    def _range_notes(self) -> tuple[str, ...]:
        if not self.ranges:
            return ()
        errors = ", ".join(f"{error:.2e} with {method}" for method, error in self.range_errors.items())
        measured = f" (mean squared difference of the probabilities from float, median over images: {errors})" if errors else ""
        return (f"Int8 ranges of the maps: {self.ranges}{measured}.",)


def quantize_source(source: Source, context: Context) -> tuple[Quantized, QuantizationChoice]:
    """Return the network in integers of the better method, and what each method scored.

    Raises:
        ModelError: a layer that int8 cannot express; with the method "qat", one that quantization-aware training cannot train.
    """
    staging = context.staging
    float_file = float_tflite(source, context)
    ptq = _staged(staging, "ptq", lambda: _post_training(source, context))

    def choose() -> bytes:
        return json.dumps(asdict(_choose(source, float_file, ptq, context))).encode()

    choice = QuantizationChoice(**json.loads(staging.file("int8.json", choose).read_text()))
    if choice.method == "ptq":
        return ptq, choice
    return _staged(staging, "qat", lambda: _aware(source, context)), choice


def _staged(staging: Staging, name: str, make: Callable[[], Quantized]) -> Quantized:
    """Return the network in integers that is staged under a name; it is made if it is not there yet."""
    network = read_network(staging.file(f"{name}{SUFFIX}", lambda: write_network(make())).read_bytes())
    assert isinstance(network, Quantized), "what is staged is what was made"
    return network


def float_tflite(source: Source, context: Context) -> Path:
    """Return the float32 TFLite file, whose score also stands for the float model's when the method is chosen."""

    def make() -> bytes:
        step = context.progress("Convert float32 to TFLite", 1)
        file = converter.convert_float(source.model, source.metadata)
        step()
        return file

    return context.staging.file("float32.tflite", make)


def _choose(source: Source, float_file: Path, ptq: Quantized, context: Context) -> QuantizationChoice:
    data, recipe, staging, progress = context.data, context.recipe, context.staging, context.progress

    def integer_dice(name: str, network: Quantized) -> float:
        file = staging.file(f"{name}.tflite", lambda: write_tflite(network, source.metadata))
        return validation_dice(file, data.val, progress)

    float_dice, ptq_dice = validation_dice(float_file, data.val, progress), integer_dice("ptq", ptq)
    images = min(recipe.quantization.calibration_images, len(data.train.stems))
    cut = float_model_dice(source, data.val) if recipe.pruning or recipe.sparsity else None
    choice = QuantizationChoice("ptq", float_dice, ptq_dice, None, images, pruned_dice=cut, **_staged_ranges(staging))
    lost = 100 * (choice.quantized_dice - ptq_dice)
    if recipe.quantization.method == "ptq" or (recipe.quantization.method == "auto" and lost <= recipe.ptq_may_lose):
        return choice
    try:
        qat = _staged(staging, "qat", lambda: _aware(source, context))
    except UntrainableError as error:
        if recipe.quantization.method == "qat":
            raise
        return replace(choice, qat_refused=error.symptom)
    qat_dice = integer_dice("qat", qat)
    return replace(choice, method="qat" if qat_dice > ptq_dice else "ptq", qat_dice=qat_dice)


def float_model_dice(source: Source, arrays: Arrays) -> float:
    """Mean foreground Dice of a source's tf_keras model, pooled by group and averaged as a report has it, 0..1."""
    masks = source.model.predict(arrays.images, batch_size=BATCH, verbose=0)
    return _pooled_dice(arrays, np.stack([to_labels(mask) for mask in masks]), source.metadata.labels)


def validation_dice(path: Path, arrays: Arrays, progress: Progress) -> float:
    """Mean foreground Dice of an exported file, 0..1: pooled by group, then averaged."""
    return _mean_dice(
        open_session(path, available_cores(), max_memory_mb=None), arrays, progress(f"Validate {path.name}", len(arrays.stems))
    )


def _mean_dice(session: Session, arrays: Arrays, step: Step = idle) -> float:
    return _pooled_dice(arrays, predict_labels(session, arrays.images, step), session.metadata.labels)


def _pooled_dice(arrays: Arrays, predicted: npt.NDArray[np.uint8], labels: int) -> float:
    """Mean foreground Dice of predicted labels; 0 where there is no foreground anywhere."""
    return score(arrays.labels, predicted, predicted, arrays.groups, labels).mean_dice or 0.0


def _post_training(source: Source, context: Context) -> Quantized:
    """Quantize after training, with ranges that no outlier widens; how they were chosen is staged beside the network."""
    from u3p_edge.graph.keras_io import from_keras
    from u3p_edge.quantization.ptq import calibrate

    recipe, train = context.recipe, context.data.train
    images = train.images[list(calibration_indices(train, recipe.quantization.calibration_images))]
    step = context.progress("Calibrate (post-training quantization)", len(images))
    made = calibrate(from_keras(source.model), images, step)
    ranges = {"ranges": made.ranges, "range_errors": dict(made.errors)}
    context.staging.file(RANGES, lambda: json.dumps(ranges).encode())
    return made.network


def _staged_ranges(staging: Staging) -> dict[str, Any]:
    """Return how the ranges of the staged post-training network were chosen; empty where that is not known."""
    staged: dict[str, Any] = json.loads(staging.file(RANGES, lambda: b"{}").read_text())
    return staged


def _aware(source: Source, context: Context) -> Quantized:
    """Train quantization-aware; keep the epoch that scores best as a fake-quant model on the validation split."""
    from u3p_edge.quantization.qat import quantize_qat
    from u3p_edge.runtime.keras import keras_session
    from u3p_edge.training.losses import dice_cross_entropy

    data, recipe = context.data, context.recipe
    return quantize_qat(
        source.model,
        data.train.images,
        one_hot(data.train.labels, source.metadata.channels_out),
        loss=dice_cross_entropy,
        validate=lambda model: _mean_dice(keras_session(model, source.metadata), data.val),
        epochs=recipe.quantization.qat_epochs,
        learning_rate=recipe.quantization.qat_learning_rate,
        seed=recipe.seed,
        keep_zeros=recipe.sparsity is not None,
        progress=context.progress,
    )


def one_hot(labels: npt.NDArray[np.uint8], channels: int) -> npt.NDArray[np.float32]:
    """Return labels [N, H, W] as float32 [N, H, W, K]; K = 1 is the 0/1 mask itself.

    A pixel whose label is `metrics.IGNORE` has -1 in every channel.
    """
    if channels == 1:
        maps = (labels[..., np.newaxis] > 0).astype(np.float32)
    else:
        maps = np.eye(channels, dtype=np.float32)[np.where(labels == IGNORE, 0, labels)]
    maps[labels == IGNORE] = -1
    return maps


def lost_or_gained(loss: float) -> str:
    """Put a loss of Dice into words, for example "lost 0.30 points"; negative is a gain, "gained 0.30 points"."""
    return f"gained {-loss:.2f} points" if round(loss, 2) < 0 else f"lost {abs(loss):.2f} points"
