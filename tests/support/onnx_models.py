"""What ONNX Runtime makes of small models."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime

from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.runtime.onnx_options import session_options

METADATA = default_metadata(Preprocessing(32, 32), 3)
"""Of `graph` of tflite_models where its image is 32x32, and of three labels."""


def run_onnx(model: onnx.ModelProto, image: np.ndarray, optimize: bool) -> np.ndarray:
    """The output `mask` of an ONNX model for the input `image`, in ONNX Runtime, with or without its fusions."""
    options = session_options(onnxruntime)
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (mask,) = session.run(["mask"], {"image": image})
    return np.array(mask)
