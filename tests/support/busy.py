"""A machine on which other programs compute."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

PROGRAMS = 2


@contextlib.contextmanager
def busy_machine() -> Iterator[None]:
    """Keep `PROGRAMS` other processes computing during the block, so that threads are delayed and end in another order."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(PROGRAMS)]
    try:
        yield
        assert all(process.poll() is None for process in started), "the machine was not busy to the end"
    finally:
        for process in started:
            process.kill()
            process.wait()
