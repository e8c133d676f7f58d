"""The int8 ONNX twin of the ops that rewriting makes: operator by operator, and a whole network of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.int8_models import blobs
from tests.support.onnx_models import METADATA, run_onnx
from tests.support.rewritten_model import rewritten
from tests.support.tflite_models import STEP, graph, integers, random_image, run
from u3p_edge.conversion.onnx.writer import to_model, write_onnx
from u3p_edge.conversion.tflite.writer import lower_graph, write_tflite
from u3p_edge.graph.ir import Node
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.graph.scheme import Quantization, Quantized
from u3p_edge.quantization.ptq import quantize_ptq
from u3p_edge.runtime.onnx_fusion import count_optimized_operators

COARSE = Quantization(0.11, -7)


def node(op: str, *more: str, source: str = "image", **attrs: object) -> Node:
    return Node("y", op, (source, *more), attrs)


MOVES = {
    "crop": [node("crop", cropping=((1, 2), (0, 3)))],
    "crop of channels": [node("crop", cropping=((0, 1), (1, 0)), channels=(1, 2))],
    "pad rows": [node("pad", padding=((2, 1), (0, 0)))],
    "pad columns": [node("pad", padding=((0, 0), (0, 3)))],
    "pad both": [node("pad", padding=((1, 0), (0, 2)))],
    "nearest": [node("upsample", size=(2, 4))],
    "nearest along one axis": [node("upsample", size=(1, 3))],
    "reshape": [node("reshape", target_shape=(3, 16, 2))],
    "reshape of channels": [node("reshape", target_shape=(12, 4, 2))],
    "space to depth": [node("space_to_depth")],
    "depth to space": [
        Node("four", "concat", ("image", "image")),
        Node("cut", "crop", ("four",), {"cropping": ((1, 0), (0, 0))}),
        node("depth_to_space", source="cut"),
    ],
    "there and back": [Node("blocks", "space_to_depth", ("image",)), node("depth_to_space", source="blocks")],
    "rows joined": [node("concat", "image", axis=1)],
    "columns joined": [node("concat", "image", axis=2)],
    "many joined": [node("concat", *["image"] * 7, axis=-1)],
}
ROUNDED = {
    "sum": [node("add", "image")],
    "difference": [Node("cut", "crop", ("image",), {"cropping": ((1, 0), (0, 0))}),
                   Node("moved", "pad", ("cut",), {"padding": ((0, 1), (0, 0))}), node("subtract", "moved")],
    "bilinear": [node("upsample", size=(2, 2), interpolation="bilinear")],
    "bilinear rows": [node("upsample", size=(4, 1), interpolation="bilinear")],
    "bilinear columns": [node("upsample", size=(1, 8), interpolation="bilinear")],
    "bilinear by the most": [node("upsample", size=(16, 16), interpolation="bilinear")],
    "interpolated sum of rows": [
        Node("maps", "concat", ("image",) * 3, {"axis": 2}),
        node("interpolated_sum", source="maps", axis=1, factor=2),
    ],
    "interpolated sum of columns": [
        Node("maps", "concat", ("image",) * 3, {"axis": 3}),
        node("interpolated_sum", source="maps", axis=2, factor=4, cut=(False, True)),
    ],
    "another scale": [node("identity")],
}  # fmt: skip
KEEPS_SCALE = ("bilinear", "bilinear rows", "bilinear columns", "bilinear by the most")


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("name", [*MOVES, *ROUNDED])
def test_every_op_gives_the_integers_that_tflite_gives(name: str, optimize: bool) -> None:
    moves = name in MOVES or name in KEEPS_SCALE
    network = integers(graph(MOVES.get(name) or ROUNDED[name]), y=STEP if moves else COARSE)
    image = random_image((6, 8, 2), np.int8)
    expected = run(write_tflite(network), image)
    twin = to_model(lower_graph(network, layouts=False), METADATA)
    difference = np.abs(run_onnx(twin, image, optimize).astype(int) - expected)
    # Integers that are only moved stay what they are, and those between them are rounded the same way; a sum of two scales that
    # is all but between two steps may fall to either.
    assert difference.max() <= (0 if moves else 1)
    assert difference.mean() < 0.1


@pytest.mark.parametrize("limit", [None, 6.0])
def test_a_fused_relu_is_the_saturation_or_a_node(limit: float | None) -> None:
    image = random_image((6, 8, 2), np.int8)
    for last in (Quantization(0.06, -128), Quantization(0.06, -90)):
        network = integers(
            graph([Node("s", "add", ("image", "image")), Node("y", "relu", ("s",), {"max_value": limit})]), s=None, y=last
        )
        twin = to_model(lower_graph(network, layouts=False), METADATA)
        difference = np.abs(run_onnx(twin, image, True).astype(int) - run(write_tflite(network), image))
        assert difference.max() <= 1


@pytest.fixture(scope="module")
def network() -> Quantized:
    images, _ = blobs(4)
    return quantize_ptq(from_keras(rewritten()), images)


def test_the_rewritten_network_agrees(network: Quantized) -> None:
    image = random_image((32, 32, 1), np.int8)
    twin = to_model(lower_graph(network, layouts=False), METADATA)
    data = write_tflite(network)
    expected, reference = run(data, image).astype(int), run(data, image, reference=True)
    # Sums between two steps fall to either side, and a softmax of noise amplifies that: LiteRT's own two kernels say by how
    # much. The twin may be twice as far from one of them as they are from each other.
    difference, spread = (np.abs(other - expected).mean() for other in (run_onnx(twin, image, True).astype(int), reference))
    assert difference <= 2 * spread + 0.1
    assert np.abs(expected - expected.mean()).mean() > 10 * difference


def test_every_convolution_still_runs_on_integers(network: Quantized, tmp_path: Path) -> None:
    path = tmp_path / "twin.onnx"
    path.write_bytes(write_onnx(network, METADATA))
    operators = count_optimized_operators(path)
    assert operators["QLinearConv"] == 5
    assert operators.get("Conv", 0) == 0
    # What moves, pads or adds integers does so; the two bilinear resizes, the ReLU that is no saturation, and the ends compute.
    real = {name: count for name, count in operators.items() if name in ("QuantizeLinear", "DequantizeLinear")}
    assert real == {"QuantizeLinear": 1 + 2 + 1 + 1, "DequantizeLinear": 1 + 2 + 1 + 1}
