"""Plans to a budget: bounds hold, what matters least goes first, and no step of the kernels or lost branch stops the search."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.support.plans import keep_all
from tests.support.prunable_graphs import conv, networks, of, op, small_unet
from tests.support.slow import mark_slow
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.budget import Fitted, Limit, search_plan
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.pruning.importance.scores import Importance


def macs(graph: Graph) -> float:
    return cost(graph).total_macs


def weight_bytes(graph: Graph) -> float:
    return sum(cost(graph, bytes_per_element=1).weight_bytes.values())


def stepped(step: int, *names: str) -> Callable[[Graph], float]:
    """Multiply-accumulates of kernels that work on whole steps of channels, of the named nodes or of all."""

    def measure(graph: Graph) -> float:
        shapes = graph.shapes
        kernels = [node for node in graph.nodes if "kernel" in node.weights and (not names or node.name in names)]
        return sum(math.prod(-(-shapes[name][-1] // step) * step for name in (n.name, n.inputs[0])) for n in kernels)

    return measure


def importance(graph: Graph, seed: int = 0) -> dict[str, Any]:
    """Drawn; groups differ, and elements within a group more so."""
    rng = np.random.default_rng(seed)
    free = [group for group in find_groups(graph) if not group.frozen]
    return {group.name: rng.gamma(0.5, size=group.size) * rng.uniform(0.2, 3) for group in free}


def total(fitted: Fitted, scores: Importance) -> float:
    """Importance that is kept."""
    return float(sum(scores[name][list(elements)].sum() for name, elements in fitted.plan.kept.items()))


def widths(fitted: Fitted) -> dict[str, int]:
    return {name: len(elements) for name, elements in fitted.plan.kept.items()}


def chain(width: int = 4) -> Graph:
    return of(conv("a", "x", 3, width), conv("b", "a", width, width), conv("y", "b", width, 2))


def even(graph: Graph, **others: float) -> dict[str, Any]:
    """1 for every element, or what is named for its group."""
    free = [group for group in find_groups(graph) if not group.frozen]
    return {group.name: np.full(group.size, others.get(group.name, 1.0)) for group in free}


def branches(*sizes: int, fuse: int = 8) -> Graph:
    """Convolutions of one map, joined and fused."""
    nodes = [conv("stem", "x", 3, 8)] + [conv(f"b{i}", "stem", 8, size, kernel=3) for i, size in enumerate(sizes)]
    joined = op("all", "concat", *(f"b{i}" for i in range(len(sizes))))
    return of(*nodes, joined, conv("fuse", "all", sum(sizes), fuse, kernel=3), conv("y", "fuse", fuse, 1))


@pytest.mark.parametrize("share", mark_slow([0.9, 0.5, 0.2, 0.05], [0.9, 0.5, 0.2]))
def test_a_budget_of_multiply_accumulates_is_met_and_used(share: float) -> None:
    graph = small_unet(True)
    bound = share * macs(graph)
    result = search_plan(graph, importance(graph), [Limit("MACs", macs, bound)])
    assert result.met
    assert result.before == {"MACs": macs(graph)}
    assert result.after == {"MACs": macs(apply_plan(graph, result.plan))}
    # What is left of the budget is less than the dearest channel: one of enc1, read by enc1, enc2 and four branches at most.
    assert 0.97 * bound - 32 * 32 * 9 * 4 * 6 <= result.after["MACs"] <= bound


@pytest.mark.parametrize("seed", mark_slow(range(2), [1]))
def test_a_smaller_budget_never_keeps_more(seed: int) -> None:
    graph = small_unet(True)
    scores, whole = importance(graph, seed), macs(graph)
    kept = [total(search_plan(graph, scores, [Limit("MACs", macs, whole * p)]), scores) for p in (1, 0.9, 0.6, 0.4, 0.2)]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == pytest.approx(sum(scores[name].sum() for name in scores))


def test_a_network_within_its_budget_keeps_all() -> None:
    graph = chain()
    for limits in ([Limit("MACs", macs, macs(graph))], []):
        result = search_plan(graph, importance(graph), limits)
        assert (result.plan, result.met) == (keep_all(graph), True)


def test_the_least_important_element_goes_first_and_of_equals_the_first() -> None:
    graph = chain()
    scores = {"a": np.array([5.0, 1.0, 7.0, 1.0]), "b": np.full(4, 9.0)}
    plan = search_plan(graph, scores, [Limit("MACs", macs, macs(graph) - 1)]).plan
    assert plan.kept == {"a": (0, 2, 3), "b": (0, 1, 2, 3)}


def test_what_saves_more_goes_first_among_equally_important_channels() -> None:
    graph = of(conv("a", "x", 3, 8), conv("b", "a", 8, 8, kernel=3), conv("c", "b", 8, 8), conv("y", "c", 8, 1))
    result = search_plan(graph, even(graph), [Limit("MACs", macs, 0.8 * macs(graph))])
    assert widths(result)["c"] == 8
    assert widths(result)["a"] + widths(result)["b"] < 16


@pytest.mark.parametrize("width", [32, 40, 100])
def test_steps_of_the_kernels_do_not_stall_the_search(width: int) -> None:
    graph = chain(width)
    measure = stepped(16)
    result = search_plan(graph, importance(graph), [Limit("steps", measure, measure(graph) / 2)])
    assert result.met
    # Each group is as wide as its steps allow, or whole: more channels would be free.
    assert all(count % 16 == 0 or count == width for count in widths(result).values())


def test_steps_wider_than_any_multiple_that_is_tried_do_not_stall_it() -> None:
    graph = chain(300)
    measure = stepped(100)
    result = search_plan(graph, importance(graph), [Limit("steps", measure, 0.6 * measure(graph))])
    assert result.met
    assert sorted(widths(result).values()) == [200, 200]


def test_a_step_that_no_branch_reaches_by_itself_is_reached_by_several() -> None:
    """20 channels are two steps of 16; each branch has 4, so no move on one of them makes it one step."""
    graph = branches(4, 4, 4, 4, 4)
    scores = {**importance(graph), "fuse": np.full(8, 100.0), "stem": np.full(8, 100.0)}
    measure = stepped(16, "fuse")
    result = search_plan(graph, scores, [Limit("steps", measure, 16 * 16)], protect=["b0"])
    assert result.met
    kept = widths(result)
    assert sum(count for name, count in kept.items() if name.startswith("b")) + 4 == 16
    assert "b0" not in kept
    assert (kept["fuse"], kept["stem"]) == (8, 8)


def test_a_useless_branch_goes_whole_and_stays_away() -> None:
    """Without it there is 0.67 of the arithmetic, and room for nothing but 0.3 of a channel more."""
    graph = branches(8, 8, 8)
    scores = even(graph, b1=1e-9)
    result = search_plan(graph, scores, [Limit("MACs", macs, 0.68 * macs(graph))])
    assert widths(result) == {"stem": 8, "b0": 8, "b1": 0, "b2": 8, "fuse": 8}
    assert "b1" not in apply_plan(graph, result.plan)


def test_a_useless_branch_of_a_unet3plus_goes_with_its_resampling() -> None:
    graph = small_unet(True)
    scores = importance(graph)
    useless = "dec1_from_enc5_conv"
    scores[useless] = scores[useless] * 1e-9
    pruned = apply_plan(graph, search_plan(graph, scores, [Limit("MACs", macs, 0.5 * macs(graph))]).plan)
    assert not [node.name for node in pruned.nodes if node.name.startswith("dec1_from_enc5")]


def test_a_decoder_is_not_lost_by_way_of_the_one_branch_that_reads_it() -> None:
    graph = small_unet(True)
    scores = importance(graph)
    for name in ("dec1_from_dec2_conv", "dec2_fuse_conv"):
        scores[name] = scores[name] * 1e-9
    result = search_plan(graph, scores, [Limit("MACs", macs, 0.4 * macs(graph))])
    assert result.met
    assert (widths(result)["dec1_from_dec2_conv"], widths(result)["dec2_fuse_conv"]) == (1, 1)


@pytest.mark.parametrize(("deep", "share", "lost"), [(0.1, 0.31, True), (1e6, 0.65, False)])
def test_what_only_a_branch_reads_counts_when_the_branch_goes(deep: float, share: float, lost: bool) -> None:
    """Without both it has 0.304 of its arithmetic, with the last of the branch 0.70, so that one of the other has to go."""
    nodes = [conv("b0", "x", 3, 4, kernel=3), conv("deep", "x", 3, 4, kernel=3), conv("b1", "deep", 4, 4, kernel=3)]
    graph = of(*nodes, op("all", "concat", "b0", "b1"), conv("y", "all", 8, 1))
    scores = even(graph, b0=1e3, b1=0.1, deep=deep)
    pruned = apply_plan(graph, search_plan(graph, scores, [Limit("MACs", macs, share * macs(graph))]).plan)
    assert ("deep" not in pruned, "b1" not in pruned) == (lost, lost)


def test_two_limits_both_hold() -> None:
    graph = small_unet(True)
    limits = [Limit("MACs", macs, 0.4 * macs(graph)), Limit("bytes", weight_bytes, 0.3 * weight_bytes(graph))]
    result = search_plan(graph, importance(graph), limits)
    pruned = apply_plan(graph, result.plan)
    assert result.met
    assert result.after == {"MACs": macs(pruned), "bytes": weight_bytes(pruned)}
    assert all(result.after[limit.name] <= limit.bound for limit in limits)
    alone = [search_plan(graph, importance(graph), [limit]) for limit in limits]
    assert all(total(one, importance(graph)) > total(result, importance(graph)) for one in alone)


def test_an_impossible_limit_is_not_met_and_leaves_a_network() -> None:
    graph = small_unet(True)
    result = search_plan(graph, importance(graph), [Limit("MACs", macs, 1)])
    pruned = apply_plan(graph, result.plan)
    assert not result.met
    assert result.after == {"MACs": macs(pruned)}
    assert {f"dec{level}_fuse_conv" for level in (1, 2, 3, 4)} <= {node.name for node in pruned.nodes}
    assert result.after["MACs"] < 0.02 * result.before["MACs"]


@pytest.mark.parametrize("share", mark_slow([0.5, 0.1, 1e-6], [0.1, 1e-6]))
def test_a_plan_for_the_folded_network_can_be_carried_out_on_the_one_with_all_its_heads(share: float) -> None:
    graph, folded = small_unet(False), small_unet(True)
    scores = {name: own for name, own in importance(graph).items() if name in folded}
    scores = {name: own * 1e-6 if "_from_" in name else own for name, own in scores.items()}
    plan = search_plan(folded, scores, [Limit("MACs", macs, share * macs(folded))]).plan
    assert () in plan.kept.values()
    assert apply_plan(graph, plan).outputs == graph.outputs


def test_what_brings_no_cost_down_is_not_lost_to_an_impossible_limit() -> None:
    graph = chain(16)
    result = search_plan(graph, importance(graph), [Limit("constant", lambda _: 2.0, 1.0)])
    assert (result.plan, result.met, result.after) == (keep_all(graph), False, {"constant": 2.0})


def test_protected_groups_and_the_smallest_count_hold() -> None:
    graph = branches(8, 8, 2)
    result = search_plan(graph, even(graph), [Limit("MACs", macs, 1)], smallest=3, protect={"b0"})
    assert "b0" not in widths(result)
    assert set(widths(result).values()) == {0, 3}
    assert apply_plan(graph, result.plan).shapes["b0"][-1] == 8


def test_the_same_arguments_give_the_same_plan_and_stay_as_they_are() -> None:
    graph = branches(8, 8, 8, 4)
    scores = importance(graph)
    before = {name: own.copy() for name, own in scores.items()}
    first, second = (search_plan(graph, scores, [Limit("MACs", macs, 0.3 * macs(graph))]) for _ in range(2))
    assert first == second
    assert all((scores[name] == before[name]).all() for name in before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": None}, "no importance for the channels of 'a'"),
        ({"b": np.ones(3)}, "importance of 'b' is not 4 finite numbers"),
        ({"b": np.array([1, 2, np.nan, 4])}, "importance of 'b' is not 4 finite numbers"),
        ({"b": np.array([1, 2, -1, 4])}, "importance of 'b' is not 4 finite numbers from 0"),
    ],
)
def test_importance_that_does_not_fit_is_refused(change: Mapping[str, Any], message: str) -> None:
    graph = chain()
    scores = {name: own for name, own in {**even(graph), **change}.items() if own is not None}
    with pytest.raises(ModelError, match=message):
        search_plan(graph, scores, [Limit("MACs", macs, 1)])


def test_importance_of_what_the_graph_does_not_have_or_protects_is_not_asked() -> None:
    graph = chain()
    scores = {"b": np.ones(4), "elsewhere": np.ones(1)}
    assert widths(search_plan(graph, scores, [Limit("MACs", macs, 1)], protect=["a"])) == {"b": 1}


@pytest.mark.parametrize("bound", [0, -1, math.inf, math.nan])
def test_a_bound_is_a_number_above_zero(bound: float) -> None:
    with pytest.raises(ConfigError, match=r"the bound of 'latency, ms' is .*; it is a number above 0"):
        Limit("latency, ms", macs, bound)


@pytest.mark.parametrize("options", [{"share": 0}, {"share": 1}, {"smallest": 0}])
def test_options_that_cannot_be_are_refused(options: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a share is within 0 and 1"):
        search_plan(chain(), even(chain()), [], **options)


def test_two_limits_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="same name"):
        search_plan(chain(), even(chain()), [Limit("MACs", macs, 1), Limit("MACs", macs, 2)])


def test_what_a_cost_raises_is_not_swallowed() -> None:
    def unknown(graph: Graph) -> float:
        if graph.shapes["a"][-1] < 4:
            raise ModelError("the table has no such layer")
        return 2.0

    with pytest.raises(ModelError, match="no such layer"):
        search_plan(chain(), even(chain()), [Limit("ms", unknown, 1.0)])


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_every_plan_for_a_random_graph_can_be_carried_out(data: Any) -> None:
    graph = data.draw(networks())
    scores = importance(graph, data.draw(st.integers(0, 99)))
    measure = data.draw(st.sampled_from([macs, weight_bytes, stepped(4), stepped(16)]))
    bound = data.draw(st.floats(0.05, 1)) * max(measure(graph), 1)
    result = search_plan(graph, scores, [Limit("cost", measure, bound)])
    event("met" if result.met else "not met")
    pruned = apply_plan(graph, result.plan)
    assert result.after == {"cost": measure(pruned)}
    assert result.met == (measure(pruned) <= bound)
    assert isinstance(pruned.nodes[0], Node)
