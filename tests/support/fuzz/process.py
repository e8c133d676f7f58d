"""A process that reads damaged files, as its parent sees it."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import REPOSITORY

PATIENCE = 300.0
"""Seconds without an answer after which a reader hangs. A sound file takes well below one; the machine may be busy."""


@dataclass
class Worker:
    """A child process that reads; a new one is started where the last died."""

    folder: Path
    process: subprocess.Popen[str] | None = None

    def ask(self, reader: str, data: bytes, suffix: str, beside: Path | None = None) -> dict[str, object]:
        """What comes of a file with these bytes; a death by a signal is the outcome "killed"."""
        path = (beside or self.folder) / f"input{suffix}"
        path.write_bytes(data)
        process = self.process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{reader}\t{path}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        line = process.stdout.readline() if ready else ""
        if line:
            value: dict[str, object] = json.loads(line)
            return value
        process.kill()
        self.process = None
        code = process.wait()
        return {"outcome": "killed" if ready else "hung", "text": f"exit status {code}", "peak_mb": 0}

    def _start(self) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fuzz.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=REPOSITORY,
        )
        return self.process

    def stop(self) -> None:
        """End the process; the next question starts another."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
