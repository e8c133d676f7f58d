"""Fill a latency table by timing on this machine: every layer that a network and its narrower versions need.

graph ─ layers ─ channel counts to time ─► each alone ─► whole networks, for the correction ─► others, to check it ─► Table

The channel counts double from 8 up to those of the network, and include the counts of its layers. Between them the time is
close to bilinear. Every time is the fastest of some runs in a quiet moment (`u3p_edge.latency.quiet_timer`): other programs can
only add time.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.clock import MINIMUM_ROUNDS, SAMPLE_MS
from u3p_edge.latency.probe import MAXIMUM_ROUNDS, SECONDS, Target
from u3p_edge.latency.quiet_timer import Build, QuietTimer, Timing, make_reference_kernel
from u3p_edge.latency.table.calibrate import CorrectionSample, check_correction, fit_correction, hold_out, measure_samples
from u3p_edge.latency.table.kind_samples import list_kind_points
from u3p_edge.latency.table.layers import MOVED, MOVES, TimedLayer, isolate_layer, list_layers
from u3p_edge.latency.table.predict import round_to_step
from u3p_edge.latency.table.table import Device, Entry, LatencyTable, LayerTimes, Steps
from u3p_edge.progress import Progress, idle
from u3p_edge.runtime.processor import CPUINFO, cpu_name, processor_class, text_of

USUAL = Steps(8, 16)
"""Typical steps, to estimate how much there is to time before anything is timed."""

CHECKS, QUICK_CHECKS = 4, 2
"""Number of whole networks of random widths that are measured at the end: usually, and in quick mode."""

AROUND = 0.05
"""Overhead of each point in seconds: its file is written and loaded, and its time cached."""

FIRST, RATIO, QUICK_RATIO = 8, 2, 4
"""The fewest channels that are timed, the ratio of one count to the next, and that ratio in quick mode."""

CANDIDATES = (32, 16, 8, 4, 2)
FLAT = 0.92
"""Least ratio of the times of 2 s + 1 and 3 s channels at which s counts as the step. If the step is s, both take equally long.
If it is half as large, the ratio is 5/6. The bound lies between the two."""


@dataclass(frozen=True)
class ChannelPoint:
    """One time to measure: a layer of a graph with other channels, as in `TimedLayer`."""

    graph: Graph
    layer: TimedLayer
    inputs: int
    outputs: int

    def build(self) -> Graph:
        """Return the layer alone."""
        return isolate_layer(self.graph, self.layer, self.inputs, self.outputs)


def measure_table(
    graph: Graph, target: Target, progress: Progress, *, quick: bool = False, checks: int = CHECKS, folder: Path | None = None
) -> LatencyTable:
    """Measure the table that a graph and every graph narrower than it need.

    Args:
        graph: a folded graph; its weights do not matter.
        target: what to time in.
        progress: shows the stages.
        quick: time fewer channel counts, further apart.
        checks: number of whole networks of random widths to measure at the end.
        folder: the cache's folder; None means `default_folder()`.

    Raises:
        ModelError: a node that has no form in the runtime.
        MissingPackageError: the runtime is not installed.
    """
    list_layers(graph)  # raises before anything is timed
    watch = QuietTimer(target, folder)
    steps = find_steps(lambda builds: [timing.ms for timing in watch.times(builds, idle)])
    wanted = list_channel_points(graph, steps, quick)
    timed = watch.times([point.build for point in wanted], progress("Time layers", len(wanted)))
    table = LatencyTable(describe_device(target), steps, _by_key(wanted, timed), disturbed=_count_disturbed(timed))
    return _corrected(table, watch, measure_samples(graph), hold_out(graph, checks), progress)


def measure_any_size(
    graph: Graph, target: Target, progress: Progress, *, checks: int = CHECKS, folder: Path | None = None
) -> LatencyTable:
    """Measure a table for networks of any size and width, with the layers of `kind_samples.SAMPLES`.

    Args:
        graph: a folded graph; it gives the whole networks for the correction and to check the table with.
        target, progress, checks, folder: as for `measure_table`.

    Raises:
        ModelError: a node that has no form in the runtime, or is of no kind that is timed.
        MissingPackageError: the runtime is not installed.
    """
    watch, points = QuietTimer(target, folder), tuple(list_kind_points())
    steps = find_steps(lambda builds: [timing.ms for timing in watch.times(builds, idle)])
    timed = watch.times([point.build for point in points], progress("Time layers", len(points)))
    layers: dict[tuple[str, int], list[Entry]] = {}
    for point, timing in zip(points, timed, strict=True):
        layer = point.layer
        layers.setdefault((layer.key, layer.pixels), []).append((layer.inputs, layer.outputs, _resolved(timing)))
    times = tuple(LayerTimes(key, tuple(sorted(entries)), pixels) for (key, pixels), entries in layers.items())
    table = LatencyTable(describe_device(target), steps, times, disturbed=_count_disturbed(timed))
    return _corrected(table, watch, measure_samples(graph, True), hold_out(graph, checks, True), progress)


def _corrected(
    table: LatencyTable,
    watch: QuietTimer,
    used: Sequence[CorrectionSample],
    unseen: Sequence[CorrectionSample],
    progress: Progress,
) -> LatencyTable:
    """Return the table with a correction fitted to the networks `used`, checked with those `unseen`."""
    step = progress("Time whole networks", len(used) + len(unseen))
    whole = watch.times([sample.build for sample in (*used, *unseen)], step)
    taken = [timing.ms for timing in whole]
    disturbed = table.disturbed + _count_disturbed(whole)
    table = replace(table, disturbed=disturbed, correction=fit_correction(table, list(zip(used, taken, strict=False))))
    return replace(table, checks=tuple(map(partial(check_correction, table), unseen, taken[len(used) :])))


def _count_disturbed(timed: Sequence[Timing]) -> int:
    return sum(timing.disturbed for timing in timed)


def _resolved(timing: Timing) -> float:
    """Return the milliseconds with three digits, or two where the machine was not quiet: more is not resolved."""
    return float(f"{timing.ms:.{2 if timing.disturbed else 3}g}")


def list_channel_points(graph: Graph, steps: Steps, quick: bool = False) -> tuple[ChannelPoint, ...]:
    """Return all points that a graph and every narrower one need, key by key, in rising order of channels.

    A convolution is timed along both axes. A pair of counts is left out unless some layer of the graph reaches both counts.
    """
    by_key: dict[str, list[TimedLayer]] = {}
    for layer in list_layers(graph):
        by_key.setdefault(layer.key, []).append(layer)
    return tuple(point for alike in by_key.values() for point in _points(graph, alike, steps, QUICK_RATIO if quick else RATIO))


def _points(graph: Graph, alike: Sequence[TimedLayer], steps: Steps, ratio: int) -> Iterable[ChannelPoint]:
    tops = {round_to_step(layer, steps) for layer in alike}
    least = MOVED if alike[0].key == MOVES else FIRST
    inputs = _axis({i for i, _ in tops}, least, ratio)
    outputs = _axis({o for _, o in tops}, max(steps.outputs // 2, 1), ratio) if tops != {(i, 0) for i, _ in tops} else (0,)
    for i in inputs:
        for o in outputs:
            if any(i <= top and o <= other for top, other in tops):
                yield ChannelPoint(graph, alike[0], i, o)


def _axis(tops: set[int], least: int, ratio: int) -> tuple[int, ...]:
    """Return the counts from `least` up, each `ratio` times the one before, together with the tops."""
    counts, count = set(tops), least
    while count < max(tops):
        counts.add(count)
        count *= ratio
    return tuple(sorted(counts))


def find_steps(measure: Callable[[Sequence[Build]], Sequence[float]]) -> Steps:
    """Find the channel steps of a 3x3 convolution from milliseconds around multiples of each candidate."""

    def find(build: Callable[[int], Graph]) -> int:
        taken = measure([partial(build, count) for s in CANDIDATES for count in (2 * s + 1, 3 * s)])
        flat = (s for s, above, upto in zip(CANDIDATES, taken[::2], taken[1::2], strict=True) if above > FLAT * upto)
        return next(flat, 1)

    return Steps(find(lambda count: make_reference_kernel(count, 32)), find(lambda count: make_reference_kernel(32, count)))


def describe_device(target: Target) -> Device:
    """Return the description of this machine."""
    system = f"{platform.system()} {platform.machine()}"
    runtime = target.runtime, target.version, target.threads, target.number
    return Device(system, cpu_name(), os.cpu_count() or 1, *runtime, processor_class(text_of(CPUINFO)))


def estimate_seconds(graphs: Iterable[Graph], target: Target) -> float:
    """Estimate how long timing graphs takes on a quiet machine, from one convolution's multiply-accumulates per second."""
    one = make_reference_kernel()
    (timing,) = QuietTimer(target, patience=0).times([lambda: one], idle)
    rate = cost(one).total_macs / timing.ms
    return sum(_seconds(cost(graph).total_macs / rate) for graph in graphs)


def _seconds(ms: float) -> float:
    sample = max(ms, SAMPLE_MS) + ms
    rounds = min(max(SECONDS * 1e3 / sample, MINIMUM_ROUNDS), MAXIMUM_ROUNDS)
    return (rounds * sample + 2 * ms) / 1e3 + AROUND


def _by_key(wanted: Sequence[ChannelPoint], timed: Sequence[Timing]) -> tuple[LayerTimes, ...]:
    entries: dict[str, list[Entry]] = {}
    for point, timing in zip(wanted, timed, strict=True):
        entries.setdefault(point.layer.key, []).append((point.inputs, point.outputs, _resolved(timing)))
    return tuple(LayerTimes(key, tuple(each)) for key, each in entries.items())
