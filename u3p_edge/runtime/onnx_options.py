"""The options of every ONNX Runtime session of ours."""

from __future__ import annotations

from typing import Any

EXACT_SUMS = ("session.x64quantprecision", "1")
"""Without VNNI instructions an x86 processor adds two products of 8 bits in 16 bits, which can overflow. ONNX Runtime then
computes other integers than the file says, without a word, unless this tells it to take slower instructions there. It has no
effect on other processors."""

SILENT = 4
"""Log level of fatal errors alone: failures come back as exceptions, nothing is printed."""


def session_options(library: Any, threads: int = 1) -> Any:
    """An `onnxruntime.SessionOptions` under which every processor computes the file's own integers.

    Args:
        library: the module onnxruntime, which is not installed everywhere.
        threads: of one operator; operators run one after the other.
    """
    options = library.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SILENT
    options.add_session_config_entry(*EXACT_SUMS)
    return options
