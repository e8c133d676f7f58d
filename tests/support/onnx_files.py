"""ONNX files as other programs write them, built operator by operator, and what ONNX Runtime computes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from u3p_edge.graph.ir import Graph
from u3p_edge.graph.reference import run
from u3p_edge.importing.onnx.reader import read_onnx
from u3p_edge.runtime.onnx_options import session_options

EPS = float(np.finfo(np.float32).eps)


class FileBuilder:
    """An ONNX model with one float32 input "image", to which operators are added in order."""

    def __init__(self, *shape: int | str, opset: int = 17, seed: int = 0) -> None:
        self.opset = opset
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.image = helper.make_tensor_value_info("image", TensorProto.FLOAT, list(shape))

    def add(self, op: str, *inputs: str, output: str = "", count: int = 1, **attrs: Any) -> str:
        """The name of the first output of a new operator."""
        name = f"/{op.lower()}{len(self.nodes)}"
        output = output or f"{name}/{op}_output_0"
        outputs = [output, *(f"{name}/{op}_output_{i}" for i in range(1, count))]
        self.nodes.append(helper.make_node(op, list(inputs), outputs, name=f"{name}/{op}", **attrs))
        return output

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"weight.{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def random(self, *shape: int, scale: float = 1.0, mean: float = 0.0) -> str:
        return self.constant(self.rng.normal(mean, scale, shape))

    def model(self, *outputs: str) -> Any:
        ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "network", [self.image], ports, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def save(self, path: Path, *outputs: str) -> Path:
        path.write_bytes(self.model(*outputs).SerializeToString())
        return path


def run_file(path: Path, image: np.ndarray) -> list[np.ndarray]:
    """Every output of a file in ONNX Runtime, computed operator by operator as the file says."""
    options = session_options(onnxruntime)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, {session.get_inputs()[0].name: image})]


def to_nhwc(x: np.ndarray) -> np.ndarray:
    """A map [N, C, H, W] as the graph has it; anything else unchanged."""
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x


def run_graph(graph: Graph, image: np.ndarray) -> list[np.ndarray]:
    values = run(graph, {graph.inputs[0]: image})
    return [values[name] for name in graph.outputs]


def assert_same_numbers(path: Path, image: np.ndarray, *, terms: int, layers: int = 1, size: Any = None) -> Graph:
    """Read a file of NCHW maps and compare every output with ONNX Runtime's.

    A sum of n products that are each rounded is off by at most n * eps of the sum of their magnitudes, typically sqrt(n) * eps
    of its own; the first is taken, of the largest value of the output, for each of the layers in a row.
    """
    graph = read_onnx(path, size)
    expected = run_file(path, image)
    result = run_graph(graph, to_nhwc(image))
    assert len(result) == len(expected)
    for mine, theirs in zip(result, map(to_nhwc, expected), strict=True):
        assert mine.shape == theirs.shape
        assert np.abs(theirs).max() > 0, "an output of zeros compares nothing"
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=terms * layers * EPS * float(np.abs(theirs).max()))
    return graph


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def load(path: Path) -> Any:
    return onnx.load(str(path))
