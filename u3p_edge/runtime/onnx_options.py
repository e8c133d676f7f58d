"""The options of all ONNX Runtime sessions in this package."""

from __future__ import annotations

from typing import Any

EXACT_SUMS = ("session.x64quantprecision", "1")
"""Session option for exact integer sums. Without VNNI instructions an x86 processor adds two 8-bit products in 16 bits, which
can overflow. ONNX Runtime then silently computes other integers than the file defines, unless this option makes it use slower
instructions there. It has no effect on other processors."""

SILENT = 4
"""Log level for fatal errors only: failures are raised as exceptions, and nothing is printed."""


def session_options(library: Any, threads: int = 1) -> Any:
    """Return an `onnxruntime.SessionOptions` with which every processor computes exactly the integers that the file defines.

    Args:
        library: the module onnxruntime, which is not installed everywhere.
        threads: number of threads within one operator; operators run one after the other.
    """
    options = library.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SILENT
    options.add_session_config_entry(*EXACT_SUMS)
    return options
