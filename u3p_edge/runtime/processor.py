"""Identify the processor, as far as it decides which kernels a runtime selects."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

AVX512 = frozenset(("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"))
X86_CLASSES = (
    ("x86_avx512_vnni", AVX512 | {"avx512_vnni"}),
    ("x86_avx512", AVX512),
    ("x86_avx_vnni", frozenset(("avx2", "avx_vnni"))),
    ("x86_avx2", frozenset(("avx2",))),
)
"""Classes of x86 processors and the instruction sets that each needs, the fastest first."""

ARM_PARTS = {"0xd08": "cortex_a72", "0xd0b": "cortex_a76"}
"""Classes of Arm cores by the part number that the kernel gives."""


def describe_processor() -> str:
    """Return a text that two processors share only if runtimes select the same kernels on both: model and instruction sets."""
    entries = parse_cpuinfo(text_of(CPUINFO))
    keys = ("vendor_id", "cpu family", "model", "stepping", "model name", "CPU implementer", "CPU part", "flags", "Features")
    known = "; ".join(entries[key] for key in keys if key in entries)
    return "; ".join((platform.system(), platform.machine(), known or platform.processor()))


def processor_class(cpuinfo: str) -> str:
    """Return the class of a processor from the text of /proc/cpuinfo; "" for one of no known class.

    Runtimes select the same kernels on all processors of a class, so layers take times in the same proportions on them,
    whatever their clock.
    """
    entries = parse_cpuinfo(cpuinfo)
    flags = set(entries.get("flags", "").split())
    x86 = next((name for name, needed in X86_CLASSES if needed <= flags), "")
    return x86 or ARM_PARTS.get(entries.get("CPU part", ""), "")


def cpu_name() -> str:
    """Return the model of the processor, or of the board, as the system names it; "unknown" if it does not."""
    board = text_of(Path("/proc/device-tree/model")).strip("\0\n ")
    return parse_cpuinfo(text_of(CPUINFO)).get("model name") or board or platform.processor() or "unknown"


def parse_cpuinfo(text: str) -> Mapping[str, str]:
    """Return the first core's entries of /proc/cpuinfo."""
    first = text.split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def text_of(path: Path) -> str:
    """Return a file's text; empty if there is no such file, as on systems other than Linux."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
