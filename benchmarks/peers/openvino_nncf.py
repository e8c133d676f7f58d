"""Post-training quantization by NNCF for OpenVINO, with the defaults of its guide."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.peers.peer import LoadedNetwork, Material, Peer


def make(material: Material, folder: Path) -> Path:
    """Quantize the float ONNX file to an OpenVINO model; its weights lie beside it in a file of their own."""
    import nncf
    import openvino

    images = material.images("calibration")
    samples = nncf.Dataset([np.asarray(image[None]) for image in images])
    quantized = nncf.quantize(openvino.Core().read_model(str(material.onnx)), samples, subset_size=len(images))
    path = folder / "model.xml"
    openvino.save_model(quantized, str(path))
    return path


def load(path: Path, threads: int) -> LoadedNetwork:
    """Load an OpenVINO model for the least latency."""
    import openvino

    hints = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
    request = openvino.Core().compile_model(str(path), "CPU", hints).create_infer_request()
    return LoadedNetwork(
        lambda image: request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(image[None]))),
        request.infer,
        lambda: np.array(request.get_output_tensor(0).data[0], np.float32),
    )


PEER = Peer(
    "openvino_nncf", "OpenVINO with NNCF, PTQ", "OpenVINO", ("openvino>=2025.0,<2027", "nncf>=3,<4", "onnx>=1.18,<2"),
    make, load,
)  # fmt: skip
