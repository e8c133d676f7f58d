"""Networks that the installed PyTorch exports come in, and go out as int8 files.

PyTorch is in an extra of its own, `torch`, which one job of the workflow installs. The files in tests/importing/data are what
one version wrote; here it is whatever version is there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import u3p_edge as u3p
from tests.support.onnx_files import EPS
from u3p_edge.graph.reference import run
from u3p_edge.importing.onnx.reader import read_onnx

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from tests.support.torch_networks import EXPORTERS, GroupNet, export, scramble  # noqa: E402  # it imports torch
from tests.support.torch_unet3plus import OfficialUNet3Plus  # noqa: E402

TERMS, LAYERS = 9 * 32 + 1, 19
"""Products in the longest sum, and convolutions in a row: at most those of the UNet 3+ of width 2."""


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", ["unet3plus", "groups"])
def test_an_export_made_now_becomes_int8_files(name: str, exporter: str, tmp_path: Path) -> None:
    """The UNet 3+ of the paper's authors, and group normalisation, from PyTorch's own computation on."""
    if exporter == "dynamo":
        pytest.importorskip("onnxscript", reason="the extra torch is not installed")
    model = scramble({"unet3plus": lambda: OfficialUNet3Plus(1, 2), "groups": GroupNet}[name](), 3)
    image = torch.rand((1, 1, 16, 32), generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        expected = model(image).numpy().transpose(0, 2, 3, 1)
    path, pixels = export(model, image, tmp_path / "m.onnx", exporter), image.numpy().transpose(0, 2, 3, 1)
    graph = read_onnx(path)
    (result,) = run(graph, {graph.inputs[0]: pixels}).values()
    largest = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(result, expected, rtol=0, atol=TERMS * LAYERS * EPS * largest)
    assert expected.std() > 10 * TERMS * LAYERS * EPS * largest, "a flat map compares nothing"
    graph = u3p.from_onnx(path)
    mask = run(graph, {"image": pixels})["mask"][0]
    network = u3p.quantize(graph, calibration=pixels)
    for file in (u3p.write_tflite(network, tmp_path / "m.tflite"), u3p.write_onnx(network, tmp_path / "int8.onnx")):
        masks = u3p.open_session(file).run(pixels[0])
        # Some layers of 8 bits each: a network that was mixed up would not follow at all.
        assert mask.var() > 10 * np.mean((masks - mask) ** 2), file.name
