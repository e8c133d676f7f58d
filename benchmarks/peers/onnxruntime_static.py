"""Static quantization by ONNX Runtime's own tool, in QDQ form and per channel, after its own pre-processing of the file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.peer import FloatArray, LoadedNetwork, Material, Peer


def make(material: Material, folder: Path) -> Path:
    """Quantize the float ONNX file."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Samples(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime ships no types
        def __init__(self) -> None:
            self.left: Iterator[FloatArray] = iter(material.images("calibration"))

        def get_next(self) -> dict[str, FloatArray] | None:
            image = next(self.left, None)
            return None if image is None else {"image": np.asarray(image[None])}

    path = folder / "model.onnx"
    with tempfile.TemporaryDirectory() as work:
        prepared = Path(work) / "prepared.onnx"
        quant_pre_process(str(material.onnx), str(prepared), skip_symbolic_shape=True)  # all shapes are fixed
        quantize_static(str(prepared), str(path), Samples(), quant_format=QuantFormat.QDQ, per_channel=True)
    return path


def load(path: Path, threads: int) -> LoadedNetwork:
    """Load an ONNX file with float32 ports on the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed: dict[str, FloatArray] = {}
    last: list[Any] = []

    def run() -> None:
        last[:] = session.run(["mask"], feed)

    return LoadedNetwork(lambda image: feed.update(image=image[None]), run, lambda: np.asarray(last[0][0], np.float32))


PEER = Peer(
    "onnxruntime_static", "ONNX Runtime, static QDQ", "ONNX Runtime", ("onnxruntime>=1.22,<2", "onnx>=1.18,<2"),
    make, load, isolated=False,
)  # fmt: skip
