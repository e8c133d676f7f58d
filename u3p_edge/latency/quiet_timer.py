"""Milliseconds of many graphs, each taken while the machine is calm.

Graphs that are never compared side by side need times of one and the same machine, and a machine that does other things too is
for seconds or minutes half as fast. So a yardstick, a small convolution, is timed before and after each graph. What was
timed while the yardstick took longer than it ever takes is timed again later, as long as patience lasts. Each graph keeps its
fastest time. All are remembered one by one, so an interrupted run goes on where it was.

Programs that share a core take turns of some milliseconds. With one thread the turns of others are left out: what is counted is
the time that the processor spent on this process, which on a calm machine is the time that passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.cache import FILE, Measure, cached, default_folder
from u3p_edge.latency.probe import Clock, Target, interleave_calls, to_file
from u3p_edge.runtime.tflite_raw import BareModel, open_bare

FOLDER = "device"
"""Within the cache's folder; numbered for times that were taken again."""

SLOWER = 1.15
"""A yardstick that takes so many times its best was slowed by something else."""

PASSES = 6
PATIENCE = 30.0
"""Seconds for taking times again, a call; then they are kept as they are."""

WAIT, NAP = 2.0, 0.1
"""Seconds to wait for a calm moment before a time is taken again, and between two looks."""

YARD_MS = 15.0
"""Milliseconds of yardsticks on end."""

FINE = 1e-6
"""Seconds that a clock of the processor's time must tell apart, to be used."""

Build = Callable[[], Graph]
"""Makes a graph when its turn comes: many large ones are not held at the same time."""


@dataclass(frozen=True)
class Timing:
    """Of one graph: milliseconds of its fastest run, and whether the machine was never calm while it was timed."""

    ms: float
    disturbed: bool


@dataclass
class QuietTimer:
    """Times graphs in a target, and learns meanwhile how fast the machine can be.

    Args:
        target: to time in.
        folder: of the cache; None means `default_folder()`.
        patience: see `PATIENCE`.
    """

    target: Target
    folder: Path | None = None
    patience: float = PATIENCE
    _best: float = field(init=False, default=float("inf"))
    _yardstick: BareModel | None = field(init=False, default=None)

    def times(self, builds: Sequence[Build], advance: Callable[[], object]) -> tuple[Timing, ...]:
        """Of each graph; `advance` is called once for each. Raises ModelError and RuntimeMissingError as `probe.measure`."""
        found: list[tuple[float, float]] = []
        for build in builds:
            found.append(self._pass(0, build()))
            advance()
        end = time.monotonic() + self.patience
        for number in range(1, PASSES):
            for place, (ms, yard) in enumerate(found):
                if self._slowed(yard) and time.monotonic() < end:
                    other, calmer = self._pass(number, builds[place]())
                    found[place] = min(ms, other), min(yard, calmer)
        return tuple(Timing(ms, self._slowed(yard)) for ms, yard in found)

    def _slowed(self, yard: float) -> bool:
        return yard > SLOWER * self._best

    def _pass(self, number: int, graph: Graph) -> tuple[float, float]:
        """Milliseconds of the graph and of the yardstick beside it."""
        part = f"{FOLDER}-{number}" if number else FOLDER
        known: Measure = cached(partial(self._beside, bool(number)), self.target, self._root / part)
        ms, yard = known((graph, reference_kernel()))
        self._best = min(self._best, yard)
        return ms, yard

    @property
    def _root(self) -> Path:
        return default_folder() if self.folder is None else self.folder

    def _beside(self, patient: bool, graphs: Sequence[Graph]) -> tuple[float, float]:
        file = to_file(graphs[0], self.target.number)
        before = self._yard()
        end = time.monotonic() + (WAIT if patient else 0.0)
        while self._slowed(before) and time.monotonic() < end:
            time.sleep(NAP)
            before = self._yard()
        ms = self._fastest(file)
        return ms, max(before, self._yard())

    def _fastest(self, file: bytes) -> float:
        model = open_bare(file, self.target.threads)
        rough = min(self._once(model), self._once(model))  # the first run also touches all memory for the first time
        (samples,) = interleave_calls((model.run,), (rough,), self._clock)
        return min(samples)

    def _yard(self) -> float:
        """Milliseconds of the yardstick, the mean of some runs on end."""
        if self._yardstick is None:
            self._yardstick = open_bare(to_file(reference_kernel(), self.target.number), self.target.threads)
        self._yardstick.run()  # finds other things in the caches
        took: list[float] = []
        while sum(took) < YARD_MS:
            took.append(self._once(self._yardstick))
        return mean(took)

    def _once(self, model: BareModel) -> float:
        begin = self._clock()
        model.run()
        return max(self._clock() - begin, 1) / 1e6

    @property
    def _clock(self) -> Clock:
        fine = time.get_clock_info("process_time").resolution < FINE
        return time.process_time_ns if self.target.threads == 1 and fine else time.perf_counter_ns


def reference_kernel(inputs: int = 64, outputs: int = 64, size: int = 48) -> Graph:
    """A 3x3 convolution over a square map; as it is, the yardstick."""
    kernel = np.full((3, 3, inputs, outputs), 0.01, np.float32)
    nodes = (
        Node("x", "input", (), {"shape": (1, size, size, inputs)}),
        Node("y", "conv", ("x",), {"padding": "same"}, {"kernel": kernel}),
    )
    return Graph(nodes, ("x",), ("y",))


def forget(folder: Path | None = None) -> None:
    """Remove what was remembered of any target. `folder` is that of the cache; None means `default_folder()`."""
    for file in (default_folder() if folder is None else folder).glob(f"{FOLDER}*/{FILE}"):
        file.unlink(missing_ok=True)
