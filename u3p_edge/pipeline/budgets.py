"""What a pruned network may cost, in the units of the recipe, and how a plan is fitted to it.

A plan is made from estimates (a table of measured layers, bytes of weights), because the search needs thousands of them. Then
the network of that plan is measured. Where it differs from its estimate, the bound is moved by their ratio and the plan is made
again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.statistics import quartiles, ratio
from u3p_edge.config.metadata import OutputKind
from u3p_edge.errors import ConfigError
from u3p_edge.graph import memory
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.logits import fit_output
from u3p_edge.latency.probe import Target, time_files, to_file
from u3p_edge.latency.quiet_timer import QuietTimer
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import LatencyTable
from u3p_edge.progress import idle
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.budget import Fitted, Limit, search_plan
from u3p_edge.pruning.importance.scores import Importance
from u3p_edge.recipes.recipe import Pruning
from u3p_edge.rewriting.tiling import choose

LATENCY, SIZE, ARENA = "latency, ms", "file, MB", "arena, MB"
MB = 1_000_000
ATTEMPTS = 3
CLOSE = 0.05
"""A measured cost this near to its bound is good enough: timing itself is no more exact."""

ROOM = 0.8
"""Share of a file's budget for the network before it is rewritten: rewriting may add a tenth to its weights, and operators of
one or two kilobytes each."""

PATIENCE = 10.0
"""Seconds to wait until the machine is quiet, for each network."""


def file_milliseconds(path: Path) -> float:
    """Measure a TFLite file on this machine at one thread: the fastest of some runs, because other programs only add time."""
    return time_files([path.read_bytes()], 1, statistic=min)[0]


def int8_milliseconds(cache: Path | None = None) -> Callable[[Graph], float]:
    """Return a function that times a folded graph in int8 on this machine, at one thread, while the machine is quiet."""
    watch = QuietTimer(Target("int8"), cache, patience=PATIENCE)
    return lambda graph: watch.times([lambda: graph], idle)[0].ms


@dataclass(frozen=True)
class Budget:
    """One bound on what a network costs.

    Args:
        name: of the quantity, with its unit.
        bound: the most that the network may have of it.
        estimate: gives a quick estimate of the quantity for a folded graph.
        measure: measures the same quantity; None where it is not measured, as on another device.
        start: the quantity of the network before it is pruned, by `measure` (or `estimate`).
    """

    name: str
    bound: float
    estimate: Callable[[Graph], float]
    measure: Callable[[Graph], float] | None
    start: float

    def real(self, graph: Graph) -> float:
        """Return the quantity for a folded graph: measured where that is possible, else estimated."""
        return self.estimate(graph) if self.measure is None else self.measure(graph)

    def at_share(self, share: float) -> Budget:
        """Return the budget at a share of the way: 0 is the start, 1 the bound, and equal shares are equal factors."""
        return replace(self, bound=self.start * (self.bound / self.start) ** share)


@dataclass(frozen=True)
class PlannedNetwork:
    """A fitted plan, and what its network costs as measured, by the budget's name."""

    fitted: Fitted
    reached: Mapping[str, float]

    def to_plain(self) -> dict[str, Any]:
        """Return the values of a `PlanDecision`."""
        return {"plan": json.loads(self.fitted.plan.to_json()), "reached": dict(self.reached)}


def budgets(
    graph: Graph,
    pruning: Pruning,
    table: LatencyTable | None,
    reference_ms: float | None,
    memory_mb: float | None = None,
    *,
    measure: Callable[[Graph], float] | None = None,
    output: OutputKind = "probabilities",
) -> tuple[Budget, ...]:
    """Return the bounds that a recipe sets for a folded graph.

    Args:
        graph: folded, before pruning.
        pruning: the recipe's options.
        table: latencies of the target device; None where time is not bound.
        reference_ms: milliseconds of the original network in float32, for a speed-up; None where they are not known.
        memory_mb: bound of the activation arena under spatial tiling, which comes first: it costs no accuracy.
        measure: measures the milliseconds of a folded graph in int8; None to go by the table alone.
        output: what the files give. Without probabilities the time is that up to the logits: labels add little to it.
    """

    def written(priced: Callable[[Graph], float]) -> Callable[[Graph], float]:
        return lambda made: priced(fit_output(made, output))

    bounds = []
    bound = pruning.latency_budget_ms
    if pruning.speedup is not None and reference_ms is not None:
        bound = reference_ms / pruning.speedup
    if bound is not None and table is not None:
        predictor = Predictor(table)
        predict = written(lambda made: predictor.predict(made).total_ms)
        bounds.append(_budget(LATENCY, bound, predict, None if measure is None else written(measure), graph))
    size = pruning.size_budget_mb
    if pruning.shrink is not None:
        size = len(to_file(graph, "float32")) / MB / pruning.shrink
    if size is not None:
        bounds.append(_budget(SIZE, ROOM * size, _weights_mb, _file_mb, graph))
    if memory_mb is not None:
        bounds.append(_budget(ARENA, memory_mb, _whole_mb, lambda g: _tiled_mb(g, memory_mb), graph))
    return tuple(budget for budget in bounds if budget.bound < budget.start)


def find_missed(pruning: Pruning, result: RunResult, *, elsewhere: bool) -> tuple[str, ...]:
    """Return sentences on what the finished int8 file exceeds: plans are made for it before rewrites and spatial tiling.

    Args:
        pruning: the recipe's options.
        result: measurements of the export, with the float32 file as their reference.
        elsewhere: the budget is for another device, so times measured here say nothing about it.
    """
    reference, int8 = result.get(result.reference), result.get("model.int8.tflite")
    if reference is None or int8 is None:
        return ()
    asked = pruning.size_budget_mb or (reference.bytes / MB / pruning.shrink if pruning.shrink else None)
    sentences = []
    if asked is not None and int8.bytes / MB > asked:
        sentences.append(f"**The int8 file has {int8.bytes / MB:.3f} MB, and {asked:.3f} MB were asked for.**")
    before, after = reference.latency(1), int8.latency(1)
    if elsewhere or before is None or after is None:
        return tuple(sentences)
    gain, took = ratio(before.samples_ms, after.samples_ms), quartiles(after.samples_ms).estimate
    if pruning.speedup is not None and gain.high < pruning.speedup:
        sentences.append(
            f"**The int8 file is {gain.estimate:.1f} times as fast, and {pruning.speedup:g} times were asked for.**"
        )
    if pruning.latency_budget_ms is not None and took > (1 + CLOSE) * pruning.latency_budget_ms:
        sentences.append(f"**The int8 file takes {took:.2f} ms here, and {pruning.latency_budget_ms:g} ms were asked for.**")
    return tuple(sentences)


def check_reachable(graph: Graph, importance: Importance, wanted: Sequence[Budget]) -> None:
    """Raise ConfigError where even a network with hardly a channel left exceeds a budget.

    Where the estimates say so, that network is measured: the table has no layer of so few channels, and its estimates are then
    too high.
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
    """Return the plan that keeps the most importance within budgets, by measured costs and not by estimates."""
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
    name: str, bound: float, estimate: Callable[[Graph], float], measure: Callable[[Graph], float] | None, graph: Graph
) -> Budget:
    start = estimate(graph) if measure is None else measure(graph)
    return Budget(name, bound, estimate, measure, start)


def _weights_mb(graph: Graph) -> float:
    return sum(cost(graph, bytes_per_element=1).weight_bytes.values()) / MB


def _file_mb(graph: Graph) -> float:
    return len(to_file(graph, "int8")) / MB


def _whole_mb(graph: Graph) -> float:
    return memory.plan_memory(graph, bytes_per_element=1).peak / MB


def _tiled_mb(graph: Graph, budget_mb: float) -> float:
    """Return the arena in MB, with as many tiles (of rows) as a budget asks for, or those that come nearest to it."""
    return choose.choose_tiling(graph, budget_bytes=int(budget_mb * MB), bytes_per_element=1).peak / MB
