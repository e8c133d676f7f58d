"""Networks that PyTorch exported, by both of its exporters, compute what PyTorch computed, in float and as int8 files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import u3p_edge as u3p
from tests.support.onnx_files import EPS
from tests.support.torch_files import TORCH_FILES, torch_values
from u3p_edge.errors import ModelError
from u3p_edge.graph.reference import run
from u3p_edge.importing.onnx.reader import read_onnx

NETWORKS = ("unet_transposed", "unet_bilinear", "deeplab", "linknet", "depthwise", "unet3plus", "groups")
TERMS, LAYERS = 9 * 32 + 1, 19
"""Products in the longest sum, and convolutions in a row: at most those of the UNet 3+."""


@pytest.mark.parametrize("exporter", ["opset17", "dynamo"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_computes_what_pytorch_computes(name: str, exporter: str) -> None:
    graph = read_onnx(TORCH_FILES / f"{name}.{exporter}.onnx")
    image, (expected,) = torch_values(name)
    (result,) = run(graph, {graph.inputs[0]: image}).values()
    largest = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(result, expected, rtol=0, atol=TERMS * LAYERS * EPS * largest)
    assert expected.std() > 10 * TERMS * LAYERS * EPS * largest, "a flat map compares nothing"


@pytest.mark.parametrize("exporter", ["opset17", "dynamo"])
def test_corners_that_are_aligned_are_refused_with_their_place(exporter: str) -> None:
    with pytest.raises(ModelError, match=r"node '.*' \(Resize\): .*align_corners.*align_corners=False"):
        read_onnx(TORCH_FILES / f"unet_corners.{exporter}.onnx")


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "unet3plus"])  # tests/importing/pytorch has it
def test_int8_files_follow_the_float_network(tmp_path: Path, name: str) -> None:
    """In both formats, with transposed convolutions of stride 2, dilation, depthwise and grouped convolutions."""
    graph = u3p.from_onnx(TORCH_FILES / f"{name}.opset17.onnx")
    image, _ = torch_values(name)
    expected = run(graph, {"image": image})["mask"][0]
    network = u3p.quantize(graph, calibration=image)
    for path in (u3p.write_tflite(network, tmp_path / "m.tflite"), u3p.write_onnx(network, tmp_path / "m.onnx")):
        result = u3p.open_session(path).run(image[0])
        # Some ten layers of 8 bits each: a network that was mixed up would not follow at all.
        assert expected.var() > 10 * np.mean((result - expected) ** 2), path.name
