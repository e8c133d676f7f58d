"""References between layers are followed before Keras does: a missing one or a cycle is named, and never waited for."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from u3p_edge.errors import ModelError
from u3p_edge.models.keras_calls import MAX_CALLS, read_calls


def layer(name: str, *calls: Any, kind: str = "ReLU") -> dict[str, Any]:
    return {"class_name": kind, "name": name, "config": {"name": name}, "inbound_nodes": list(calls)}


def model(*layers: dict[str, Any], output: tuple[str, int] = ("b", 0)) -> dict[str, Any]:
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [[*output, 0]]}
    return {"class_name": "Functional", "config": {"layers": [layer("x", kind="InputLayer"), *layers], **ends}}


def reads(name: str, number: int = 0) -> list[Any]:
    return [name, number, 0, {}]


def test_calls_come_after_what_they_read() -> None:
    config = model(layer("b", [reads("a"), reads("a", 1)]), layer("a", [reads("x")], [reads("a")]))
    order = [(call.layer, call.number) for call in read_calls(config, "m")]
    assert order.index(("x", 0)) < order.index(("a", 0)) < order.index(("a", 1)) < order.index(("b", 0))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (model(layer("b", [reads("a")])), "m: layer 'b' reads the layer 'a', which does not exist"),
        (model(layer("b", [reads("x", 7)])), "m: layer 'b' reads call 7 of the layer 'x', which does not exist"),
        (model(layer("b", [reads("b")])), "m: layer 'b' depends on itself"),
        (model(layer("a", [reads("b")]), layer("b", [reads("a")])), "m: layer '[ab]' depends on itself"),
        (model(layer("b", [reads("x")]), output=("b", 1)), "m: the model's output_layers reads call 1 of the layer 'b'"),
        (model(layer("b", [reads("x")]), layer("b", [reads("x")])), "m gives one name to several layers"),
        (model(layer("b", [["x", "0", 0]])), "m does not describe its layers as Keras does"),
        (model(layer("b", 7)), "m does not describe its layers as Keras does"),
        (model(layer("b", [["x", 0, 0, {"mask": ["x", 5, 0]}]])), "m does not describe .*reads another layer by a keyword"),
        (model(layer("b", [["x", 0, 0, {"mask": [{"y": ["x", 5, 0]}]}]])), "m does not describe .*reads another layer by"),
        ({"class_name": "Functional", "config": []}, "m does not describe its layers as Keras does"),
        ({"class_name": "Sequential", "config": {"layers": []}}, "m does not describe its layers as Keras does"),
    ],
)
def test_what_cannot_be_computed_is_refused(config: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_calls(config, "m")


def test_a_model_of_too_many_layers_is_refused() -> None:
    names = ["x", *(f"l{i}" for i in range(MAX_CALLS - 1)), "b"]
    chain = [layer(name, [reads(before)]) for before, name in itertools.pairwise(names)]
    with pytest.raises(ModelError, match=f"a model of {MAX_CALLS + 1} layers"):
        read_calls(model(*chain), "m")


NAMES = st.sampled_from(["x", "a", "b", "c"])
REFERENCE = st.tuples(NAMES, st.integers(-1, 2)).map(lambda pair: reads(*pair))
ANYTHING = st.recursive(
    st.none() | st.integers() | st.floats() | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.builds(layer, NAMES, st.lists(REFERENCE | ANYTHING, max_size=3) | ANYTHING), max_size=5))
def test_any_config_is_read_or_refused(layers: list[dict[str, Any]]) -> None:
    try:
        calls = read_calls(model(*layers), "m")
    except ModelError:
        return
    before: set[tuple[str, int]] = set()
    for call in calls:
        assert before.issuperset(call.sources)
        before.add((call.layer, call.number))
