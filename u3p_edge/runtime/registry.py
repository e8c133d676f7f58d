"""The runtimes of exported files, in one table: a new runtime is a new module with a function `open_file`, and one line here.

`open_file(path, threads, max_memory_mb)` loads a file and returns a `Session`. The module imports its library only when it
opens a file, so that importing this package needs none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType

from u3p_edge.errors import MissingPackageError, missing_package


@dataclass(frozen=True)
class Runtime:
    """One runtime.

    Args:
        title: its name in messages and reports.
        suffix: suffix of the files that it opens.
        module: the module of this package that has its `open_file`.
        imports: what that module imports when it opens a file, the runtime's library first.
        extra: the extra of u3p-edge that installs the library; empty if the base install has it.
    """

    title: str
    suffix: str
    module: str
    imports: tuple[str, ...]
    extra: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether its library is installed; the library is not imported."""
        return find_spec(self.imports[0].partition(".")[0]) is not None

    def missing(self, needed_by: str, error: ImportError | None = None) -> MissingPackageError:
        """Return the error for a library that is not installed; `needed_by` names the file or command that needs it."""
        return missing_package(self.title, needed_by, self.extra, error)


LITERT = ("ai_edge_litert.interpreter", "u3p_edge.files.tflite.check")

RUNTIMES: Mapping[str, Runtime] = MappingProxyType(
    {
        "tflite": Runtime("LiteRT", ".tflite", "u3p_edge.runtime.tflite", LITERT),
        "onnx": Runtime("ONNX Runtime", ".onnx", "u3p_edge.runtime.onnxruntime", ("onnxruntime",), "onnx"),
        "openvino": Runtime("OpenVINO", ".onnx", "u3p_edge.runtime.openvino", ("openvino", "onnx"), "openvino"),
    }
)
"""The runtimes by the first part of the formats of their sessions, e.g. "tflite" of "tflite-int8".

Of several runtimes with one suffix the first opens a file if none is named.
"""


def runtime_of(suffix: str) -> Runtime | None:
    """Return the runtime that opens files with that suffix, or None."""
    return next((runtime for runtime in RUNTIMES.values() if runtime.suffix == suffix), None)
