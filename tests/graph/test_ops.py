"""The records of the ops: their facts hold in the reference, and every room has an op or refuses it by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.single_ops import images, of, weights
from u3p_edge.conversion.onnx.moves import MOVES
from u3p_edge.conversion.onnx.operators import OPERATORS
from u3p_edge.conversion.tflite.writer import lower_graph, write_tflite
from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import is_channelwise, keeps_zero
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.graph.memory import plan_memory
from u3p_edge.graph.ops import FUNCTIONS, OPS
from u3p_edge.graph.ops.functions import apply_function
from u3p_edge.graph.ops.op import Layer, Op, same_shape
from u3p_edge.graph.reference import run
from u3p_edge.pruning.index_maps import trace_channels
from u3p_edge.rewriting.tiling.row_ranges import row_geometry

SHAPE = (6, 8, 4)
BATCH = (1, *SHAPE)
_NORM = {**weights(mean=(4,), gamma=(4,), beta=(4,)), **weights(3, 0.2, variance=(4,))}
SPECIAL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "conv": ({"padding": "same"}, weights(kernel=(3, 3, 4, 4))),
    "conv_transpose": ({"padding": "same"}, weights(kernel=(3, 3, 4, 4))),
    "depthwise_conv": ({"padding": "same"}, weights(kernel=(3, 3, 4, 1))),
    "dense": ({}, weights(kernel=(4, 3))),
    "batch_norm": ({}, _NORM),
    "layer_norm": ({}, weights(gamma=(4,), beta=(4,))),
    "group_norm": ({"groups": 2}, weights(gamma=(4,), beta=(4,))),
    "separable_conv": ({"padding": "same"}, weights(depthwise=(3, 3, 4, 1), pointwise=(1, 1, 4, 4))),
    "activation": ({"function": "tanh"}, {}),
    "prelu": ({"shared_axes": (1, 2)}, weights(alpha=(1, 1, 4))),
    "interpolated_sum": ({"axis": 1, "taps": 1}, {}),
    "crop": ({"cropping": ((1, 0), (2, 3))}, {}),
    "pad": ({"padding": ((1, 2), (0, 3))}, {}),
    "reshape": ({"target_shape": (3, 16, 4)}, {}),
    "rescale": ({"scale": 0.5, "offset": 1.0}, {}),
}
"""Attributes and weights of the ops that need some."""


def single(op: str) -> Graph:
    """The op as node "y" on a map "x", which a merge reads twice; an input is "y" itself."""
    attrs, arrays = SPECIAL.get(op, ({}, {}))
    if op == "input":
        return Graph((Node("x", op, (), {"shape": BATCH}), Node("y", op, (), {"shape": BATCH})), ("x", "y"), ("y",))
    return of(Node("y", op, ("x",) * (OPS[op].arity or 2), attrs, arrays), shape=SHAPE)


def apply(graph: Graph, x: np.ndarray) -> np.ndarray:
    return run(graph, {"x": x})["y"]


def ops(fact: str) -> list[str]:
    return [op for op, kind in OPS.items() if getattr(kind, fact)]


@pytest.mark.parametrize("op", ops("channelwise"))
def test_a_channelwise_op_does_to_every_channel_the_same_and_reads_no_other(op: str) -> None:
    graph = single(op)
    x, order = images(graph), [2, 0, 3, 1]
    # A mean of 48 values of at most 3 may be summed in another order: 48 roundings of sums of at most 144, divided by 48.
    rounding = 144 * np.finfo(np.float32).eps
    np.testing.assert_allclose(apply(graph, x[..., order]), apply(graph, x)[..., order], rtol=0, atol=rounding)
    other = x.copy()
    other[..., 0] += 1
    np.testing.assert_array_equal(apply(graph, other)[..., 1:], apply(graph, x)[..., 1:])


def test_a_softmax_is_not_channelwise_whatever_node_has_it() -> None:
    assert not is_channelwise(Node("y", "activation", ("x",), {"function": "softmax"}))
    assert not is_channelwise(Node("y", "softmax", ("x",)))


@pytest.mark.parametrize("op", ops("pixelwise"))
def test_a_pixelwise_op_reads_no_other_pixel(op: str) -> None:
    graph = single(op)
    x = images(graph)
    other = x.copy()
    other[:, 2, 3] += 1
    changed = np.any(apply(graph, other) != apply(graph, x), axis=(0, 3))
    changed[2, 3] = False
    assert not changed.any()


@pytest.mark.parametrize("op", ops("merges"))
def test_a_merge_broadcasts(op: str) -> None:
    pooled = Node("p", "global_max_pool", ("x",), {"keepdims": True})
    grown = Node("g", "upsample", ("p",), {"size": SHAPE[:2]})
    graph = of(pooled, grown, Node("y", op, ("x", "g")), shape=SHAPE)
    x = images(graph)
    small = of(pooled, Node("y", op, ("x", "p")), shape=SHAPE)
    np.testing.assert_array_equal(apply(small, x), apply(graph, x))


@pytest.mark.parametrize("op", [op for op in OPS if op != "input" and keeps_zero(single(op)["y"])])
def test_an_op_that_keeps_zero_gives_zeros_for_zeros(op: str) -> None:
    graph = single(op)
    assert not apply(graph, np.zeros(BATCH, np.float32)).any()


@pytest.mark.parametrize(
    "node",
    [
        Node("y", "conv", ("x",), {}, weights(kernel=(1, 1, 4, 4), bias=(4,))),
        Node("y", "relu", ("x",), {"threshold": -1.0, "negative_slope": 0.5}),
        Node("y", "activation", ("x",), {"function": "sigmoid"}),
        Node("y", "conv", ("x",), {"activation": "softplus"}, weights(kernel=(1, 1, 4, 4))),
    ],
    ids=["bias", "threshold", "function", "fused function"],
)
def test_what_shifts_zero_is_known(node: Node) -> None:
    assert not keeps_zero(node)


@pytest.mark.parametrize("op", ops("keeps_range"))
def test_an_op_that_keeps_the_range_gives_no_value_beyond_its_input(op: str) -> None:
    graph = single(op)
    x = images(graph)
    y, rounding = apply(graph, x), 1 + 48 * np.finfo(np.float32).eps  # a mean of at most 48 values
    assert x.min() * rounding <= y.min() <= y.max() <= x.max() * rounding


@pytest.mark.parametrize("op", ["concat", "crop", "pad", "space_to_depth", "depth_to_space", "reshape", "flatten"])
def test_an_op_that_moves_values_makes_none(op: str) -> None:
    graph = single(op)
    x = images(graph)
    assert set(apply(graph, x).ravel()) <= {0.0, *x.ravel()}


@pytest.mark.parametrize("op", ops("view"))
def test_a_view_keeps_the_order_of_the_values(op: str) -> None:
    graph = single(op)
    x = images(graph)
    np.testing.assert_array_equal(apply(graph, x).ravel(), x.ravel())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_facts_of_a_function_hold(name: str) -> None:
    record, x = FUNCTIONS[name], np.array([[-2.0, 0.0, 1.5, 0.25]], np.float32)
    assert record.keeps_zero == (apply_function(name, np.zeros(1, np.float32))[0] == 0)
    alone = np.concatenate([apply_function(name, x[:, i : i + 1]) for i in range(4)], axis=1)
    assert record.channelwise == np.array_equal(apply_function(name, x), alone)
    if record.fixed is not None:
        scale, zero = record.fixed
        low, high = (float(apply_function(name, np.array([v, -v], np.float32))[0]) for v in (-50.0, 50.0))
        # All values of the function, but for the highest step, are integers in -128..127 of the scale.
        assert (-128 - zero) * scale <= low < high <= (128 - zero) * scale


def computed(graph: Graph) -> np.ndarray:
    return run(graph, {name: np.ones(BATCH, np.float32) for name in graph.inputs})["y"]


def refusal(attempt: Callable[[], object]) -> str:
    """The message with which an attempt is refused; empty if it succeeds."""
    try:
        attempt()
    except ModelError as error:
        return str(error)
    return ""


def pruning(graph: Graph) -> str:
    trace = trace_channels(graph)
    return next((reason for _, reason in trace.frozen if "is not known" in reason), "")


def tiling(graph: Graph) -> str:
    node = graph["y"]
    return row_geometry(node, tuple(graph.shapes[name] for name in node.inputs), graph.shapes["y"]).refusal


def onnx(graph: Graph) -> str:
    """Name the TFLite operators of a graph that the ONNX writer does not know."""

    def check() -> None:
        unknown = {op.code for op in lower_graph(graph, layouts=False).operators} - OPERATORS.keys() - MOVES.keys()
        if unknown:
            raise ModelError(f"({graph['y'].op}) is written as {', '.join(sorted(unknown))}, which has no ONNX form")

    return refusal(check)


ROOMS: dict[str, Callable[[Graph], str]] = {
    "shape": lambda graph: "" if len(graph.shapes["y"]) else "no shape",
    "reference": lambda graph: "" if computed(graph).shape == graph.shapes["y"] else "it has another shape",
    "Keras": lambda graph: refusal(lambda: to_keras(graph)),
    "cost": lambda graph: refusal(lambda: cost(graph)),
    "memory": lambda graph: refusal(lambda: plan_memory(graph)),
    "pruning": pruning,
    "tiling": tiling,
    "TFLite": lambda graph: refusal(lambda: write_tflite(graph)),
    "ONNX": onnx,
}
"""What every room says of a graph of one op: empty, or why it refuses the op."""

REFUSED: dict[str, set[str]] = {
    "Keras": {"interpolated_sum"},
    "pruning": {"separable_conv"},
    "tiling": {"conv_transpose", "separable_conv", "group_norm", "global_max_pool", "global_average_pool", "flatten", "input"},
    "TFLite": {"batch_norm"},
    "ONNX": {"batch_norm"},
}
"""The ops that a room refuses. An op that is in none of a room's tables fails here, and the message says which room it is."""


@pytest.mark.parametrize("room", ROOMS)
def test_every_op_is_in_every_table_or_refused_by_name(room: str) -> None:
    answers = {op: ROOMS[room](single(op)) for op in OPS}
    refused = {op: reason for op, reason in answers.items() if reason}
    assert set(refused) == REFUSED.get(room, set()), f"{room} has or lacks other ops than expected: {refused}"
    if room in ("Keras", "TFLite", "ONNX"):
        assert all(f"({op})" in reason for op, reason in refused.items()), "a refusal names the op"


def test_what_forgets_a_table_is_refused_by_its_name_in_the_rooms_that_miss_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record with nothing but a shape and a reference: the rooms that need no more have it, the others say what they lack."""
    bare = Op("bare", same_shape, lambda _attrs, _weights, x: -x[0])
    monkeypatch.setattr("u3p_edge.graph.ir.OPS", {**OPS, "bare": bare})
    graph = of(Node("y", "bare", ("x",)), shape=SHAPE)
    answers = {room: answer for room, ask in ROOMS.items() if (answer := ask(graph))}
    assert answers.keys() == {"Keras", "pruning", "tiling", "TFLite", "ONNX"}
    assert all("bare" in answer for answer in answers.values())
    assert "`Op.layers`" in answers["Keras"]
    assert "`Op.tflite`" in answers["TFLite"]


def test_a_layer_with_weights_and_no_rule_for_their_shapes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Forgetful has weights and no rule for their shapes \(`Layer.sizes`\)"):
        Layer("Forgetful", weights={"kernel": "kernel"})
