"""ncnn: the float ONNX file, converted by pnnx, which stores weights in float16 by default.

ncnn's tools for int8, `ncnn2table` and `ncnn2int8`, are in none of its Python packages, so this row is not quantized.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.peer import FloatArray, LoadedNetwork, Material, Peer, PeerError, last_line


def make(material: Material, folder: Path) -> Path:
    """Convert the float ONNX file to a description of the network, with its weights in a file beside it."""
    with tempfile.TemporaryDirectory() as work:
        copy = Path(work) / "float.onnx"
        shutil.copyfile(material.onnx, copy)
        shape = ",".join(map(str, (1, *material.images("test").shape[1:])))
        command = [str(Path(sys.executable).parent / "pnnx"), str(copy), f"inputshape=[{shape}]"]
        done = subprocess.run(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        print(done.stdout)
        description, weights = Path(work) / "float.ncnn.param", Path(work) / "float.ncnn.bin"
        if done.returncode or not description.exists():
            raise PeerError(f"pnnx: {last_line(done.stdout)}")
        shutil.copyfile(weights, folder / "model.bin")
        return Path(shutil.copyfile(description, folder / "model.param"))


def load(path: Path, threads: int) -> LoadedNetwork:
    """Load a network on the processor."""
    import ncnn

    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    network.opt.num_threads = threads
    network.load_param(str(path))
    network.load_model(str(path.with_suffix(".bin")))
    inputs: list[Any] = []
    last: list[Any] = []

    def set_image(image: FloatArray) -> None:
        pixels = np.array(image)
        inputs[:] = [ncnn.Mat(pixels), pixels]  # a Mat refers to the memory of an array, and does not keep it alive

    def run() -> None:
        extractor = network.create_extractor()
        extractor.input("in0", inputs[0])
        last[:] = extractor.extract("out0")

    return LoadedNetwork(set_image, run, lambda: np.array(last[1], np.float32))


PEER = Peer("ncnn_pnnx", "ncnn, not quantized", "ncnn", ("ncnn>=1,<2", "pnnx>=20250101,<20280101"), make, load)
