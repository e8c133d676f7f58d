"""A process that echoes bytes from another core.

Run as `python -m benchmarks.lib.core_distance_echo DESCRIPTOR CORE`; each line of its input is a number of echoes to make.
It ends when its input ends.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from collections.abc import Callable

SIZE = 4096
"""Bytes of shared memory: the measuring process writes the first, the echo the middle one, in two lines of any cache."""

BATCH = 100
PATIENCE = 1_000_000
"""Reads of a byte before checking whether the other process is alive: some 50 ms, where a message takes a microsecond."""


def await_byte(memory: mmap.mmap, index: int, value: int, alive: Callable[[], bool]) -> None:
    """Wait with pauses until a byte is `value`. Raises ChildProcessError once the other process is gone."""
    while memory[index] != value:
        if not alive():
            raise ChildProcessError("the process that timed messages between the cores has ended")
        time.sleep(0.001)


def main(descriptor: str, core: str) -> None:
    """Echo until the input ends, or the parent process."""
    parent = os.getppid()
    os.sched_setaffinity(0, {int(core)})
    patience, middle = range(PATIENCE), SIZE // 2
    with mmap.mmap(int(descriptor), SIZE) as memory:
        for line in sys.stdin:
            for count in range(1, int(line) + 1):
                value = 1 + count % BATCH
                for _ in patience:
                    if memory[0] == value:
                        break
                else:
                    await_byte(memory, 0, value, lambda: os.getppid() == parent)
                memory[middle] = value


if __name__ == "__main__":
    main(*sys.argv[1:])
