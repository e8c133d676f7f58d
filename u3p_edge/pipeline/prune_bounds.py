"""Find what a pruned network may cost: the bounds of the recipe, and the latency table that they are checked by."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.latency.probe import Target
from u3p_edge.latency.table.measure import measure_table
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import LatencyTable, read_latency_table
from u3p_edge.pipeline.budgets import Budget, budgets, file_milliseconds, int8_milliseconds
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.decisions import BudgetDecision
from u3p_edge.pipeline.latencies import find_latencies
from u3p_edge.pipeline.quantize import float_tflite
from u3p_edge.recipes.recipe import Pruning, check_device


@dataclass(frozen=True)
class Bounds:
    """What a pruned network may cost, the latency table that says what it does cost, and how that is known, in sentences."""

    table: LatencyTable | None
    wanted: tuple[Budget, ...]
    notes: tuple[str, ...] = ()

    def to_decision(self) -> dict[str, Any]:
        """Return the values of a `BudgetDecision`."""
        by_name = {budget.name: budget.bound for budget in self.wanted}
        return dataclasses.asdict(BudgetDecision(by_name, self.table, self.notes))


def find_bounds(context: Context, pruning: Pruning) -> Bounds:
    """Return the bounds, and the latency table of the device or of this machine; no table where time is not bound.

    Raises:
        ConfigError: a speed-up against float was asked for on a device that is not this one.
        ModelError: a layer that has no TFLite form, or that a device's table lacks.
    """
    graph, memory_mb = fold_batch_norm(context.original.graph), context.recipe.tiling.memory_budget_mb
    price = partial(budgets, graph, pruning, memory_mb=memory_mb, output=context.recipe.output)
    if context.device is not None:
        check_device(pruning)
        table = read_latency_table(context.device)
        return Bounds(table, price(table, None))
    if pruning.speedup is None and pruning.latency_budget_ms is None:
        return Bounds(None, price(None, None))
    known, floats = (find_latencies(graph, number, context.recipe) for number in ("int8", "float32"))
    if known.table is not None and floats.table is not None:
        predicted_ms = Predictor(floats.table).predict(graph).total_ms
        reference_ms = context.staging.decide("reference_ms", lambda: predicted_ms)
        note = f"What channels cost comes from {known.source}."
        return Bounds(known.table, price(known.table, reference_ms), (note,))
    table = measure_table(graph, Target("int8"), context.progress, quick=True, checks=0, folder=context.cache)
    reference = float_tflite(context.original, context)
    reference_ms = context.staging.decide("reference_ms", lambda: file_milliseconds(reference))
    wanted = price(table, reference_ms, measure=int8_milliseconds(context.cache))
    return Bounds(table, wanted, tuple(note for note in (known.note or floats.note,) if note))
