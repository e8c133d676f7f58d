"""LiteRT with XNNPACK, the runtime of every .tflite file here: what this package writes is run as what the peers write is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.peers.peer import FloatArray, LoadedNetwork, dequantize

PACKAGE = "ai-edge-litert>=2.1,<3"


def load(path: Path, threads: int) -> LoadedNetwork:
    """Load a TFLite file with one image and one mask, both float32 or int8."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    (image,), (mask,) = interpreter.get_input_details(), interpreter.get_output_details()

    def set_image(values: FloatArray) -> None:
        batch = values[np.newaxis]
        if image["dtype"] != np.float32:
            scale, zero_point = image["quantization"]
            limits = np.iinfo(image["dtype"])
            batch = np.clip(np.rint(batch / scale) + zero_point, limits.min, limits.max).astype(image["dtype"])
        interpreter.set_tensor(image["index"], batch)

    def read_mask() -> FloatArray:
        values = interpreter.get_tensor(mask["index"])[0]
        if mask["dtype"] == np.float32:
            return np.asarray(values, np.float32)
        return dequantize(values, *mask["quantization"])

    return LoadedNetwork(set_image, interpreter.invoke, read_mask)
