"""Load and run exported files: float image in, float map out.

`open_session(path)` selects the runtime by the file's suffix and imports only that runtime. The runtimes are listed in
`u3p_edge.runtime.registry`.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from u3p_edge.config.limits import MAX_MEMORY_MB, MAX_THREADS
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.runtime.base import Session
from u3p_edge.runtime.registry import RUNTIMES, Runtime, runtime_of

__all__ = ["Session", "open_session"]


def open_session(
    path: Path | str, threads: int = 1, *, max_memory_mb: float | None = MAX_MEMORY_MB, runtime: str = ""
) -> Session:
    """Load an exported file in its runtime.

    Args:
        path: a file made by `u3p-edge export`, e.g. a .tflite or .onnx file.
        threads: number of threads of the runtime, 1 to `MAX_THREADS`.
        max_memory_mb: a file that would take more, in MB of 10^6 bytes, is refused; None for a file that this program wrote.
        runtime: a key of `RUNTIMES`, e.g. "openvino"; empty for the first runtime that opens files with this suffix.

    Raises:
        ModelError: the file is missing, damaged, of another kind or not made by `u3p-edge export`.
        MissingPackageError: its runtime is not installed.
        ConfigError: `threads` is out of range, or there is no such runtime.
    """
    path = Path(path)
    if not 1 <= threads <= MAX_THREADS:
        raise ConfigError(f"{threads} threads cannot run a model", mend=f"Use 1 to {MAX_THREADS}.")
    session: Session = importlib.import_module(_choose(path, runtime).module).open_file(path, threads, max_memory_mb)
    return session


def _choose(path: Path, name: str) -> Runtime:
    if name and name not in RUNTIMES:
        raise ConfigError(f"there is no runtime {name!r}", mend=f"Use one of: {', '.join(RUNTIMES)}.")
    chosen = RUNTIMES[name] if name else runtime_of(path.suffix)
    if chosen is None or chosen.suffix != path.suffix:
        suffixes = dict.fromkeys(runtime.suffix for runtime in ((chosen,) if chosen else RUNTIMES.values()))
        raise ModelError(f"{path} is not a {' or '.join(suffixes)} file", mend="Make one with `u3p-edge export`.")
    return chosen
