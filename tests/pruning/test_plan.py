"""A plan: what it holds, what it refuses, and its JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.plans import keep_all
from tests.support.prunable_graphs import assert_same_values, conv, group, of, plans
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.pruning.plan import PruningPlan


def chain() -> Graph:
    return of(conv("a", "x", 3, 4), conv("b", "a", 4, 2), conv("y", "b", 2, 1))


def test_a_plan_is_a_value_with_ascending_elements() -> None:
    plan = PruningPlan({"a": [3, 0, 1], "b": ()})
    assert plan.kept == {"a": (0, 1, 3), "b": ()}
    assert plan == PruningPlan({"b": [], "a": (0, 1, 3)})
    assert hash(plan) == hash(PruningPlan({"b": [], "a": (0, 1, 3)}))
    assert plan != PruningPlan({"a": (0, 1)})
    with pytest.raises(TypeError):
        plan.kept["a"] = ()  # type: ignore[index]


def test_what_is_not_named_is_kept_whole() -> None:
    graph = chain()
    plan = PruningPlan({"a": (1, 3)})
    assert (plan.of(group(graph, "a")), plan.dropped(group(graph, "a"))) == ((1, 3), (0, 2))
    assert (plan.of(group(graph, "b")), plan.dropped(group(graph, "b"))) == ((0, 1), ())


def test_keeping_all_names_the_groups_that_may_lose_channels() -> None:
    assert keep_all(chain()) == PruningPlan({"a": range(4), "b": range(2)})


@pytest.mark.parametrize("elements", [[-1], [0.0], [True], ["0"]])
def test_elements_are_whole_numbers(elements: list[object]) -> None:
    with pytest.raises(ConfigError, match="'a'; channels are whole numbers from 0"):
        PruningPlan({"a": elements})  # type: ignore[dict-item]


def test_an_element_is_named_once() -> None:
    with pytest.raises(ConfigError, match="keeps a channel of 'a' twice"):
        PruningPlan({"a": [1, 1]})


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"elsewhere": [0]}, "names 'elsewhere', which is no channel group of this model. It was made for another model"),
        ({"a": [0, 4]}, "keeps channel 4 of 'a', which has 4. It was made for another model"),
        ({"x": [0, 1]}, "no channel of 'x' can be dropped: 'x' is an input of the model. Leave it out"),
        ({"y": []}, "no channel of 'y' can be dropped: 'y' is an output of the model. Leave it out"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_with_the_reason(kept: dict[str, list[int]], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        PruningPlan(kept).check(find_groups(chain()))


def test_a_plan_that_keeps_a_frozen_group_whole_fits() -> None:
    PruningPlan({"x": [0, 1, 2], "a": []}).check(find_groups(chain()))


def test_json_gives_the_same_plan_back() -> None:
    plan = PruningPlan({"b": (), "a": np.flatnonzero([1, 0, 1])})  # type: ignore[dict-item]
    assert json.loads(plan.to_json()) == {"version": 1, "kept": {"a": [0, 2], "b": []}}
    assert PruningPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "and this is not"),
        ('{"kept": {}}', "and this is not"),
        ('{"version": 1, "kept": {"a": 1}}', "and this is not"),
        ('{"version": 2, "kept": {}}', "version 2. This program reads 1"),
        ('{"version": 1, "kept": {"a": [0.5]}}', "whole numbers"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PruningPlan.from_json(text)


def test_two_plans_one_after_the_other_are_one_plan() -> None:
    graph = chain()
    first = PruningPlan({"a": (0, 1, 3)})
    second = PruningPlan({"a": (1, 2), "b": (1,)})
    both = first.then(second)
    assert both == PruningPlan({"a": (1, 3), "b": (1,)})
    twice = apply_plan(apply_plan(graph, first), second)
    assert_same_values(apply_plan(graph, both), twice)


def test_a_group_that_a_first_plan_dropped_stays_dropped() -> None:
    first = PruningPlan({"a": (), "b": (0, 1)})
    assert first.then(PruningPlan({"b": (1,)})) == PruningPlan({"a": (), "b": (1,)})


@settings(deadline=None)
@given(st.data())
def test_any_two_plans_of_a_chain_compose(data: st.DataObject) -> None:
    graph = chain()
    first = data.draw(plans(graph, least=1))
    left = apply_plan(graph, first)
    second = data.draw(plans(left, least=1))
    assert_same_values(apply_plan(graph, first.then(second)), apply_plan(left, second))
