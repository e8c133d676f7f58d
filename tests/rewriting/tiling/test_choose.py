"""Where tiles are worth their additional arithmetic, and how many: budgets, overhead, kernels, what a runtime needs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from tests.support.tiled_graphs import assert_same_bits, level
from u3p_edge.errors import ConfigError
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node, subgraph
from u3p_edge.rewriting.tiling import choose
from u3p_edge.rewriting.tiling.choose import NEAR, OPERATOR, TilingPlan, choose_tiling


def test_tiles_lower_the_peak_and_the_budget_is_met_at_the_fewest_macs() -> None:
    graph = level(256, 256)
    free = choose_tiling(graph, max_overhead=1.0)
    assert free.peak < free.whole_peak * 2 / 3
    for budget in (free.whole_peak, (free.peak + free.whole_peak) // 2, free.peak):
        plan = choose_tiling(graph, budget_bytes=budget)
        assert plan.met
        assert plan.peak <= budget
        for fewer in range(1, plan.counts.get("mask", 1)):
            assert choose_tiling(graph, counts=(fewer,), count=fewer).peak > budget
    assert choose_tiling(graph, budget_bytes=free.whole_peak).counts == {}


def test_a_budget_that_cannot_be_met_gives_the_smallest_peak_and_says_so() -> None:
    plan = choose_tiling(level(), budget_bytes=1)
    assert not plan.met
    assert plan.peak < plan.whole_peak


def test_without_a_budget_the_overhead_is_limited() -> None:
    graph = level(256, 256)
    cheap, dear = choose_tiling(graph, max_overhead=0.05), choose_tiling(graph, max_overhead=1.0)
    assert 0 < cheap.extra_macs <= 0.05 < dear.extra_macs
    assert dear.peak < cheap.peak < cheap.whole_peak
    assert cheap.extra_macs == pytest.approx(cost(cheap.graph).total_macs / cost(graph).total_macs - 1)
    assert choose_tiling(graph, max_overhead=0.0).counts == {}


def test_every_tile_packs_its_kernels_again() -> None:
    plan = choose_tiling(level(), count=4, bytes_per_element=4)
    assert plan.copies == 4 * (4 - 1) * 9 * (3 * 8 * 8 + 24 * 24 + 24 * 1)
    assert choose_tiling(level(), count=1).copies == 0


def needed(plan: TilingPlan) -> int:
    return plan.peak + plan.copies + OPERATOR * len(plan.graph.nodes)


def test_tiles_that_need_more_for_operators_than_they_save_are_not_made() -> None:
    whole, four = choose_tiling(level(), max_overhead=1.0), choose_tiling(level(), count=4)
    assert whole.counts == {}
    assert four.peak < whole.peak
    assert needed(four) > needed(whole)


def test_tiles_that_need_more_for_kernels_than_they_save_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """With operators for nothing: the kernels grow with the square of the filters, the maps with the filters."""
    monkeypatch.setattr(choose, "OPERATOR", 0)
    assert choose_tiling(level(64, 64), max_overhead=1.0).counts.keys() == {"mask"}
    wide = level(64, 64, filters=64)
    whole, four = choose_tiling(wide, max_overhead=1.0), choose_tiling(wide, count=4)
    assert whole.counts == {}
    assert four.peak < whole.peak < four.peak + four.copies


def test_what_a_runtime_needs_decides_among_tiles_that_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "OPERATOR", 0)
    graph = level(64, 64)
    by_plan = choose_tiling(graph, max_overhead=1.0)
    count = by_plan.counts["mask"]
    asked: dict[int, int] = {}

    def needed(made: Graph, origin: Mapping[str, str]) -> int:
        tiles = sum(node.op == "conv" and origin.get(node.name) == "fused" for node in made.nodes) or 1
        asked[tiles] = len(made.nodes)
        return 100 - tiles  # the more, the better

    by_runtime = choose_tiling(graph, max_overhead=1.0, measure_memory=needed)
    assert by_runtime.counts["mask"] == max(asked) > count
    # Only those are asked for that need little more by the plan.
    plans = (by_runtime, by_plan)
    assert by_runtime.peak + by_runtime.copies <= NEAR * min(plan.peak + plan.copies for plan in plans)
    assert 1 not in asked
    # The same needs: then the fewest.
    assert choose_tiling(graph, max_overhead=1.0, measure_memory=lambda _made, _origin: 1000).counts["mask"] == min(asked)


def test_the_count_can_be_fixed() -> None:
    graph = level()
    assert choose_tiling(graph, count=3).counts == {"mask": 3}
    assert choose_tiling(graph, count=1).graph == graph
    with pytest.raises(ConfigError, match="17 tiles"):
        choose_tiling(graph, count=17)


def two_levels() -> Graph:
    """A half-sized map of 2 channels, computed through 128, read by a full-sized level of 24: 32 and 24 KiB of int8."""
    rng = np.random.default_rng(0)

    def conv(name: str, source: str, channels: int, out: int) -> Node:
        kernel = rng.normal(size=(3, 3, channels, out)).astype(np.float32)
        return Node(name, "conv", (source,), {"padding": "same", "activation": "relu"}, {"kernel": kernel})

    nodes = (
        Node("image", "input", attrs={"shape": (None, 32, 32, 1)}),
        Node("small", "max_pool", ("image",), {"pool_size": (2, 2), "strides": (2, 2)}),
        conv("wide", "small", 1, 128),
        conv("below", "wide", 128, 2),
        Node("up", "upsample", ("below",), {"size": (2, 2), "interpolation": "bilinear"}),
        conv("branch", "up", 2, 24),
        conv("mask", "branch", 24, 1),
    )
    return Graph(nodes, ("image",), ("mask",))


def test_the_level_below_is_cut_where_it_has_the_peak() -> None:
    graph = two_levels()
    plan = choose_tiling(graph, budget_bytes=1)
    assert set(plan.counts) == {"mask", "below"}
    assert_same_bits(graph, plan.graph)
    assert choose_tiling(graph, budget_bytes=30 * 1024).counts.keys() == {"below"}, "the level above needs no tiles for that"


def test_a_graph_that_has_nothing_to_tile_is_left_and_the_reason_given() -> None:
    graph = subgraph(level(), ["skip_branch"])
    plan = choose_tiling(graph)
    assert (plan.graph, plan.counts, plan.origin) == (graph, {}, {})
    assert "would save nothing" in plan.refusals["skip_branch"]
