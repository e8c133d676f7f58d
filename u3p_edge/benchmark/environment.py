"""The machine and libraries that a measurement belongs to; nothing in it names the host or its user."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from u3p_edge.benchmark.result import Environment
from u3p_edge.runtime.packages import installed_version
from u3p_edge.runtime.processor import CPUINFO, cpu_name, parse_cpuinfo, text_of

SMALL = 10_000_000
"""Bytes of a file below which one thread is enough. A UNet 3+ of base width 16 has less in float32; on a busy machine of two
cores, two threads took 57 s for 80 images of such a network where one took 6 s."""

LIBRARIES = ("u3p-edge", "ai-edge-litert", "onnxruntime", "openvino", "numpy")
FEATURES = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "i8mm", "sve", "sve2", "bf16",
)  # fmt: skip
"""Processor features, as Linux names them in /proc/cpuinfo, by which XNNPACK and ONNX Runtime select int8 and float kernels."""


def describe_environment() -> Environment:
    """Return the environment of this process."""
    cpuinfo = parse_cpuinfo(text_of(CPUINFO))
    return Environment(
        system=f"{platform.system()} {platform.release()}".strip(),
        machine=platform.machine(),
        cpu=cpu_name(),
        features=tuple(f for f in FEATURES if f in (cpuinfo.get("flags") or cpuinfo.get("Features") or "").split()),
        cores=available_cores(),
        memory_mb=_memory_mb(),
        python=platform.python_version(),
        libraries=tuple((name, version) for name in LIBRARIES if (version := installed_version(name))),
    )


def available_cores() -> int:
    """Return the number of cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def scoring_threads(path: Path) -> int:
    """Return the threads for a model file whose results count and whose time does not: one for a small network, else all cores.

    The operators of a small network take microseconds, and LiteRT's threads spin while they wait for each other between them.
    Where another program has one of the cores, each wait lasts as long as the other's turn.
    """
    return available_cores() if path.is_file() and path.stat().st_size >= SMALL else 1


def _memory_mb() -> float:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6, 1)
    except (AttributeError, ValueError, OSError):
        return 0.0
