"""The operators that ONNX Runtime really runs for a file, after it has optimized the graph."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnxruntime

from u3p_edge.runtime.onnx_options import session_options


def count_optimized_operators(path: Path) -> Mapping[str, int]:
    """Count each operator in the graph that ONNX Runtime's CPU provider runs, e.g. {"QLinearConv": 35}."""
    with tempfile.TemporaryDirectory() as folder:
        options = session_options(onnxruntime)
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(Path(folder) / "optimized.onnx").graph.node
    return Counter(node.op_type for node in nodes)
