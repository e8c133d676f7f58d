"""The memory of this process, followed while it works. Only Linux tells memory without a file from cached pages of files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from u3p_edge.progress import Step


def read_memory() -> tuple[float, float]:
    """Return the resident memory that no file backs, and the cached pages of mapped files, in MB of 10^6 bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return int(values["RssAnon"]) * 1024 / 1e6, int(values["RssFile"]) * 1024 / 1e6


@dataclass
class MemoryCurve:
    """A `Progress` that reads the memory after every `every`-th step.

    Args:
        every: steps between two readings.
        points: by stage, (steps done, MB without a file, MB of mapped files).
    """

    every: int
    points: dict[str, list[tuple[int, float, float]]] = field(default_factory=dict)

    def __call__(self, stage: str, _steps: int, /) -> Step:
        """Begin a stage."""
        curve, done = self.points.setdefault(stage, []), 0

        def step(_status: str = "", /) -> None:
            nonlocal done
            done += 1
            if done % self.every == 0:
                curve.append((done, *read_memory()))

        return step

    def note(self, sentence: str, /) -> None:
        """Notes change no memory."""
