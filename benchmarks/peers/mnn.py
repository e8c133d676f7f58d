"""MNN: its converter of TFLite files, then its offline quantization tool with the default method (KL divergence).

The tool reads images as 8-bit files, so the calibration images, which lie between 0 and 1, are written as PNG. The functions
behind `mnnconvert` and `mnnquant` are called, since these commands install a package by themselves.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.peers.peer import FloatArray, LoadedNetwork, Material, Peer


def make_weights(material: Material, folder: Path) -> Path:
    """Convert the float TFLite file with 8-bit weights; maps stay float."""
    return _convert(material, folder / "model.mnn", "--weightQuantBits", "8")


def make(material: Material, folder: Path) -> Path:
    """Convert and quantize the float TFLite file."""
    import _tools

    images = material.images("calibration")
    path = folder / "model.mnn"
    with tempfile.TemporaryDirectory() as work:
        options, pictures = Path(work) / "options.json", Path(work) / "images"
        whole = _convert(material, Path(work) / "float.mnn")
        _write_pictures(images, pictures)
        height, width, channels = images.shape[1:]
        values = {
            "format": "GRAY" if channels == 1 else "RGB", "mean": [0.0] * channels, "normal": [1 / 255] * channels,
            "width": width, "height": height, "path": f"{pictures}/", "used_image_num": len(images),
            "feature_quantize_method": "KL", "weight_quantize_method": "MAX_ABS",
        }  # fmt: skip
        options.write_text(json.dumps(values), encoding="utf-8")
        _tools.mnnquant(str(whole), str(path), str(options))
    return path


def load(path: Path, threads: int) -> LoadedNetwork:
    """Load a file on the processor."""
    import MNN

    interpreter = MNN.Interpreter(str(path))
    session = interpreter.createSession({"backend": "CPU", "numThread": threads, "precision": "normal"})
    image, mask = interpreter.getSessionInput(session), interpreter.getSessionOutput(session)

    def set_image(values: FloatArray) -> None:
        batch = np.ascontiguousarray(values[np.newaxis])
        image.copyFrom(MNN.Tensor(batch.shape, MNN.Halide_Type_Float, batch, MNN.Tensor_DimensionType_Tensorflow))

    def read_mask() -> FloatArray:
        shape = mask.getShape()
        empty = np.zeros(shape, np.float32)
        host = MNN.Tensor(shape, MNN.Halide_Type_Float, empty, MNN.Tensor_DimensionType_Tensorflow)
        mask.copyToHostTensor(host)
        values: FloatArray = np.array(host.getData(), np.float32).reshape(shape)[0]
        return values

    return LoadedNetwork(set_image, lambda: interpreter.runSession(session), read_mask)


def _convert(material: Material, path: Path, *options: str) -> Path:
    """Convert the float TFLite file to a file of MNN, and return its path."""
    import _tools

    words = ("", "-f", "TFLITE", "--modelFile", material.tflite, "--MNNModel", path, "--bizCode", "peer", *options)
    _tools.mnnconvert(list(map(str, words)))
    return path


def _write_pictures(images: FloatArray, folder: Path) -> None:
    from PIL import Image

    folder.mkdir()
    for number, image in enumerate(images):
        pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(folder / f"{number:03}.png")


PACKAGES = ("MNN>=3,<4", "pillow>=10,<14")
PTQ = Peer("mnn", "MNN, offline PTQ", "MNN", PACKAGES, make, load)
WEIGHTS = Peer("mnn_weights", "MNN, 8-bit weights", "MNN", PACKAGES, make_weights, load)
