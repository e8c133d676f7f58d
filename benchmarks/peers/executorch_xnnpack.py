"""ExecuTorch with XNNPACK: post-training quantization of a PyTorch model by torchao, as ExecuTorch's guide to XNNPACK says.

The PyTorch model is the same network, rebuilt from its nodes by `benchmarks.students.train_torch`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.peer import FloatArray, LoadedNetwork, Material, Peer


def make(material: Material, folder: Path) -> Path:
    """Export, quantize and lower the network to one file."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    samples = [_to_tensor(image) for image in material.images("calibration")]
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    with torch.no_grad():
        prepared = prepare_pt2e(torch.export.export(_read_module(material.network), (samples[0],)).module(), quantizer)
        for sample in samples:
            prepared(sample)
        return _write_program(convert_pt2e(prepared), samples[0], folder)


def make_float(material: Material, folder: Path) -> Path:
    """Export and lower the network to one file."""
    import torch

    with torch.no_grad():
        return _write_program(_read_module(material.network), _to_tensor(material.images("calibration")[0]), folder)


def _write_program(module: Any, sample: Any, folder: Path) -> Path:
    """Lower a torch.nn.Module to XNNPACK, write the program, and return its path."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(module, (sample,))
    program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    path = folder / "model.pte"
    path.write_bytes(program.buffer)
    return path


def load(path: Path, threads: int) -> LoadedNetwork:
    """Load a program with the runtime of the wheel."""
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    portable_lib._unsafe_reset_threadpool(threads)
    method = Runtime.get().load_program(str(path)).load_method("forward")
    inputs: list[Any] = []
    last: list[Any] = []

    def set_image(image: FloatArray) -> None:
        inputs[:] = [_to_tensor(image)]

    def run() -> None:
        last[:] = method.execute(inputs)

    return LoadedNetwork(set_image, run, lambda: np.moveaxis(last[0][0].numpy(), 0, -1))


def _read_module(network: Path) -> Any:
    """Return a network of `network.json` as a torch.nn.Module in evaluation mode."""
    import torch

    from benchmarks.students.train_torch import read_network

    graph = read_network(network, network.with_suffix(".npz"), 0, torch.device("cpu"))

    names = {key: key.replace("/", "__").replace(".", "_") for key in graph.weights}

    class Module(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not installed where types are checked
        def __init__(self) -> None:
            super().__init__()
            for key, value in graph.weights.items():
                self.register_parameter(names[key], torch.nn.Parameter(value.detach().contiguous(), requires_grad=False))

        def forward(self, images: Any) -> Any:
            weights = {key: getattr(self, name) for key, name in names.items()}
            return replace(graph, weights=weights)(images)[0]

    return Module().eval()


def _to_tensor(image: FloatArray) -> Any:
    """Return an image [H, W, C] as a tensor [1, C, H, W] in that order in memory, for which a program is exported."""
    import torch

    height, width, channels = image.shape
    planes = np.empty((1, channels, height, width), np.float32)
    planes[0] = np.moveaxis(image, -1, 0)
    return torch.from_numpy(planes)


PACKAGES = ("executorch>=1.5,<1.6", "torchao>=0.18,<0.19", "torch>=2.13,<2.14")
PTQ = Peer("executorch_xnnpack", "ExecuTorch with XNNPACK, PTQ", "ExecuTorch", PACKAGES, make, load)
FLOAT = Peer("executorch_float", "ExecuTorch with XNNPACK, not quantized", "ExecuTorch", PACKAGES, make_float, load)
