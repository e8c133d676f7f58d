"""Quiet timer: milliseconds of many graphs, each measured while the machine is quiet.

Graphs that are not timed side by side need times from a machine in one and the same state. A machine that also runs other
programs may be half as fast for seconds or minutes. So a reference kernel, a small convolution, is timed before and after each
graph. If the reference kernel took clearly longer than its best time, the graph is timed again later, until the patience runs
out. Each graph keeps its fastest time. Every time is cached separately, so an interrupted run continues where it stopped.

With one thread the clock counts the processor time of this process, see `clock.processor_clock`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np

from u3p_edge.cache import default_folder
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.cache import FILE, Measure, cache_measure
from u3p_edge.latency.clock import Clock, milliseconds, processor_clock
from u3p_edge.latency.probe import Target, time_calls, to_file
from u3p_edge.progress import Step
from u3p_edge.runtime.tflite_raw import RawModel, open_raw

FOLDER = "device"
"""Subfolder of the cache; a number is appended for each later pass that takes times again."""

SLOWER = 1.15
"""If the reference kernel takes more than this many times its best time, other programs slowed it down."""

PASSES = 6
PATIENCE = 30.0
"""Seconds that one call may spend on taking times again; after that the times are kept unchanged."""

WAIT, NAP = 2.0, 0.1
"""Seconds to wait at most for a quiet moment before a time is taken again, and seconds between two attempts."""

REFERENCE_MS = 15.0
"""The reference kernel runs repeatedly until it took this many milliseconds in total."""

Build = Callable[[], Graph]
"""Builds a graph when its turn comes, so that many large ones are not in memory at the same time."""


@dataclass(frozen=True)
class Timing:
    """The time of one graph: milliseconds of its fastest run, and whether the machine was never quiet while it was timed."""

    ms: float
    disturbed: bool


@dataclass
class QuietTimer:
    """Times graphs in a target, and tracks the best time of the reference kernel meanwhile.

    Args:
        target: what to time in.
        folder: the cache's folder; None means `default_folder()`.
        patience: see `PATIENCE`.
    """

    target: Target
    folder: Path | None = None
    patience: float = PATIENCE
    _best: float = field(init=False, default=float("inf"))
    _reference: RawModel | None = field(init=False, default=None)

    def times(self, builds: Sequence[Build], step: Step) -> tuple[Timing, ...]:
        """Time each graph; `step` is called once for each.

        Raises ModelError and MissingPackageError as `probe.measure_graphs` does.
        """
        measured: list[tuple[float, float]] = []
        for build in builds:
            measured.append(self._pass(0, build()))
            step()
        end = time.monotonic() + self.patience
        for number in range(1, PASSES):
            for index, (ms, reference_ms) in enumerate(measured):
                if self._slowed(reference_ms) and time.monotonic() < end:
                    again = self._pass(number, builds[index]())
                    measured[index] = min(ms, again[0]), min(reference_ms, again[1])
        return tuple(Timing(ms, self._slowed(reference_ms)) for ms, reference_ms in measured)

    def _slowed(self, reference_ms: float) -> bool:
        return reference_ms > SLOWER * self._best

    def _pass(self, number: int, graph: Graph) -> tuple[float, float]:
        """Return the milliseconds of the graph, and of the reference kernel before or after it, whichever is greater."""
        part = f"{FOLDER}-{number}" if number else FOLDER
        known: Measure = cache_measure(partial(self._beside, bool(number)), self.target, self._root / part)
        ms, reference_ms = known((graph, make_reference_kernel()))
        self._best = min(self._best, reference_ms)
        return ms, reference_ms

    @property
    def _root(self) -> Path:
        return default_folder() if self.folder is None else self.folder

    def _beside(self, patient: bool, graphs: Sequence[Graph]) -> tuple[float, float]:
        file = to_file(graphs[0], self.target.number)
        before = self._reference_ms()
        end = time.monotonic() + (WAIT if patient else 0.0)
        while self._slowed(before) and time.monotonic() < end:
            time.sleep(NAP)
            before = self._reference_ms()
        ms = self._fastest(file)
        return ms, max(before, self._reference_ms())

    def _fastest(self, file: bytes) -> float:
        model = open_raw(file, self.target.threads)
        # The first run also touches all memory for the first time.
        rough = min(milliseconds(model.run, self._clock), milliseconds(model.run, self._clock))
        (samples,) = time_calls((model.run,), (rough,), self._clock)
        return min(samples)

    def _reference_ms(self) -> float:
        """Measure the milliseconds of the reference kernel: the mean of some consecutive runs."""
        if self._reference is None:
            self._reference = open_raw(to_file(make_reference_kernel(), self.target.number), self.target.threads)
        run = self._reference.run
        ms = [milliseconds(run, self._clock, warm_up=True)]
        while sum(ms) < REFERENCE_MS:
            ms.append(milliseconds(run, self._clock))
        return mean(ms)

    @property
    def _clock(self) -> Clock:
        return processor_clock(self.target.threads)


def make_reference_kernel(inputs: int = 64, outputs: int = 64, size: int = 48) -> Graph:
    """Return a 3x3 convolution over a square map; with the default sizes it is the reference kernel."""
    kernel = np.full((3, 3, inputs, outputs), 0.01, np.float32)
    nodes = (
        Node("x", "input", (), {"shape": (1, size, size, inputs)}),
        Node("y", "conv", ("x",), {"padding": "same"}, {"kernel": kernel}),
    )
    return Graph(nodes, ("x",), ("y",))


def forget(folder: Path | None = None) -> None:
    """Remove the cached times of all targets. `folder` is the cache's folder; None means `default_folder()`."""
    for file in (default_folder() if folder is None else folder).glob(f"{FOLDER}*/{FILE}"):
        file.unlink(missing_ok=True)
