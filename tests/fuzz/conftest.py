"""The sound files that are damaged, and the processes that read them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_artifacts import make_zoo

HERE = Path(__file__).parent
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
            found: dict[str, object] = json.loads(line)
            return found
        process.kill()
        self.process = None
        code = process.wait()
        return {"outcome": "killed" if ready else "hung", "text": f"exit status {code}", "peak_mb": 0}

    def _start(self) -> subprocess.Popen[str]:
        search = os.pathsep.join((str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")))
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": search},
        )
        return self.process

    def stop(self) -> None:
        """End the process; the next question starts another."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Sound files of every reader, from which the damaged ones are made."""
    from sound_files import make

    return make(make_zoo(tmp_path_factory.getbasetemp() / "zoo"), tmp_path_factory.mktemp("sound"))


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The process that reads, one for all tests: TensorFlow takes seconds to load."""
    found = Worker(tmp_path_factory.mktemp("fuzz"))
    yield found
    found.stop()
