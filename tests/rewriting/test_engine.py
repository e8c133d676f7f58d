"""Choosing among forms by milliseconds that are handed in, applying the choice, and replaying it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.support.rewrite_sites import conv, drawn, image, joined, plain, upsampled
from u3p_edge.errors import ModelError
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.reference import run
from u3p_edge.rewriting.engine import (
    MARGIN,
    REFERENCE,
    WORTH,
    Measure,
    Selection,
    apply_selections,
    find_lone_relus,
    find_sites,
    select_candidates,
    validate_whole_network,
)
from u3p_edge.rewriting.rules.low_rank import LowRank
from u3p_edge.rewriting.rules.separable import Separable
from u3p_edge.rewriting.rules.winograd import Winograd
from u3p_edge.rewriting.site import deviation, site_graph

AMPLE = 2.0
"""Growth that no form reaches: Winograd's kernels, along both axes, have 16/9 of the weights."""


def by_macs(graphs: Sequence[Graph]) -> tuple[float, ...]:
    """A machine on which time is arithmetic."""
    return tuple(float(cost(graph).total_macs) for graph in graphs)


def network() -> Graph:
    """A branch over an upsampled map, another at full size, joined and fused."""
    nodes = (
        image(16, 16, 2),
        Node("low", "max_pool", ("x",), {"pool_size": (4, 4), "strides": (4, 4)}),
        Node("up", "upsample", ("low",), {"size": (4, 4), "interpolation": "bilinear"}),
        conv("deep", "up", drawn(1, 3, 3, 2, 4), activation="relu"),
        conv("here", "x", drawn(2, 3, 3, 2, 4), activation="relu"),
        Node("all", "concat", ("deep", "here")),
        conv("fuse", "all", drawn(3, 3, 3, 8, 8), activation="relu"),
    )
    return Graph(nodes, ("x",), ("fuse",))


def test_the_fastest_form_is_chosen_and_applied() -> None:
    graph = network()
    choices = select_candidates(graph, by_macs, growth=AMPLE)
    assert {c.site: c.chosen for c in choices} == {"deep": "separable", "here": "winograd 2d", "fuse": "winograd 2d"}
    other = apply_selections(graph, choices)
    feeds = {"x": drawn(0, 1, 16, 16, 2)}
    expected, found = (run(g, feeds)["fuse"] for g in (graph, other))
    # Two layers of up to 72 products each, Winograd's sums growing fourfold: 2 * 72 * 4 * eps.
    assert np.abs(found - expected).max() <= 576 * np.finfo(np.float32).eps * np.abs(expected).max()
    assert cost(other).total_macs < cost(graph).total_macs / 2


def test_a_choice_says_what_each_form_costs_or_why_it_is_refused() -> None:
    deep = next(c for c in select_candidates(network(), by_macs) if c.site == "deep")
    separable, low_rank = deep.form("separable"), deep.form("low rank")
    assert deep.forms[0].name == REFERENCE
    assert separable is not None
    assert separable.macs == 4 * 4 * 9 * 2 * 4  # low-resolution places, taps, channels in and out
    assert separable.milliseconds == float(separable.macs)
    assert separable.parameters == 9 * 2 * 4 + 3 * 4  # the bias is that of the middle row's three taps
    assert low_rank is not None
    assert "no channel is saved" in low_rank.refusal
    assert low_rank.milliseconds is None
    assert low_rank.parameters is None


def test_a_rewrite_that_is_not_clearly_faster_is_not_applied() -> None:
    def nearly(graphs: Sequence[Graph]) -> tuple[float, ...]:
        return (1.0, *(MARGIN + 0.001 for _ in graphs[1:]))

    choices = select_candidates(network(), nearly)
    assert {c.chosen for c in choices} == {REFERENCE}
    assert apply_selections(network(), choices) == network()


WINOGRADS = (Winograd("rows"), Winograd("both"))


def by_site(**milliseconds: tuple[float, ...]) -> Measure:
    """A machine on which the reference and the forms of `WINOGRADS` take what is said."""
    return lambda graphs: milliseconds[graphs[0].outputs[0]]


@pytest.mark.parametrize(
    ("growth", "chosen"),
    [
        (2.0, ("winograd 2d", "winograd 2d", "winograd")),  # fuse's 8.5 ms are not clearly less than 9
        (1.5, ("winograd 2d", "winograd 2d", "winograd")),  # 304 of 368
        (1.2, ("winograd 2d", "winograd 2d", REFERENCE)),  # 112 of 147: fuse loses 1 ms for 192
        (1.13, ("winograd", "winograd 2d", REFERENCE)),  # 80 of 95: deep loses 1 ms for 32
        (1.1, ("winograd", "winograd", REFERENCE)),  # 48 of 73: 80 with here's other form, which would save 6 ms more
        (1.0, (REFERENCE, REFERENCE, REFERENCE)),
    ],
)
def test_forms_give_way_where_all_the_fastest_add_too_many_weights(growth: float, chosen: tuple[str, ...]) -> None:
    """Of 9 * (8 + 8 + 64) weights and 16 biases, 736, deep and here would add 24 or 56, fuse 192 or 448."""
    measure = by_site(deep=(10, 6, 5), here=(10, 8, 2), fuse=(10, 9, 8.5))
    choices = select_candidates(network(), measure, rules=WINOGRADS, growth=growth)
    assert tuple(choice.chosen for choice in choices) == chosen
    parameters = [cost(graph).parameters for graph in (network(), apply_selections(network(), choices))]
    assert parameters[1] <= growth * parameters[0]


def test_a_form_gives_way_to_none_that_is_not_clearly_faster() -> None:
    measure = by_site(deep=(10, 10, 10), here=(10, 10, 10), fuse=(10, 10 * MARGIN + 0.01, 8))
    choices = select_candidates(network(), measure, rules=WINOGRADS, growth=1.3)
    assert [choice.chosen for choice in choices] == [REFERENCE] * 3, "winograd would add 192 of 220"


def test_what_is_measured_is_the_site_alone_with_all_that_a_rule_replaces() -> None:
    seen: list[tuple[str, ...]] = []

    def watch(graphs: Sequence[Graph]) -> tuple[float, ...]:
        seen.append(tuple(node.name for node in graphs[0].nodes))
        return tuple(1.0 for _ in graphs)

    select_candidates(network(), watch)
    assert seen == [("low", "up", "deep"), ("x", "here"), ("all", "fuse")]


def test_small_sites_are_left_as_they_are() -> None:
    total = cost(network()).total_macs
    fuse = 16 * 16 * 9 * 8 * 8
    choices = {c.site: c for c in select_candidates(network(), by_macs, least=fuse / total, growth=AMPLE)}
    assert choices["fuse"].chosen == "winograd 2d"
    assert choices["deep"].chosen == REFERENCE
    assert "of the model's" in choices["deep"].forms[1].refusal


def test_a_recorded_choice_replays_without_measuring_and_refuses_another_model() -> None:
    graph = network()
    chosen = select_candidates(graph, by_macs, growth=AMPLE)
    recorded = tuple(Selection(c.site, c.chosen, ()) for c in chosen)
    assert apply_selections(graph, recorded) == apply_selections(graph, chosen) != graph
    with pytest.raises(ModelError, match="does not fit this model"):
        apply_selections(upsampled(), (Selection("elsewhere", "separable", ()),))
    with pytest.raises(ModelError, match="not 3"):
        apply_selections(plain(kernel=5), (Selection("y", "winograd", ()),))


def test_a_relu_of_the_original_model_is_no_hindrance() -> None:
    normalised = network()
    nodes = (
        *normalised.nodes[:-1],
        conv("fuse", "all", drawn(3, 3, 3, 8, 8)),
        Node("norm", "layer_norm", ("fuse",)),
        Node("y", "activation", ("norm",), {"function": "relu"}),
    )
    graph = Graph(nodes, ("x",), ("y",))
    assert find_lone_relus(graph) == ("y",)
    other = apply_selections(graph, select_candidates(graph, by_macs, growth=AMPLE))
    assert cost(other).total_macs < cost(graph).total_macs / 2


def test_the_site_graph_computes_the_node_from_what_it_reads() -> None:
    graph = network()
    site = site_graph(graph, ("up", "deep"))
    assert site.inputs == ("low",)
    feeds = {"x": drawn(0, 1, 16, 16, 2)}
    values = run(graph, feeds, outputs=("low", "deep"))
    np.testing.assert_array_equal(run(site, {"low": values["low"]})["deep"], values["deep"])
    assert site.shapes["deep"] == graph.shapes["deep"]


def test_deviation_is_rounding_for_exact_rules_and_more_for_truncated_ones() -> None:
    site = upsampled((40, 40), channels=40)
    # 360 products a sum, four times eps for interpolation and sums of parts.
    assert 0 < deviation(site, Separable()) <= 4 * 360 * np.finfo(np.float32).eps
    assert deviation(site, LowRank(rank=2)) > 0.01


def test_sites_are_the_nodes_that_rules_speak_of() -> None:
    assert find_sites(network()) == ("deep", "here", "fuse")
    assert find_sites(joined()) == ("y",)


def chosen(choices: Sequence[Selection]) -> dict[str, str]:
    return {choice.site: choice.chosen for choice in choices}


def test_forms_stay_where_the_whole_network_gains_by_them() -> None:
    choices = select_candidates(network(), by_macs, growth=AMPLE)
    assert validate_whole_network(network(), choices, by_macs) == choices


def test_forms_that_won_alone_are_given_up_where_the_network_loses_by_them() -> None:
    def by_operators(graphs: Sequence[Graph]) -> tuple[float, ...]:
        return tuple(float(len(graph.nodes)) for graph in graphs)

    choices = select_candidates(network(), by_macs, growth=AMPLE)
    selection = validate_whole_network(network(), choices, by_operators)
    assert set(chosen(selection).values()) == {REFERENCE}
    assert [choice.forms for choice in selection] == [choice.forms for choice in choices], "what was measured is still listed"
    assert apply_selections(network(), selection).nodes == network().nodes


def test_of_networks_that_take_as_long_the_least_rewritten_is_taken() -> None:
    choices = select_candidates(network(), by_macs, growth=AMPLE)
    assert set(chosen(validate_whole_network(network(), choices, lambda graphs: (1.0,) * len(graphs))).values()) == {REFERENCE}


def test_forms_that_gain_next_to_nothing_are_tried_apart_from_those_that_gain() -> None:
    forms = {name: (1.0, gained) for name, gained in (("deep", 0.5), ("here", 1 - WORTH), ("fuse", 0.4))}
    choices = tuple(
        replace(choice, forms=tuple(replace(f, milliseconds=forms[choice.site][f.name != REFERENCE]) for f in choice.forms))
        for choice in select_candidates(network(), by_macs, growth=AMPLE)
    )
    seen: list[Sequence[Graph]] = []

    def middle(graphs: Sequence[Graph]) -> tuple[float, ...]:
        seen.append(graphs)
        return (3.0, 1.0, 2.0)

    result = chosen(validate_whole_network(network(), choices, middle))
    assert [len(graphs) for graphs in seen] == [3]
    # Of three sites of 1 ms a gain of a hundredth of one is a third of what counts.
    assert result["here"] == REFERENCE
    assert REFERENCE not in (result["deep"], result["fuse"])


def test_nothing_is_measured_where_nothing_was_chosen() -> None:
    choices = tuple(replace(choice, chosen=REFERENCE) for choice in select_candidates(network(), by_macs))

    def refuse(graphs: Sequence[Graph]) -> tuple[float, ...]:
        raise AssertionError(f"{len(graphs)} networks were measured")

    assert validate_whole_network(network(), choices, refuse) == choices
