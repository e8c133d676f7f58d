"""How much memory arrays of images may take, and how much they need; larger ones are kept on disk (see `array_cache`)."""

from __future__ import annotations

import os
from pathlib import Path

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import ConfigError

CGROUP = Path("/sys/fs/cgroup")

LIMIT = "U3P_EDGE_MEMORY_MB"
"""Environment variable: the memory, in MB of 10^6 bytes, above which an array of images is kept on disk."""

SHARE = 0.5
"""Part of the available memory that an array of images may take without that variable; networks need the rest."""

_CONTROL_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""Limit, use and details of a container's memory, and the detail that is the use which gives way to others: the cached pages of
files. In version 2 and version 1 of Linux control groups."""


def array_bytes(inputs: int, preprocessing: Preprocessing) -> int:
    """Return the bytes of so many network inputs (float32) and their masks (uint8)."""
    return inputs * preprocessing.height * preprocessing.width * (4 * preprocessing.channels + 1)


def available_bytes(cgroup: Path = CGROUP) -> int:
    """Return the bytes that this process may still take: of the machine, or of its container where that has less."""
    import psutil  # only here: a device predicts without it

    free = int(psutil.virtual_memory().available)
    return min([free, *_container_bytes(cgroup)])


def allowed_bytes() -> int:
    """Return the bytes of memory that one array of images may take.

    Raises:
        ConfigError: `U3P_EDGE_MEMORY_MB` is not a number, or is below 0.
    """
    text = os.environ.get(LIMIT, "")
    if not text:
        return int(SHARE * available_bytes())
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = -1.0
    if not 0 <= megabytes < float("inf"):
        raise ConfigError(f"{LIMIT} cannot be {text!r}", mend="It is a number of megabytes, 0 or more.")
    return int(megabytes * 1e6)


def fits_memory(size: int) -> bool:
    """Return whether an array of so many bytes is to be kept in memory. Raises ConfigError as `allowed_bytes`."""
    return size <= allowed_bytes()


def _container_bytes(cgroup: Path) -> list[int]:
    """Return what a container's limit leaves; empty where there is none."""
    remaining = []
    for limit, used, details, reclaimable in _CONTROL_FILES:
        try:
            taken = int((cgroup / used).read_text()) - _detail(cgroup / details, reclaimable)
            remaining.append(int((cgroup / limit).read_text()) - taken)
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
    return [max(0, left) for left in remaining]


def _detail(path: Path, name: str) -> int:
    """Return a value of a control group's details; 0 where there are none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)
