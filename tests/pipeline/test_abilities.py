"""What each stage can do with each kind of layer: one table, and each stage is really run on a small network of that kind.

A stage that lacks a layer says so in one sentence; then only its files are not made, and float TFLite is TensorFlow's own file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tf_keras

from tests.support.slow import mark_slow
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.onnx.writer import write_onnx
from u3p_edge.conversion.tflite import converter
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.errors import ModelError
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.graph.scheme import Quantized
from u3p_edge.latency.probe import Target, measure_graphs
from u3p_edge.pipeline.verify import FLOAT_TOLERANCE, TWIN_SQNR, sqnr
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.quantization.ptq import quantize_ptq
from u3p_edge.quantization.support import check_trainable
from u3p_edge.runtime import open_session

L = tf_keras.layers
METADATA = default_metadata(Preprocessing(16, 16), labels=2)
IMAGES = np.random.default_rng(0).uniform(0, 1, (4, 16, 16, 1)).astype(np.float32)

INT8_TOLERANCE = 0.03
"""Largest error of an int8 probability. Logits have steps of 2 * 6.25 / 255 and a probability a quarter of their slope, so half
a step is 0.006 of it; its own last rounding is 0.002. The four maps before are off by a step or two of 1/255 of a range of 2 or
so, and their weights in the last convolution add up to less than 4: 2 * 2 / 255 * 4 / 4 = 0.016."""

ABILITIES: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    # name: (layers, the stages that lack them)
    "convolution": (L.Conv2D(4, 3, padding="same", dilation_rate=2), ""),
    "grouped convolution": (L.Conv2D(4, 3, groups=2, padding="same"), "QAT"),
    "depthwise convolution": (L.DepthwiseConv2D(3, padding="same"), ""),
    "transposed convolution": (lambda x: L.MaxPooling2D(2)(L.Conv2DTranspose(4, 2, 2, padding="same")(x)), ""),
    "transposed convolution, kernel below stride": (
        lambda x: L.MaxPooling2D(4)(L.Conv2DTranspose(4, 3, 4, padding="same")(x)), "",
    ),
    "squeeze and excite": (
        lambda x: L.Multiply()([x, L.Reshape((1, 1, 4))(L.Dense(4, "sigmoid")(L.GlobalAveragePooling2D()(x)))]), "",
    ),
    "batch normalisation": (lambda x: L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(x))), ""),
    "batch normalisation, tanh": (lambda x: L.Activation("tanh")(L.BatchNormalization()(L.Conv2D(4, 1)(x))), ""),
    "layer normalisation": (L.LayerNormalization(), ""),
    "group normalisation": (L.GroupNormalization(2), ""),
    "instance normalisation": (L.GroupNormalization(-1), ""),
    "separable convolution": (L.SeparableConv2D(4, 3, padding="same", activation="relu"), ""),
    "pixels by mean and deviation": (L.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 3.0, 4.0]), ""),
    "transposed convolution, three quarters": (lambda x: L.MaxPooling2D(2)(L.Conv2DTranspose(4, 4, 2, padding="same")(x)), ""),
    "leaky ReLU": (L.LeakyReLU(0.1), ""),
    "ReLU6": (L.ReLU(6.0), ""),
    "bounded ReLU": (L.ReLU(4.0), ""),
    "ELU": (L.ELU(), ""),
    "PReLU": (L.PReLU(shared_axes=[1, 2], alpha_initializer="ones"), ""),
    "hard swish": (lambda x: L.Multiply()([x, L.Rescaling(1 / 6)(L.ReLU(6.0)(L.Rescaling(1.0, 3.0)(x)))]), ""),
    "swish": (L.Activation("swish"), ""),
    "hard sigmoid": (L.Activation("hard_sigmoid"), ""),
    "GELU": (L.Activation("gelu"), ""),
    "mish": (L.Activation("mish"), "our TFLite, float ONNX, int8, QAT"),
    "maximum": (lambda x: L.Maximum()([x, L.Conv2D(4, 1)(x)]), ""),
    "average": (lambda x: L.Average()([x, L.Conv2D(4, 1)(x)]), ""),
    "rescaling": (L.Rescaling(1 / 255, -0.5), ""),
}  # fmt: skip


def network(layers: Callable[[Any], Any]) -> tf_keras.Model:
    tf_keras.utils.set_random_seed(1)
    image = tf_keras.Input((16, 16, 1), name="image")
    x = layers(L.Conv2D(4, 3, padding="same")(image))
    return tf_keras.Model(image, L.Conv2D(1, 1, activation="sigmoid")(x))


def masks(folder: Path, name: str, data: bytes) -> np.ndarray[Any, Any]:
    path = folder / name
    path.write_bytes(data)
    session = open_session(path, 1)
    return np.stack([session.run(image) for image in IMAGES])


def plain_masks(network: Quantized) -> np.ndarray[Any, Any]:
    """Masks of an int8 ONNX model as it is written; fused kernels may saturate 16-bit sums on some processors."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(write_onnx(network, METADATA), options, providers=["CPUExecutionProvider"])
    image, mask = (network.scheme.tensors[name] for name in (network.graph.inputs[0], network.graph.outputs[0]))
    given = np.clip(np.round(IMAGES / image.scale) + image.zero_point, -128, 127).astype(np.int8)
    result = np.stack([session.run(None, {"image": one[np.newaxis]})[0][0] for one in given])
    return (result.astype(np.float32) - mask.zero_point) * np.float32(mask.scale)


def assert_near(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], tolerance: float) -> None:
    assert float(np.abs(found - expected).max()) <= tolerance


def assert_same_integers(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    assert sqnr(expected, found) >= TWIN_SQNR


SLOW = (
    "instance normalisation", "separable convolution", "pixels by mean and deviation", "transposed convolution, three quarters",
    "ReLU6", "hard swish",
)  # fmt: skip
"""What is made of the same parts as another kind."""


@pytest.mark.parametrize("kind", mark_slow(ABILITIES, SLOW))
def test_each_stage_can_do_what_the_table_says(tmp_path: Path, kind: str) -> None:
    layers, lacking = ABILITIES[kind]
    graph = inference_graph(from_keras(network(layers))).graph
    folded, model = fold_batch_norm(graph), to_keras(graph)
    expected = model.predict(IMAGES, verbose=0)
    lacks: list[str] = []

    def attempt(stage: str, run: Callable[[], Any]) -> Any:
        try:
            return run()
        except ModelError:
            lacks.append(stage)
            return None

    # Every layer that can be read can be converted to float TFLite, timed, and pruned around.
    assert_near(masks(tmp_path, "f.tflite", converter.convert_float(model, METADATA)), expected, FLOAT_TOLERANCE)
    assert min(measure_graphs([folded], Target("int8")) + measure_graphs([folded], Target("float32"))) > 0
    assert find_groups(folded)

    if (ours := attempt("our TFLite", lambda: write_tflite(folded, METADATA))) is not None:
        assert_near(masks(tmp_path, "own.tflite", ours), expected, FLOAT_TOLERANCE)
    if (float_onnx := attempt("float ONNX", lambda: write_onnx(folded, METADATA))) is not None:
        assert_near(masks(tmp_path, "f.onnx", float_onnx), expected, FLOAT_TOLERANCE)
    if (integers := attempt("int8", lambda: quantize_ptq(graph, IMAGES))) is not None:
        result = masks(tmp_path, "int8.tflite", write_tflite(integers, METADATA))
        assert_near(result, expected, INT8_TOLERANCE)
        if attempt("int8 ONNX", lambda: write_onnx(integers, METADATA)) is not None:
            assert_same_integers(plain_masks(integers), result)
    attempt("QAT", lambda: check_trainable(graph))
    assert ", ".join(lacks) == lacking
