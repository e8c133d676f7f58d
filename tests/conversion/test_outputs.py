"""Probabilities, logits and labels of one network: three files, one label for every pixel."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.label_networks import OUTPUTS, SIDE, in_integers, metadata_of, open_outputs, random_images, random_network
from u3p_edge.config.metadata import OutputKind
from u3p_edge.conversion.onnx.writer import write_onnx
from u3p_edge.conversion.structure import tflite_faults
from u3p_edge.conversion.tflite.converter import convert_float
from u3p_edge.conversion.tflite.schema import parse_tflite
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.data.preprocess import to_labels
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.files.tflite.graph import TFLiteGraph
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.graph.logits import fit_output
from u3p_edge.graph.ops.functions import apply_function
from u3p_edge.graph.scheme import Quantized
from u3p_edge.quantization.placement import VISIBLE, widen_logits
from u3p_edge.runtime import open_session

WITHOUT: tuple[OutputKind, ...] = ("logits", "labels")
"""The outputs that have no activation before them."""

CHANNELS = st.sampled_from((1, 2, 3, 4, 8, 20))
SIZES = st.sampled_from((0.01, 0.1, 0.5, 2.0, 10.0))
"""From logits that hardly differ, where probabilities are equal unless the range is widened, to saturated ones."""


@pytest.mark.parametrize("container", ["tflite", "onnx"])
@given(channels=CHANNELS, size=SIZES, seed=st.integers(0, 2**16))
@settings(max_examples=8, deadline=None)
def test_integer_files_of_all_outputs_give_the_same_labels(container: str, channels: int, size: float, seed: int) -> None:
    network = in_integers(random_network(channels, size, seed))
    with tempfile.TemporaryDirectory() as folder:
        sessions = open_outputs(network, Path(folder), container)
        for image in random_images(3, seed):
            labels = {output: to_labels(sessions[output].run(image), output) for output in OUTPUTS}
            np.testing.assert_array_equal(labels["logits"], labels["labels"])
            np.testing.assert_array_equal(labels["probabilities"], labels["labels"])


@pytest.mark.parametrize("container", ["tflite", "onnx"])
@pytest.mark.parametrize("size", [0.5, 10.0])
def test_integer_files_of_overlapping_classes_have_each_class_where_its_logit_is_not_negative(
    container: str, size: float, tmp_path: Path
) -> None:
    network = in_integers(random_network(3, size, 5, "sigmoid"))
    write = {"tflite": write_tflite, "onnx": write_onnx}[container]
    outputs: tuple[OutputKind, ...] = ("probabilities", "logits")
    for output in outputs:
        (tmp_path / f"{output}.{container}").write_bytes(write(network, metadata_of(network, output)))
    sessions = {output: open_session(tmp_path / f"{output}.{container}") for output in outputs}
    seen = set()
    for image in random_images(3):
        probabilities, logits = (to_labels(sessions[one].run(image), one, multi_label=True) for one in outputs)
        np.testing.assert_array_equal(probabilities, logits)
        seen |= set(np.unique(logits))
    assert seen > {0, 7}
    with pytest.raises(ConfigError, match="gives one class a pixel"):
        metadata_of(network, "labels")


@pytest.mark.parametrize("container", ["tflite", "onnx"])
@pytest.mark.parametrize("channels", [1, 4])
def test_float_files_of_all_outputs_give_the_same_labels(container: str, channels: int, tmp_path: Path) -> None:
    sessions = open_outputs(random_network(channels, 2.0, 3), tmp_path, container)
    for image in random_images(3):
        values = {output: sessions[output].run(image) for output in OUTPUTS}
        labels = {output: to_labels(values[output], output) for output in OUTPUTS}
        np.testing.assert_array_equal(labels["logits"], labels["labels"])
        logits = np.sort(
            np.concatenate([values["logits"], np.zeros_like(values["logits"][..., :1])][: 1 + (channels == 1)], -1), -1
        )
        # A sum of 72 products of about 1 and a softmax are off by less than 1e-4: only nearer logits may change places.
        sure = logits[..., -1] - logits[..., -2] > 1e-4
        assert sure.mean() > 0.99
        np.testing.assert_array_equal(labels["probabilities"][sure], labels["labels"][sure])


def test_a_logit_of_exactly_zero_is_the_foreground(tmp_path: Path) -> None:
    """As a probability of exactly one half is."""
    graph = random_network(1, 0.0, 0)
    for network in (graph, in_integers(graph)):
        for container in ("tflite", "onnx"):
            (tmp_path / container).mkdir(exist_ok=True)
            for output, session in open_outputs(network, tmp_path / container, container).items():
                assert to_labels(session.run(random_images(1)[0]), output).min() == 1, (container, output)


def codes(network: Graph | Quantized, output: OutputKind) -> list[str]:
    return [op.code for op in lowered(network, output).operators]


def lowered(network: Graph | Quantized, output: OutputKind) -> TFLiteGraph:
    return parse_tflite(write_tflite(network, metadata_of(network, output)))


def test_what_a_file_does_not_give_it_does_not_compute() -> None:
    several, one = (random_network(channels, 2.0, 0) for channels in (3, 1))
    convolutions = ["CONV_2D", "CONV_2D"]
    assert codes(in_integers(several), "probabilities") == [*convolutions, "SOFTMAX"]
    assert codes(in_integers(several), "logits") == codes(several, "logits") == convolutions
    assert codes(in_integers(several), "labels") == codes(several, "labels") == [*convolutions, "ARG_MAX", "CAST"]
    assert codes(in_integers(one), "labels") == [*convolutions, "ADD", "RESHAPE", "CAST"]
    assert codes(one, "labels") == [*convolutions, "GREATER_EQUAL", "RESHAPE", "CAST"]
    nodes = onnx.load_model_from_string(write_onnx(several, metadata_of(several, "labels"))).graph.node
    assert [node.op_type for node in nodes if node.op_type not in ("Transpose", "Relu")] == ["Conv", "Conv", "ArgMax", "Cast"]


@pytest.mark.parametrize("channels", [1, 3])
def test_logits_have_the_scale_of_the_network_and_labels_are_bytes(channels: int) -> None:
    network = in_integers(random_network(channels, 2.0, 0))
    file = lowered(network, "logits")
    mask, pair = file.tensors[file.outputs[0]], network.scheme.tensors["scores"]
    assert (mask.name, mask.dtype, mask.scale[0], mask.zero_point[0]) == (
        "mask",
        np.int8,
        np.float32(pair.scale),
        pair.zero_point,
    )
    file = lowered(network, "labels")
    mask = file.tensors[file.outputs[0]]
    assert (mask.name, mask.dtype, mask.shape) == ("mask", np.uint8, (1, SIDE, SIDE))
    assert not tflite_faults(file, int8=True, float_io=False)


def test_float_ends_leave_labels_as_they_are(tmp_path: Path) -> None:
    network, image = in_integers(random_network(3, 2.0, 0)), random_images(1)[0]
    for container, write in (("tflite", write_tflite), ("onnx", write_onnx)):
        path = tmp_path / f"real.{container}"
        path.write_bytes(write(network, metadata_of(network, "labels"), float_io=True))
        plain = open_outputs(network, tmp_path, container)["labels"].run(image)
        np.testing.assert_array_equal(open_session(path).run(image), plain)


def test_the_converter_of_tensorflow_gives_the_same_labels(tmp_path: Path) -> None:
    """It writes float16, and float32 of a network with an op that this package's writer does not know."""
    for channels in (1, 3):
        graph, path = random_network(channels, 2.0, 1), tmp_path / f"converted{channels}.tflite"
        path.write_bytes(convert_float(to_keras(fit_output(graph, "labels")), metadata_of(graph, "labels")))
        expected = open_outputs(graph, tmp_path, "tflite")["labels"]
        given, wanted = (session.run(random_images(1)[0]) for session in (open_session(path), expected))
        np.testing.assert_array_equal(given, wanted)


def test_a_network_that_ends_in_a_gate_keeps_its_probabilities() -> None:
    graph = random_network(3, 2.0, 0)
    product = Node("gated", "multiply", ("mask", "mask"))
    gated = replace(graph, nodes=(*graph.nodes, product), outputs=("gated",))
    assert fit_output(gated, "probabilities") is gated
    for output in WITHOUT:
        with pytest.raises(ModelError, match=f"no {output} at its end: multiply"):
            fit_output(gated, output)


def test_a_network_of_logits_needs_no_change() -> None:
    network = in_integers(random_network(3, 2.0, 0))
    once = fit_output(network, "logits")
    assert fit_output(once, "labels") is once
    assert once.graph.outputs == ("scores",)
    assert "mask" not in once.scheme.tensors


@pytest.mark.parametrize("channels", [1, 2, 4, 20])
def test_logits_that_are_one_step_apart_have_other_probabilities(channels: int) -> None:
    graph = random_network(channels, 2.0, 0)
    low, high = widen_logits(graph, "scores", (-1e-3, 1e-3))
    step = (high - low) / 255
    if channels == 1:
        assert 256 * (0.5 - 1 / (1 + np.exp(step))) == pytest.approx(VISIBLE)
    else:
        first, *others = apply_function("softmax", np.array([step, *[0.0] * (channels - 1)]))
        assert 256 * (first - max(others)) == pytest.approx(VISIBLE)
    assert widen_logits(graph, "features", (-1e-3, 1e-3)) == (-1e-3, 1e-3)
    assert widen_logits(graph, "scores", (-90.0, 80.0)) == (-90.0, 80.0)
