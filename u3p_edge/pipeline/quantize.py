"""Choose the int8 network: post-training quantization where it loses little enough, else quantization-aware training."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from u3p_edge.conversion.network_file import SUFFIX, read_network, write_network
from u3p_edge.conversion.tflite import converter
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.data.calibration import calibration_indices
from u3p_edge.graph.scheme import Quantized
from u3p_edge.metrics import Scores
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.quantization_choice import QuantizationChoice, parse_choice
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import Staging
from u3p_edge.pipeline.validation import check_loss_of, file_scores, float_model_dice, mean_dice, session_scores
from u3p_edge.quantization.support import UntrainableError

RANGES = "ranges.json"
"""File in the staging folder that says how the ranges of the post-training quantized network were chosen."""


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

    choice = parse_choice(json.loads(staging.file("int8.json", choose).read_text()))
    staging.decide("method", lambda: choice.method)
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
    """Choose by the mean Dice on the validation split, however certain; what is shown of the kept network is a result."""
    data, recipe, staging, progress = context.data, context.recipe, context.staging, context.progress

    def integer_scores(name: str, network: Quantized) -> Scores:
        file = staging.file(f"{name}.tflite", lambda: write_tflite(network, source.metadata))
        return file_scores(file, data.val, progress)

    float_scores, ptq_scores = file_scores(float_file, data.val, progress), integer_scores("ptq", ptq)
    check = partial(check_loss_of, reference=float_scores, allowed=recipe.max_drop, arrays=data.val)
    choice = QuantizationChoice(
        "ptq", mean_dice(float_scores), mean_dice(ptq_scores), None,
        calibration_images=min(recipe.quantization.calibration_images, len(data.train.stems)),
        pruned_dice=float_model_dice(source, data.val) if recipe.pruning or recipe.sparsity else None,
        loss_check=check(ptq_scores),
        **_staged_ranges(staging),
    )  # fmt: skip
    lost = 100 * (choice.quantized_dice - choice.ptq_dice)
    method, locked = recipe.quantization.method, staging.locked("method")
    if "ptq" in (method, locked) or (locked is None and method == "auto" and lost <= recipe.ptq_may_lose):
        return choice
    try:
        qat = _staged(staging, "qat", lambda: _aware(source, context))
    except UntrainableError as error:
        if recipe.quantization.method == "qat":
            raise
        return replace(choice, qat_refused=error.symptom)
    qat_scores = integer_scores("qat", qat)
    tried = replace(choice, qat_dice=mean_dice(qat_scores))
    better = locked == "qat" or mean_dice(qat_scores) > choice.ptq_dice
    return replace(tried, method="qat", loss_check=check(qat_scores)) if better else tried


def _post_training(source: Source, context: Context) -> Quantized:
    """Quantize after training, with ranges that no outlier widens; how they were chosen is staged beside the network."""
    from u3p_edge.graph.keras_io import from_keras
    from u3p_edge.quantization.ptq import calibrate

    recipe, train = context.recipe, context.data.train
    images = train.images[list(calibration_indices(train, recipe.quantization.calibration_images))]
    step = context.progress("Calibrate (post-training quantization)", len(images))
    made = calibrate(from_keras(source.model), images, step, ranges=context.staging.locked("ptq_ranges"))
    context.staging.decide("ptq_ranges", lambda: made.ranges)
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

    data, recipe, staging = context.data, context.recipe, context.staging
    trained = quantize_qat(
        source.model,
        data.train.images,
        data.train.labels,
        loss=dice_cross_entropy,
        validate=lambda model: mean_dice(session_scores(keras_session(model, source.metadata), data.val)),
        epochs=recipe.quantization.qat_epochs,
        learning_rate=recipe.quantization.qat_learning_rate,
        distillation=recipe.quantization.qat_distillation,
        seed=recipe.seed,
        keep_zeros=recipe.sparsity is not None,
        ranges=staging.locked("qat_ranges"),
        keep_epoch=staging.locked("qat_epoch"),
        progress=context.progress,
    )
    staging.decide("qat_ranges", lambda: trained.ranges)
    staging.decide("qat_epoch", lambda: trained.epoch)
    return trained.network
