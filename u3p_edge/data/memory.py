"""Compare the memory that arrays of images need with what this process may still take, before anything is read."""

from __future__ import annotations

from pathlib import Path

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import DataError

CGROUP = Path("/sys/fs/cgroup")


def array_bytes(inputs: int, preprocessing: Preprocessing) -> int:
    """Return the bytes of so many network inputs (float32) and their masks (uint8)."""
    return inputs * preprocessing.height * preprocessing.width * (4 * preprocessing.channels + 1)


def available_bytes(cgroup: Path = CGROUP) -> int:
    """Return the bytes that this process may still take: of the machine, or of its container where that has less."""
    import psutil  # only here: a device predicts without it

    free = int(psutil.virtual_memory().available)
    return min([free, *_container_bytes(cgroup)])


def check_memory(inputs: int, preprocessing: Preprocessing) -> None:
    """Raise DataError unless so many inputs and their masks fit into the memory that is available."""
    needed, available = array_bytes(inputs, preprocessing), available_bytes()
    if needed > available:
        raise DataError(
            f"{inputs:,} images of {preprocessing.height}x{preprocessing.width}x{preprocessing.channels} need "
            f"{needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are available",
            mend="All images are kept in memory: use fewer of them, a smaller --size, or a machine with more memory.",
        )


def _container_bytes(cgroup: Path) -> list[int]:
    """Return what a container's limit leaves, by version 2 and version 1 of Linux control groups; empty where there is none."""
    pairs = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
    remaining = []
    for limit, used in pairs:
        try:
            remaining.append(int((cgroup / limit).read_text()) - int((cgroup / used).read_text()))
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
    return [max(0, left) for left in remaining]
