"""A process that echoes bytes from another core.

Run as `python -m u3p_edge.benchmark.core_distance_echo DESCRIPTOR CORE`; each line of its input asks for that many echoes.
It ends with its input.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from collections.abc import Callable

SIZE = 4096
"""Bytes of the shared memory: the first is written here, the one in the middle there, in two lines of any cache."""

BATCH = 100
PATIENCE = 1_000_000
"""Looks at a byte before asking whether the other side still lives: some 50 ms, where a message takes a microsecond."""


def await_byte(memory: mmap.mmap, place: int, value: int, alive: Callable[[], bool]) -> None:
    """Wait for a byte to be `value` without haste. Raises ChildProcessError once the other side is gone."""
    while memory[place] != value:
        if not alive():
            raise ChildProcessError("the process that timed messages between the cores has ended")
        time.sleep(0.001)


def main(descriptor: str, core: str) -> None:
    """Echo until the input ends, or the process that asked."""
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
