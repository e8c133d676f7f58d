"""What a pruned network may cost, in the units of the recipe, and how a plan is fitted to it.

A plan is made by estimates (a table of measured layers, bytes of weights), because it takes thousands of them. Then the network
of that plan is measured; where it differs from its estimate, the bound is moved by their ratio, and the plan made again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.statistics import quartiles, ratio
from u3p_edge.errors import ConfigError
from u3p_edge.graph import memory
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.probe import Target, time_files, to_file
from u3p_edge.latency.quiet_timer import QuietTimer
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import LatencyTable
from u3p_edge.prune.apply import apply_plan
from u3p_edge.prune.budget import Fitted, Limit, search_plan
from u3p_edge.prune.importance import Importance
from u3p_edge.recipes.recipe import Pruning
from u3p_edge.rewrite.tiling import choose

LATENCY, SIZE, ARENA = "latency, ms", "file, MB", "arena, MB"
MB = 1_000_000
ATTEMPTS = 3
CLOSE = 0.05
"""A measured cost this near to its bound is good enough: timing itself is no more exact."""

ROOM = 0.8
"""Share of a file's budget for the network before it is rewritten: rewriting may add a tenth to its weights, and operators of
one or two kilobytes each."""

PATIENCE = 10.0
"""Seconds to wait for a calm moment, a network."""


def file_milliseconds(path: Path) -> float:
    """Of a TFLite file on this machine at one thread: the fastest of some runs, as what other programs do only ever adds."""
    return time_files([path.read_bytes()], 1, statistic=min)[0]


def int8_milliseconds() -> Callable[[Graph], float]:
    """What times a folded graph in int8 on this machine, in a calm moment, at one thread."""
    watch = QuietTimer(Target("int8"), patience=PATIENCE)
    return lambda graph: watch.times([lambda: graph], lambda: None)[0].ms


@dataclass(frozen=True)
class Budget:
    """One bound.

    Args:
        name: with its unit.
        bound: of what is weighed.
        estimate: quick, of a folded graph.
        weigh: the same quantity measured; None where it cannot be, as on another device.
        start: `weigh` (or `estimate`) of the network before it is pruned.
    """

    name: str
    bound: float
    estimate: Callable[[Graph], float]
    weigh: Callable[[Graph], float] | None
    start: float

    def real(self, graph: Graph) -> float:
        """The quantity of a folded graph as exactly as it can be had."""
        return self.estimate(graph) if self.weigh is None else self.weigh(graph)

    def at(self, share: float) -> Budget:
        """The budget on the way there: 0 is the start, 1 the bound, between them by equal factors."""
        return replace(self, bound=self.start * (self.bound / self.start) ** share)


@dataclass(frozen=True)
class PlannedNetwork:
    """A fitted plan and what its network really costs, by the budget's name."""

    fitted: Fitted
    reached: Mapping[str, float]


def budgets(
    graph: Graph, pruning: Pruning, table: LatencyTable | None, reference_ms: float | None, memory_mb: float | None = None
) -> tuple[Budget, ...]:
    """The bounds that a recipe sets for a folded graph.

    Args:
        graph: folded, before pruning.
        pruning: of the recipe.
        table: of the device that is meant; None where time is not bound.
        reference_ms: of the float32 file here, for a speed-up; None where the device is another one.
        memory_mb: of the arena of activations in strips, which come first: they cost no accuracy.
    """
    found = []
    bound = pruning.latency_budget_ms
    if pruning.speedup is not None and reference_ms is not None:
        bound = reference_ms / pruning.speedup
    if bound is not None and table is not None:
        predictor = Predictor(table)
        weigh = None if reference_ms is None else int8_milliseconds()
        found.append(_budget(LATENCY, bound, lambda g: predictor.predict(g).total_ms, weigh, graph))
    size = pruning.size_budget_mb
    if pruning.shrink is not None:
        size = len(to_file(graph, "float32")) / MB / pruning.shrink
    if size is not None:
        found.append(_budget(SIZE, ROOM * size, _weights_mb, _file_mb, graph))
    if memory_mb is not None:
        found.append(_budget(ARENA, memory_mb, _whole_mb, lambda g: _strips_mb(g, memory_mb), graph))
    return tuple(budget for budget in found if budget.bound < budget.start)


def find_missed(pruning: Pruning, result: RunResult, *, elsewhere: bool) -> tuple[str, ...]:
    """What the finished int8 file has more than was asked for, in sentences: plans are made for it before rewrites and strips.

    Args:
        pruning: of the recipe.
        result: of the export, with the float32 file as its reference.
        elsewhere: the budget is of another device, so that times here say nothing of it.
    """
    reference, int8 = result.get(result.reference), result.get("model.int8.tflite")
    if reference is None or int8 is None:
        return ()
    asked = pruning.size_budget_mb or (reference.bytes / MB / pruning.shrink if pruning.shrink else None)
    said = []
    if asked is not None and int8.bytes / MB > asked:
        said.append(f"**The int8 file has {int8.bytes / MB:.3f} MB, and {asked:.3f} MB were asked for.**")
    before, after = reference.latency(1), int8.latency(1)
    if elsewhere or before is None or after is None:
        return tuple(said)
    gain, took = ratio(before.samples_ms, after.samples_ms), quartiles(after.samples_ms).median
    if pruning.speedup is not None and gain.high < pruning.speedup:
        said.append(f"**The int8 file is {gain.median:.1f} times as fast, and {pruning.speedup:g} times were asked for.**")
    if pruning.latency_budget_ms is not None and took > (1 + CLOSE) * pruning.latency_budget_ms:
        said.append(f"**The int8 file takes {took:.2f} ms here, and {pruning.latency_budget_ms:g} ms were asked for.**")
    return tuple(said)


def check_reachable(graph: Graph, importance: Importance, wanted: Sequence[Budget]) -> None:
    """Raise ConfigError where a network with hardly a channel left is still beyond some budget.

    It is weighed, where the estimates say so: they know no layer of fewer channels than a table has, and tell too much of it.
    """
    fitted = search_plan(graph, importance, [Limit(budget.name, budget.estimate, budget.bound) for budget in wanted])
    if fitted.met:
        return
    least = apply_plan(graph, fitted.plan)
    for budget in wanted:
        left = budget.real(least)
        if left > (1 + CLOSE) * budget.bound:
            raise ConfigError(
                f"no pruning of this network reaches {budget.bound:.3g} ({budget.name}): with hardly a channel left it still "
                f"needs {left:.3g}, and {budget.start:.3g} as it is",
                mend="Ask for less: a smaller speed-up, or a larger budget.",
            )


def plan_channels(graph: Graph, importance: Importance, wanted: Sequence[Budget]) -> PlannedNetwork:
    """The plan that keeps most importance within budgets, each held by what is measured, not by what was estimated."""
    bounds = {budget.name: budget.bound for budget in wanted}
    best: PlannedNetwork | None = None
    for _ in range(ATTEMPTS):
        limits = [Limit(budget.name, budget.estimate, bounds[budget.name]) for budget in wanted]
        fitted = search_plan(graph, importance, limits)
        small = apply_plan(graph, fitted.plan)
        reached = {budget.name: budget.real(small) for budget in wanted}
        off = {budget.name: reached[budget.name] / budget.bound for budget in wanted}
        done = PlannedNetwork(fitted, reached)
        if best is None or (fitted.met and _excess(done, wanted) < _excess(best, wanted)):
            best = done
        if (max(off.values()) <= 1 + CLOSE and (min(off.values()) >= 1 - CLOSE or len(off) > 1)) or not fitted.met:
            break
        bounds = {name: bounds[name] / max(off[name], 0.5) for name in bounds}
    assert best is not None  # at least one attempt was made
    return best


def _excess(done: PlannedNetwork, wanted: Sequence[Budget]) -> float:
    """How far a plan is from its budgets: over a bound counts in full, below it for a tenth."""
    off = [done.reached[budget.name] / budget.bound - 1 for budget in wanted]
    return sum(max(part, 0.0) for part in off) + max(-max(off), 0.0) / 10


def _budget(
    name: str, bound: float, estimate: Callable[[Graph], float], weigh: Callable[[Graph], float] | None, graph: Graph
) -> Budget:
    start = estimate(graph) if weigh is None else weigh(graph)
    return Budget(name, bound, estimate, weigh, start)


def _weights_mb(graph: Graph) -> float:
    return sum(cost(graph, bytes_per_element=1).weight_bytes.values()) / MB


def _file_mb(graph: Graph) -> float:
    return len(to_file(graph, "int8")) / MB


def _whole_mb(graph: Graph) -> float:
    return memory.plan_memory(graph, bytes_per_element=1).peak / MB


def _strips_mb(graph: Graph, budget_mb: float) -> float:
    """The arena in as many strips as a budget asks for, or in those that come nearest to it."""
    return choose.choose_tiling(graph, budget_bytes=int(budget_mb * MB), bytes_per_element=1).peak / MB
