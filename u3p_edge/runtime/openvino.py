"""ONNX files in OpenVINO, on the CPU. OpenVINO is an optional dependency: `python -m pip install 'u3p-edge[openvino]'`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from u3p_edge.config.limits import MAX_MEMORY_MB
from u3p_edge.config.metadata import Metadata
from u3p_edge.errors import ModelError
from u3p_edge.runtime.base import FloatArray, OutputArray, PortQuantization, Shape, check_file, decode, encode
from u3p_edge.runtime.onnx_file import check_onnx, describe_onnx
from u3p_edge.runtime.registry import RUNTIMES

OPTIONS = {"NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
"""Float32 is requested explicitly. By default OpenVINO computes a float32 file in bfloat16 if the processor supports it, and a
probability is then off by a hundredth."""


@dataclass(frozen=True)
class OpenVINOSession:
    """A `Session` over an OpenVINO infer request."""

    name: str
    format: str
    metadata: Metadata
    threads: int
    input_shape: Shape
    _request: Any
    _image: PortQuantization | None
    _mask: PortQuantization | None

    def prepare(self, image: FloatArray) -> Callable[[], None]:
        """See `Session.prepare`."""
        feed = {"image": self._encoded(image)}

        def invoke() -> None:
            self._request.infer(feed)

        return invoke

    def run(self, image: FloatArray) -> OutputArray:
        """See `Session.run`."""
        self._request.infer({"image": self._encoded(image)})
        return decode(self._request.get_output_tensor(0).data, self._mask)

    def _encoded(self, image: FloatArray) -> Any:
        return encode(image, self.input_shape, self._image, self.name)


def open_file(path: Path, threads: int = 1, max_memory_mb: float | None = MAX_MEMORY_MB) -> OpenVINOSession:
    """Load an exported ONNX file in OpenVINO.

    Args:
        path: path of the file.
        threads: number of threads of the infer request.
        max_memory_mb: what the file may take, in MB of 10^6 bytes; None for a file that this program wrote or has checked.

    Raises:
        ModelError: the file is missing, not ONNX, without u3p_edge metadata, or not runnable.
        MissingPackageError: OpenVINO is not installed.
    """
    check_file(path)
    if max_memory_mb is not None:
        check_onnx(path, max_memory_mb)
    try:
        library, onnx = (importlib.import_module(name) for name in RUNTIMES["openvino"].imports)
    except ImportError as error:
        raise RUNTIMES["openvino"].missing(path.name, error) from error
    properties = _properties(onnx, path)
    try:
        compiled = library.Core().compile_model(str(path), "CPU", {**OPTIONS, "INFERENCE_NUM_THREADS": threads})
    except RuntimeError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ModelError(f"OpenVINO cannot run {path} ({reason})", mend="Export or copy it again.") from error
    types = (
        (tuple(int(n) for n in port.shape), port.get_element_type().to_dtype().name)
        for port in (compiled.input(0), compiled.output(0))
    )
    file = describe_onnx(path, properties, *types)
    request = compiled.create_infer_request()
    return OpenVINOSession(
        path.name, f"openvino-{file.number}", file.metadata, threads, file.input_shape, request, file.image, file.mask
    )


def _properties(onnx: Any, path: Path) -> dict[str, str]:
    """Return the file's metadata properties."""
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's DecodeError derives from Exception alone
        raise ModelError(f"{path} is not an ONNX file: truncated or damaged", mend="Export or copy it again.") from error
    return {entry.key: entry.value for entry in model.metadata_props}
