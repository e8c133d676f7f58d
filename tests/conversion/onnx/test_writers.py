"""ONNX files: the float one, and the int8 one that has the integers of the TFLite file."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from onnx import numpy_helper

from tests.support.oracles import convert_int8, convert_onnx
from tests.support.slow import mark_slow
from tests.support.unets import SIZE, make_unet
from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.onnx.writer import to_model, write_onnx
from u3p_edge.conversion.structure import onnx_faults
from u3p_edge.conversion.tflite import schema
from u3p_edge.conversion.tflite.writer import lower_graph, write_tflite
from u3p_edge.errors import ModelError
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.graph.scheme import Quantized
from u3p_edge.quantization.ptq import quantize_ptq
from u3p_edge.runtime.onnx_options import session_options

VARIANTS: dict[str, dict[str, Any]] = {
    "binary": {},
    "average pooling": {"down_pattern": "average"},
    "strided convolution": {"down_pattern": "conv", "down_normalization": "batch"},
    "normalised strided convolution": {"down_pattern": "normconv", "down_normalization": "batch"},
    "residual, of several classes": {"residual": True, "classes": 4},
    "layer normalisation": {"normalization": "layer"},
}

Quantize = Callable[[str], tuple[Quantized, Metadata]]
"""From a variant's name to its integers and its metadata."""

COARSE = ("average pooling", "layer normalisation")
"""Variants in which rounding boundaries are hit often (halves of averages) or amplified (8-bit reciprocal roots)."""

SLOW = tuple(name for name in VARIANTS if name != "binary")
"""Variants that take long to quantize; `tests/shapes/test_networks.py` has additions and several classes in both formats."""


def open_session(model: onnx.ModelProto, optimize: bool = True) -> onnxruntime.InferenceSession:
    options = session_options(onnxruntime)
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model: onnx.ModelProto, image: np.ndarray, optimize: bool = True) -> np.ndarray:
    return open_session(model, optimize).run(["mask"], {"image": image})[0]


def lite(data: bytes, image: np.ndarray, reference: bool = False) -> np.ndarray:
    kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    runner = Interpreter(model_content=data, experimental_op_resolver_type=kind).get_signature_runner()
    return runner(image=image)["mask"]


def test_the_float_file_computes_what_the_model_computes(images: np.ndarray) -> None:
    model, metadata = make_unet(classes=4)
    converted = onnx.load_from_string(write_onnx(fold_batch_norm(from_keras(model)), metadata))
    assert onnx_faults(converted) == ()
    assert "Identity" not in {node.op_type for node in converted.graph.node}
    # As for TFLite: 35 convolutions of up to 576 terms, each off by sqrt(n) * eps, logits below 32, slope 1/4.
    mask = run(converted, images[:1])
    np.testing.assert_allclose(mask, model(images[:1]).numpy(), atol=8e-4)
    np.testing.assert_allclose(mask, run(convert_onnx(model), images[:1]), atol=8e-4)  # by another's translation


@pytest.fixture(scope="module")
def quantized(images: np.ndarray) -> Quantize:
    """Quantizes a variant once, however many tests ask for it."""

    @functools.cache
    def quantize(variant: str) -> tuple[Quantized, Metadata]:
        model, metadata = make_unet(**VARIANTS[variant])
        return quantize_ptq(from_keras(model), images), metadata

    return quantize


@pytest.fixture(scope="module", params=mark_slow(VARIANTS, SLOW), ids=lambda name: name.replace(" ", "-"))
def pair(request: pytest.FixtureRequest, quantized: Quantize) -> tuple[bytes, onnx.ModelProto]:
    """The int8 TFLite file of a variant and its ONNX twin."""
    integers, metadata = quantized(request.param)
    return write_tflite(integers, metadata), onnx.load_from_string(write_onnx(integers, metadata))


def test_both_formats_give_the_same_integers(pair: tuple[bytes, onnx.ModelProto], images: np.ndarray) -> None:
    data, twin = pair
    graph = schema.parse_tflite(data)
    scale, zero = graph.tensors[graph.inputs[0]].scale[0], graph.tensors[graph.inputs[0]].zero_point[0]
    image = np.clip(np.round(images[:1] / scale) + zero, -128, 127).astype(np.int8)
    onnx_mask, lite_mask, reference = (m.astype(int) for m in (run(twin, image), lite(data, image), lite(data, image, True)))
    # The runtimes share every integer of the model but round the 32-bit sums to 8 bits each in its own way, and an
    # untrained network amplifies that. LiteRT's own two kernels (XNNPACK and reference) show by how much on this very
    # image: the twin may be no further from the one in use than twice as far as those are from each other (plus a step).
    spread = np.abs(lite_mask - reference).mean()
    assert np.abs(onnx_mask - lite_mask).mean() <= 2 * spread + 1
    assert np.abs(onnx_mask - lite_mask).mean() < 0.25 * max(np.abs(lite_mask - lite_mask.mean()).mean(), 8)


def expose(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """The model with inner values as further outputs."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != "mask")
    return exposed


@pytest.mark.parametrize("pair", mark_slow((name for name in VARIANTS if name not in COARSE), SLOW), indirect=True)
def test_optimization_does_not_change_the_numbers(pair: tuple[bytes, onnx.ModelProto], images: np.ndarray) -> None:
    _, twin = pair
    steps = {value.name: float(numpy_helper.to_array(value)) for value in twin.graph.initializer if not value.dims}
    rounded = [node for node in twin.graph.node if node.op_type == "QuantizeLinear"]
    maps, sums = [node.output[0] for node in rounded], [node.input[0] for node in rounded]
    whole, optimized = open_session(twin), open_session(expose(twin, maps))
    plain = open_session(expose(twin, maps + sums), optimize=False)
    unchanged = 0
    for image in np.clip(np.round(images[:, np.newaxis] * 255) - 128, -128, 127).astype(np.int8):
        actual, expected = optimized.run(maps, {"image": image}), plain.run(maps + sums, {"image": image})
        np.testing.assert_array_equal(whole.run(["mask"], {"image": image})[0], actual[maps.index("mask")])
        differing = [i for i in range(len(maps)) if (actual[i] != expected[i]).any()]
        unchanged += not differing
        # Only the first map that differs is read from equal integers: an untrained network amplifies a single step.
        for i in differing[:1]:
            different = actual[i] != expected[i]
            value = expected[len(maps) + i][different].astype(float) / steps[rounded[i].input[1]]
            assert np.abs(actual[i][different].astype(int) - expected[i][different]).max() == 1
            # A sum on a rounding boundary may fall to either side. The plain run adds up to 576 float32 terms, whose magnitudes
            # sum to 4122 steps at most in these networks: sqrt(576) * 2^-24 * 4122 steps.
            assert np.abs(value % 1 - 0.5).max() < 6e-3
    # Behind such a sum nothing is compared, so some image must be without one (on AVX2, six of eight in the residual variant).
    assert unchanged


def test_optimization_rounds_averages_to_a_neighbour(images: np.ndarray) -> None:
    import tf_keras

    inputs = tf_keras.Input((48, 64, 1), name="image")
    outputs = tf_keras.layers.AveragePooling2D(2, name="mask")(inputs)
    metadata = default_metadata(Preprocessing(*SIZE), 2)
    data = convert_int8(tf_keras.Model(inputs, outputs), metadata, calibration=images)
    twin = to_model(schema.parse_tflite(data), metadata)
    image = np.clip(np.round(images[:1] * 255) - 128, -128, 127).astype(np.int8)
    difference = np.abs(run(twin, image).astype(int) - run(twin, image, optimize=False).astype(int))
    # A quarter of the averages of four integers end in a half; rounding halves up and to even differ on every second of
    # them. 768 averages: 1/8 and four standard deviations of sqrt(1/8 * 7/8 / 768).
    assert difference.max() <= 1
    assert difference.mean() <= 1 / 8 + 4 * np.sqrt(1 / 8 * 7 / 8 / 768)


def test_a_bilinear_resize_is_rounded_whatever_the_optimizer(images: np.ndarray) -> None:
    import tf_keras

    inputs = tf_keras.Input((48, 64, 1), name="image")
    outputs = tf_keras.layers.UpSampling2D(4, interpolation="bilinear", name="mask")(inputs)
    metadata = default_metadata(Preprocessing(*SIZE), 2)
    data = convert_int8(tf_keras.Model(inputs, outputs), metadata, calibration=images)
    twin = to_model(schema.parse_tflite(data), metadata)
    image = np.clip(np.round(images[:1] * 255) - 128, -128, 127).astype(np.int8)
    optimized, plain = run(twin, image).astype(int), run(twin, image, optimize=False).astype(int)
    # Truncation would shift every value that is no integer. Halves, which a factor of 4 gives in a sixteenth of all places of
    # noise, are rounded up everywhere.
    np.testing.assert_array_equal(optimized, plain)
    np.testing.assert_array_equal(optimized, lite(data, image).astype(int))


def test_every_convolution_runs_on_integers(pair: tuple[bytes, onnx.ModelProto], tmp_path: Path) -> None:
    _, twin = pair
    options = session_options(onnxruntime)
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(twin.SerializeToString(), options, providers=["CPUExecutionProvider"])
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert operators["QLinearConv"] == sum(node.op_type == "Conv" for node in twin.graph.node) >= 35
    assert operators["Conv"] == 0


def test_weights_scales_and_biases_are_the_tflite_files_own(quantized: Quantize) -> None:
    integers, metadata = quantized("binary")
    graph = lower_graph(integers, layouts=False)
    constants = {t.name: numpy_helper.to_array(t) for t in to_model(graph, metadata).graph.initializer}
    for index, op in enumerate(graph.operators):
        if op.code == "CONV_2D":
            weights, bias, output = (graph.tensors[t] for t in (*op.inputs[1:], op.outputs[0]))
            np.testing.assert_array_equal(constants[f"w{index}_q"], np.transpose(np.asarray(weights.data), (0, 3, 1, 2)))
            np.testing.assert_array_equal(constants[f"w{index}_scale"], weights.scale)
            np.testing.assert_array_equal(constants[f"b{index}_q"], bias.data)
            assert constants[f"q{op.outputs[0]}_scale"] == output.scale[0]
            assert constants[f"q{op.outputs[0]}_zero"] == output.zero_point[0] + 128


def test_float_io_is_carried_over(quantized: Quantize, images: np.ndarray) -> None:
    integers, metadata = quantized("binary")
    data = write_tflite(integers, metadata, float_io=True)
    mask = run(onnx.load_from_string(write_onnx(integers, metadata, float_io=True)), images[:1])
    assert mask.dtype == np.float32
    # Both round the same sums to steps of 1/256; see test_both_formats_give_the_same_integers for why not to one step.
    assert np.abs(mask - lite(data, images[:1])).mean() < 4 / 256


def test_an_unknown_operator_is_refused_by_name() -> None:
    image = Node("image", "input", (), {"shape": (None, 4, 4, 2)})
    nodes = (image, Node("mask", "dense", ("image",), {}, {"kernel": np.ones((2, 4), np.float32)}))
    with pytest.raises(ModelError, match="a dense layer over a map has no"):
        write_onnx(Graph(nodes, ("image",), ("mask",)), default_metadata(Preprocessing(*SIZE), 2))
