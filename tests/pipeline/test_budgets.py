"""Bounds in the recipe's units, and plans that hold them by what is measured.

What is estimated and measured here are plain functions of a graph, so that it is known by how much they differ.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import numpy as np
import pytest

from tests.support.latency_tables import made_up, two_scales
from tests.support.sample_results import result
from u3p_edge.errors import ConfigError
from u3p_edge.graph import memory
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.probe import to_file
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.pipeline.budgets import (
    ARENA,
    ATTEMPTS,
    CLOSE,
    LATENCY,
    MB,
    ROOM,
    SIZE,
    Budget,
    budgets,
    check_reachable,
    find_missed,
    int8_milliseconds,
    plan_channels,
)
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.importance.scores import Importance
from u3p_edge.recipes.recipe import Pruning

GRAPH = two_scales()
TABLE = made_up()
WHOLE_MS = Predictor(TABLE).predict(GRAPH).total_ms
IMPORTANCE: Importance = {"fine": np.arange(1.0, 17), "coarse": np.arange(1.0, 33)}


def macs(graph: Graph) -> float:
    return float(cost(graph).total_macs)


def parameters(graph: Graph) -> float:
    return float(cost(graph).parameters)


def budget(
    share: float,
    weigh: Callable[[Graph], float] | None,
    estimate: Callable[[Graph], float] = macs,
    name: str = "MACs",
) -> Budget:
    """So much of what the whole network costs as it is measured, or estimated where it is not."""
    start = (weigh or estimate)(GRAPH)
    return Budget(name, share * start, estimate, weigh, start)


def bounds(pruning: Pruning, reference_ms: float | None = None, memory_mb: float | None = None) -> dict[str, float]:
    return {budget.name: budget.bound for budget in budgets(GRAPH, pruning, TABLE, reference_ms, memory_mb)}


# --- which


def test_a_file_without_probabilities_is_priced_without_their_activation() -> None:
    last = GRAPH[GRAPH.outputs[0]]
    activation = Predictor(TABLE).predict(GRAPH).nodes[last.name]
    assert activation > 0
    pruning = Pruning(latency_budget_ms=WHOLE_MS / 2)
    for output, expected in (("probabilities", WHOLE_MS), ("logits", WHOLE_MS - activation), ("labels", WHOLE_MS - activation)):
        (bound,) = budgets(GRAPH, pruning, TABLE, None, output=output)  # type: ignore[arg-type]  # a tuple holds str
        assert bound.start == pytest.approx(expected)
        (timed,) = budgets(GRAPH, pruning, TABLE, None, output=output, measure=macs)  # type: ignore[arg-type]
        assert timed.start == macs(GRAPH)


def test_only_what_is_exceeded_is_a_budget() -> None:
    int8 = len(to_file(GRAPH, "int8")) / MB
    assert bounds(Pruning(latency_budget_ms=2 * WHOLE_MS, size_budget_mb=2 * int8)) == {}
    assert bounds(Pruning(latency_budget_ms=WHOLE_MS / 2, size_budget_mb=2 * int8)) == {LATENCY: WHOLE_MS / 2}
    assert bounds(Pruning(latency_budget_ms=2 * WHOLE_MS, size_budget_mb=int8 / 2)) == {SIZE: ROOM * int8 / 2}
    assert bounds(Pruning(latency_budget_ms=WHOLE_MS / 2, size_budget_mb=int8 / 2)).keys() == {LATENCY, SIZE}


def test_a_file_has_room_for_what_rewriting_adds() -> None:
    int8 = len(to_file(GRAPH, "int8")) / MB
    assert bounds(Pruning(size_budget_mb=1.01 * int8 / ROOM)) == {}
    assert bounds(Pruning(size_budget_mb=0.99 * int8 / ROOM)) == {SIZE: pytest.approx(0.99 * int8)}


def test_a_share_of_the_file_is_of_the_float32_file() -> None:
    float32 = len(to_file(GRAPH, "float32")) / MB
    assert bounds(Pruning(shrink=10)) == {SIZE: pytest.approx(ROOM * float32 / 10)}


def test_a_speedup_is_against_the_float32_milliseconds_and_measured_here() -> None:
    now = int8_milliseconds()(GRAPH)
    assert bounds(Pruning(speedup=4), reference_ms=now) == {LATENCY: now / 4}
    (found,) = budgets(GRAPH, Pruning(speedup=4), TABLE, now, measure=int8_milliseconds())
    # The start is this machine's, whatever the table of some other one says, and remembered.
    assert (found.start, found.real(GRAPH)) == (now, now)
    assert found.estimate(GRAPH) == WHOLE_MS
    assert bounds(Pruning(speedup=4), reference_ms=4 * WHOLE_MS) == {}


def test_on_another_device_the_table_is_all_there_is() -> None:
    (found,) = budgets(GRAPH, Pruning(latency_budget_ms=WHOLE_MS / 3), TABLE, None)
    assert found.measure is None
    assert found.start == found.real(GRAPH) == WHOLE_MS


def test_memory_is_a_budget_where_no_tiles_meet_it() -> None:
    whole, latency = memory.plan_memory(GRAPH, bytes_per_element=1).peak / MB, Pruning(latency_budget_ms=2 * WHOLE_MS)
    assert bounds(latency, memory_mb=whole) == {}
    assert bounds(latency, memory_mb=whole / 8) == {ARENA: whole / 8}


# --- the way there


def test_the_way_there_is_by_equal_factors() -> None:
    whole = budget(1 / 16, macs)
    assert whole.at_share(0).bound == whole.start
    assert whole.at_share(1).bound == pytest.approx(whole.bound)
    on_the_way = [whole.at_share(share).bound for share in (0, 0.25, 0.5, 0.75, 1)]
    assert [b / a for a, b in itertools.pairwise(on_the_way)] == pytest.approx([0.5] * 4)
    assert (whole.at_share(0.5).start, whole.at_share(0.5).measure) == (whole.start, macs)


# --- within reach


def test_what_hardly_a_channel_is_left_for_is_within_reach() -> None:
    check_reachable(GRAPH, IMPORTANCE, [budget(0.9, None), budget(0.01, None, parameters, "parameters")])


def test_what_no_channels_could_reach_is_refused_and_says_what_is_left() -> None:
    """As with a time that every operator takes, however narrow it is."""
    offset = 0.3 * macs(GRAPH)
    beyond = budget(0.2, None, lambda graph: macs(graph) + offset, "fixed MACs")
    with pytest.raises(ConfigError) as error:
        check_reachable(GRAPH, IMPORTANCE, [budget(0.9, None, parameters, "parameters"), beyond])
    assert f"reaches {beyond.bound:.3g} (fixed MACs)" in str(error.value)
    left = float(re.findall(r"still needs ([\d.e+]+),", str(error.value))[0])
    assert offset < left < 1.1 * offset
    assert "Ask for less" in str(error.value)


def test_an_estimate_that_tells_too_much_refuses_nothing() -> None:
    """As one from a table does of fewer channels than it was filled with."""
    check_reachable(GRAPH, IMPORTANCE, [budget(0.2, macs, lambda graph: macs(graph) + 0.3 * macs(GRAPH))])


# --- plans


@pytest.mark.parametrize("factor", [0.4, 1.0, 1.3, 3.0])
def test_a_bound_is_held_by_what_is_measured_not_by_what_was_estimated(factor: float) -> None:
    wanted = budget(0.5, lambda graph: factor * macs(graph))
    result = plan_channels(GRAPH, IMPORTANCE, [wanted])
    small = apply_plan(GRAPH, result.fitted.plan)
    assert result.reached == {"MACs": factor * macs(small)}
    # A channel of the coarse convolution is 9 * 16 * 16 + 64 of 83 k products, 3 %: more than one below it was not asked for.
    assert 0.5 * (1 - 2 * CLOSE) <= result.reached["MACs"] / wanted.start <= 0.5 * (1 + CLOSE)


def test_an_estimate_that_lacks_a_part_that_stays_is_corrected() -> None:
    """As one from a table is that knows nothing of what it takes to start: by one ratio it would be off again."""
    offset = 0.3 * macs(GRAPH)
    wanted = budget(0.6, lambda graph: macs(graph) + offset)
    result = plan_channels(GRAPH, IMPORTANCE, [wanted])
    uncorrected = plan_channels(GRAPH, IMPORTANCE, [budget(0.6, None)])
    assert macs(apply_plan(GRAPH, uncorrected.fitted.plan)) + offset > (1 + CLOSE) * wanted.bound
    assert result.reached["MACs"] <= (1 + CLOSE) * wanted.bound


def test_without_a_measure_the_estimate_is_what_is_reached() -> None:
    wanted = budget(0.4, None)
    result = plan_channels(GRAPH, IMPORTANCE, [wanted])
    assert result.reached == {"MACs": macs(apply_plan(GRAPH, result.fitted.plan))}
    assert result.reached["MACs"] <= wanted.bound


def test_every_one_of_several_bounds_is_held() -> None:
    wanted = [
        budget(0.5, lambda graph: 1.5 * macs(graph)),
        budget(0.7, lambda graph: 0.8 * parameters(graph), parameters, "parameters"),
    ]
    result = plan_channels(GRAPH, IMPORTANCE, wanted)
    assert result.reached.keys() == {"MACs", "parameters"}
    assert all(result.reached[each.name] <= (1 + CLOSE) * each.bound for each in wanted)


def test_the_least_important_channels_go() -> None:
    kept = plan_channels(GRAPH, IMPORTANCE, [budget(0.5, macs)]).fitted.plan.kept
    for name, elements in kept.items():
        size = len(IMPORTANCE[name])
        assert elements == tuple(range(size - len(elements), size))
    assert sum(map(len, kept.values())) < 48


def test_a_measure_that_wavers_is_asked_a_few_times_and_its_best_plan_is_taken() -> None:
    factors = iter([1.4, 1.2, 1.6, 0.1])
    wanted = budget(0.5, None)
    asked: list[float] = []

    def wavers(_: Graph) -> float:
        asked.append(next(factors) * wanted.bound)
        return asked[-1]

    result = plan_channels(GRAPH, IMPORTANCE, [Budget("MACs", wanted.bound, macs, wavers, wanted.start)])
    assert len(asked) == ATTEMPTS
    assert result.reached == {"MACs": 1.2 * wanted.bound}


def test_a_bound_that_cannot_be_met_gives_the_plan_that_comes_nearest() -> None:
    wanted = budget(1e-6, macs)
    result = plan_channels(GRAPH, IMPORTANCE, [wanted])
    assert not result.fitted.met
    # One fine channel is left, 3 * 3 products at 8x8 and one for the mask; the coarse ones are gone and their half of what
    # is joined with them.
    assert result.reached == {"MACs": 9 * 64 + 64}


# --- what the finished file has


def test_a_file_within_its_budgets_is_not_spoken_of() -> None:
    # The file has 1 of 4 MB and takes 0.3 of float's time: 3.3 times as fast, give or take 1 %.
    assert find_missed(Pruning(speedup=3, shrink=4), result(), elsewhere=False) == ()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Pruning(shrink=5), "**The int8 file has 1.000 MB, and 0.800 MB were asked for.**"),
        (Pruning(size_budget_mb=0.5), "**The int8 file has 1.000 MB, and 0.500 MB were asked for.**"),
        (Pruning(speedup=5), "times as fast, and 5 times were asked for.**"),
        (Pruning(latency_budget_ms=1.0), "ms here, and 1 ms were asked for.**"),
    ],
)
def test_a_file_beyond_a_budget_says_so(asked: Pruning, message: str) -> None:
    (found,) = find_missed(asked, result(), elsewhere=False)
    assert message in found


def test_times_here_say_nothing_of_another_device() -> None:
    assert find_missed(Pruning(latency_budget_ms=1.0), result(), elsewhere=True) == ()


def test_without_a_bound_on_time_nothing_is_timed() -> None:
    names = [one.name for one in budgets(GRAPH, Pruning(size_budget_mb=0.001), None, None)]
    assert names == [SIZE]
