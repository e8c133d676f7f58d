"""The latency tables that travel in the package: one file for each class of processor and number type.

A table for one more class is one more file, which `u3p-edge device profile NETWORK --any-size` writes on such a device. The
file's name says the class and the number type, for example `x86_avx2.int8.json`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from u3p_edge.latency.table.table import LatencyTable, read_latency_table
from u3p_edge.runtime.processor import CPUINFO, processor_class, text_of

FOLDER = Path(__file__).parent / "tables"


def packaged_table(number: str, cpuinfo: str | None = None) -> LatencyTable | None:
    """Return the packaged table for a processor, for networks of any size; None where its class has none.

    Args:
        number: number type of the arithmetic, "int8" or "float32".
        cpuinfo: text of /proc/cpuinfo; None for this machine's.

    Raises:
        ArtifactError: the file is damaged.
    """
    processor = processor_class(text_of(CPUINFO) if cpuinfo is None else cpuinfo)
    path = FOLDER / f"{processor}.{number}.json"
    return _read(path) if processor and path.is_file() else None


@cache
def _read(path: Path) -> LatencyTable:
    """Read a table once in a process: several stages of an export ask for it, and no file of the package changes meanwhile."""
    return read_latency_table(path)
