"""Start the process of a peer, and ask it for its file, its masks and its times."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.lib.environment import BENCHMARKS
from benchmarks.peers.peer import Material, Peer, PeerError, last_line
from benchmarks.peers.worker import FILE
from u3p_edge.files.atomic import make_folder, read_json, write_json

MADE = "made.json"
"""Beside a peer's folder: the name of the file that it has made."""

SECONDS = 3600
"""A peer that takes longer to make its file has failed."""


@dataclass(frozen=True)
class Worker:
    """A process that has loaded a peer's file.

    Args:
        process: with pipes on both ends.
        log: what it prints.
        loaded: its first answer, see `benchmarks.peers.worker.serve`.
    """

    process: subprocess.Popen[str]
    log: Path
    loaded: Mapping[str, Any]

    def request(self, **values: object) -> dict[str, Any]:
        """Return the answer to a request. Raises PeerError with the reason if the process has ended."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(values) + "\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended, and its log says why
        return _read_answer(self.process, self.log)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


def make_file(peer: Peer, python: Path, material: Material, folder: Path) -> Path:
    """Let a peer make its file in a process of its own, if it has not done so yet, and return the path.

    Args:
        peer: the peer.
        python: its interpreter.
        material: what it gets.
        folder: of all peers; the file goes into one of the peer's name.

    Raises:
        PeerError: it failed; the message is the last line that it printed.
    """
    home, made = folder / peer.key, folder / f"{peer.key}.{MADE}"
    if made.exists():
        return home / str(read_json(made)["file"])
    shutil.rmtree(home, ignore_errors=True)
    make_folder(home)
    command = [
        str(python),
        "-m",
        "benchmarks.peers.worker",
        "make",
        peer.key,
        str(material.folder.resolve()),
        str(home.resolve()),
    ]
    log = folder / f"{peer.key}.make.log"
    with log.open("w", encoding="utf-8") as output:
        try:
            done = subprocess.run(
                command, stdout=output, stderr=subprocess.STDOUT, env=variables_of(python), check=False, timeout=SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"it was not done after {SECONDS / 60:.0f} minutes") from error
    text = log.read_text(encoding="utf-8", errors="replace")
    if done.returncode:
        raise PeerError(_reason(done.returncode, text))
    name = last_line(text).removeprefix(FILE)
    write_json(made, {"file": name})
    return home / name


def start_worker(peer: Peer, python: Path, file: Path, threads: int, image: Path) -> Worker:
    """Load a peer's file in a process of its own.

    Args:
        peer: the peer.
        python: its interpreter.
        file: that it has made.
        threads: of its runtime.
        image: `.npy` file of a preprocessed image.

    Raises:
        PeerError: it cannot load or run the file.
    """
    log = file.parent.parent / f"{peer.key}.{threads}.log"
    words = (peer.key, str(file.resolve()), str(threads), str(image.resolve()))
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [str(python), "-m", "benchmarks.peers.worker", "serve", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True, env=variables_of(python),
        )  # fmt: skip
    return Worker(process, log, _read_answer(process, log))


def _read_answer(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise PeerError(_reason(process.wait(), log.read_text(encoding="utf-8", errors="replace")))
    answer: dict[str, Any] = json.loads(line)
    return answer


def _reason(status: int, text: str) -> str:
    """Return why a process ended: the last line that it printed, or the signal that killed it."""
    return f"killed by signal {-status}, after: {last_line(text)}" if status < 0 else last_line(text)


def variables_of(python: Path) -> dict[str, str]:
    """Return environment variables with which an interpreter finds these modules, and TensorFlow uses tf_keras.

    Some tools run pip by themselves. So an interpreter of another environment finds no program of this one, and pip no index.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    if python != Path(sys.executable):
        kept |= {"PATH": os.pathsep.join((str(python.parent), os.defpath)), "VIRTUAL_ENV": str(python.parents[1])}
    return {
        **kept, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull,
        "PYTHONPATH": str(BENCHMARKS.parent), "TF_USE_LEGACY_KERAS": "1", "PYTHONIOENCODING": "utf-8",
    }  # fmt: skip
