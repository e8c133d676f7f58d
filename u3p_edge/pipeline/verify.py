"""Compare exported files with the float model they came from, before they get their final names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.benchmark.environment import scoring_threads
from u3p_edge.conversion.structure import onnx_faults, tflite_faults
from u3p_edge.conversion.tflite import schema
from u3p_edge.data.preprocess import to_labels
from u3p_edge.data.spread import spread_evenly
from u3p_edge.errors import VerificationError
from u3p_edge.graph.ops.functions import apply_function
from u3p_edge.pipeline.publish import MODELS, ArtifactKind
from u3p_edge.progress import Progress
from u3p_edge.runtime import Session, open_session

Maps = npt.NDArray[np.float32]
Outputs = npt.NDArray[Any]
"""Probabilities float32 [N, H, W, K], or labels uint8 [N, H, W]."""

FLOAT_TOLERANCE = 2e-3
"""Largest error of a probability. A convolution sums up to n = 9 * 2048 products, each rounded: off by about
sqrt(n) * eps = 1.6e-5 of its values; 45 layers in a row add up to 45 * 1.6e-5 = 7.3e-4 of a logit, which is below 10 wherever
the probability's slope is not below 5e-5, at most 1/4 elsewhere: 10 * 7.3e-4 / 4 = 1.8e-3."""

HALF_TOLERANCE = 0.06
"""The same with weights rounded to 11 bits: relative 2^-12 in each of 45 layers, 10 * 45 * 2^-12 / 4 = 2.7e-2, and twice
that for the activations that LiteRT may keep as float16."""

TWIN_SQNR = 15.0
"""Decibels between the int8 files of the two formats. They share all integers of the model and differ only in how each
runtime rounds its 32-bit sums to 8 bits, which is less than the rounding itself, the min_sqnr of the float model."""

VERIFIED_IMAGES = 4
"""Images on which the outputs of files are compared, when they are exported and when a run folder is verified."""


def choose_images(images: Maps) -> Maps:
    """Return at most `VERIFIED_IMAGES` images [N, H, W, C], at even distances over all of them."""
    return images[spread_evenly(len(images), VERIFIED_IMAGES)]


def verify_files(
    files: Mapping[str, Path], model: Session, images: Maps, *, min_sqnr: float, float_io: bool, progress: Progress
) -> None:
    """Check structure and numbers of every file.

    Args:
        files: by final name, one of `publish.MODELS`; the int8 ONNX file is also compared with the int8 TFLite file.
        model: the float tf_keras model.
        images: float32 [N, H, W, C], real and preprocessed.
        min_sqnr: in dB, of int8 files.
        float_io: int8 files have float32 input and output.
        progress: shows the stages.

    Raises:
        VerificationError: names every file that fails and why.
    """
    step = progress("Verify", len(files) + 1)
    expected = run_images(model, images)
    step()
    maps: dict[str, Outputs] = {}
    failed: list[str] = []
    for name, path in files.items():
        maps[name] = run_images(open_session(path, scoring_threads(path), max_memory_mb=None), images)
        faults = [*find_structure_faults(MODELS[name], path, float_io), *find_number_faults(name, maps, expected, min_sqnr)]
        failed += [f"{name}: {fault}" for fault in faults]
        step()
    if failed:
        raise VerificationError(
            "verification failed, so no file was left under its final name: " + "; ".join(failed),
            mend="If an int8 file fails, train the float model further (fresh batch statistics do not quantize well) or give "
            "--qat-epochs more epochs; --min-sqnr sets what is asked.",
        )


def sqnr(signal: Maps, noisy: Maps) -> float:
    """Return the signal to quantization noise in dB; the signal is what varies in the map, not its mean."""
    noise = float(np.mean(np.square(noisy.astype(np.float64) - signal)))
    power = float(np.var(signal.astype(np.float64)))
    if noise == 0:
        return np.inf
    return float(10 * np.log10(max(power, np.finfo(np.float64).tiny) / noise))


def run_images(session: Session, images: Maps) -> Outputs:
    """Return the probabilities float32 [N, H, W, K] of preprocessed images float32 [N, H, W, C].

    Logits are turned into probabilities. Of a file that gives labels, return these, uint8 [N, H, W].
    """
    values, metadata = np.stack([session.run(image) for image in images]), session.metadata
    if metadata.output != "logits":
        return values
    return apply_function("softmax" if metadata.channels_out == metadata.labels else "sigmoid", values)


def find_number_faults(name: str, maps: Mapping[str, Outputs], expected: Outputs, min_sqnr: float) -> Sequence[str]:
    """List how a file's output differs from what is allowed, one sentence for each fault.

    Args:
        name: of the file, one of `publish.MODELS`.
        maps: what `run_images` gives for this file and, for the int8 ONNX file, for the int8 TFLite file.
        expected: the same of the float network; probabilities, if this file does not give labels.
        min_sqnr: in dB, of int8 files.
    """
    result = maps[name]
    if result.dtype == np.uint8:
        return _find_label_faults(name, result, expected, min_sqnr)
    worst = float(np.abs(result - expected).max())
    if not np.isfinite(result).all():
        return ["its output is not finite"]
    if MODELS[name].number != "int8":
        tolerance = HALF_TOLERANCE if MODELS[name].number == "float16" else FLOAT_TOLERANCE
        return [] if worst <= tolerance else [f"a probability is off by {worst:.2g}, more than {tolerance:.2g}"]
    faults = []
    # A probability is stored in steps of 1/256: a map that varies by less than a step does not differ from its rounding.
    quality, visible = sqnr(expected, result), float(np.std(expected)) > 1 / 256
    if visible and quality < min_sqnr:
        faults.append(f"its signal to quantization noise is {quality:.1f} dB, below {min_sqnr:.1f} dB")
    twin = maps.get("model.int8.tflite")
    if name == "model.int8.onnx" and twin is not None and visible and sqnr(twin, result) < TWIN_SQNR:
        faults.append(f"it is {sqnr(twin, result):.1f} dB from the TFLite file, whose integers it has")
    return faults


def _find_label_faults(name: str, labels: Outputs, expected: Outputs, min_sqnr: float) -> Sequence[str]:
    """List how labels differ from the float network's by more than what its probabilities may be off.

    A label changes where the two largest probabilities are nearer than the sum of their errors. The share of such pixels is at
    most that sum if the difference of the two largest is spread evenly over 0..1; in a trained network most are near 1.
    The sum is twice the tolerance of a float file. For an int8 file it is the root mean square error that `min_sqnr` allows,
    10^(-dB / 20) of the standard deviation, which is at most 1/2, times the square root of 2 for two independent errors.
    """
    number = MODELS[name].number
    tolerances = {"float32": 2 * FLOAT_TOLERANCE, "float16": 2 * HALF_TOLERANCE}
    allowed = tolerances.get(number, 10 ** (-min_sqnr / 20) / np.sqrt(2))
    wanted = expected if expected.dtype == np.uint8 else np.stack(list(map(to_labels, expected)))
    changed = float((labels != wanted).mean())
    return [] if changed <= allowed else [f"{100 * changed:.2g} % of its labels are others, more than {100 * allowed:.2g} %"]


def find_structure_faults(kind: ArtifactKind, path: Path, float_io: bool) -> Sequence[str]:
    """List what is wrong with a model file whatever it computes, one sentence for each fault. ONNX files need onnx."""
    int8 = kind.number == "int8"
    if kind.container == "tflite":
        return tflite_faults(schema.parse_tflite(path.read_bytes()), int8=int8, float_io=float_io)
    import onnx  # a device has TFLite files alone

    from u3p_edge.runtime.onnx_fusion import count_optimized_operators

    model = onnx.load(path)
    faults = [*onnx_faults(model)]
    if int8:
        wanted = sum(node.op_type == "Conv" for node in model.graph.node)
        fused = count_optimized_operators(path).get("QLinearConv", 0)
        if fused != wanted:
            faults.append(f"ONNX Runtime runs {fused} of {wanted} convolutions on integers")
    return faults
