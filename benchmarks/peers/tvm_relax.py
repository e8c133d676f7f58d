"""TVM: the float ONNX file, compiled for this processor by Relax with its default passes.

Relax has no post-training quantization, so this row is not quantized. It is not tuned either, which takes hours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.peer import FloatArray, LoadedNetwork, Material, Peer


def make(material: Material, folder: Path) -> Path:
    """Compile the float ONNX file to a shared library."""
    import onnx
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    module = from_onnx(onnx.load(str(material.onnx)), keep_params_in_input=False)
    with tvm.transform.PassContext(opt_level=3):
        compiled = relax.build(
            module, target=tvm.target.Target({"kind": "llvm", "mcpu": tvm.target.codegen.llvm_get_system_cpu()})
        )
    path = folder / "model.so"
    compiled.export_library(str(path))
    return path


def load(path: Path, threads: int) -> LoadedNetwork:
    """Load a library with TVM's virtual machine."""
    import os

    os.environ["TVM_NUM_THREADS"] = str(threads)
    import tvm
    from tvm import relax

    machine = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
    inputs: list[Any] = []
    last: list[Any] = []

    def set_image(image: FloatArray) -> None:
        inputs[:] = [tvm.runtime.tensor(np.ascontiguousarray(image[np.newaxis]))]

    def run() -> None:
        last[:] = [machine["main"](*inputs)]

    return LoadedNetwork(set_image, run, lambda: np.array(last[0].numpy()[0], np.float32))


PEER = Peer("tvm_relax", "TVM, not quantized", "TVM", ("apache-tvm>=0.20,<1", "onnx>=1.18,<2"), make, load)
