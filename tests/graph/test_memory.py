"""The memory plan: lives, views, fused nodes, and offsets that never collide."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.memory import ALIGNMENT, ArenaSlot, MemoryPlan, fused_nodes, plan_memory
from u3p_edge.graph.ops import OPS


def image(height: int = 8, width: int = 8, channels: int = 1) -> Node:
    return Node("x", "input", attrs={"shape": (None, height, width, channels)})


def conv(name: str, source: str, inputs: int, outputs: int) -> Node:
    kernel = np.zeros((1, 1, inputs, outputs), np.float32)
    return Node(name, "conv", (source,), {"activation": "relu"}, {"kernel": kernel})


def graph_of(*nodes: Node, outputs: tuple[str, ...] = ()) -> Graph:
    return Graph(nodes, ("x",), outputs or (nodes[-1].name,))


def placed(found: MemoryPlan) -> dict[str, ArenaSlot]:
    return {tensor.name: tensor for tensor in found.tensors}


def skip() -> Graph:
    """A network with one skip connection, on maps of 8x8 = 64 and 4x4 = 16 pixels."""
    return graph_of(
        image(),  # 64 * 1 = 64 bytes                   alive 0-1
        conv("a", "x", 1, 4),  # 64 * 4 = 256           alive 1-5, the skip
        Node("p", "max_pool", ("a",)),  # 16 * 4 = 64   alive 2-3
        conv("b", "p", 4, 8),  # 16 * 8 = 128           alive 3-4
        Node("u", "upsample", ("b",)),  # 64 * 8 = 512  alive 4-5
        Node("c", "concat", ("a", "u")),  # 64 * 12 = 768, alive 5-6
        conv("y", "c", 12, 2),  # 64 * 2 = 128          alive 6-6
    )


def test_a_small_network_by_hand() -> None:
    plan = plan_memory(skip())
    # Largest first: c [768] at 0. u [512] lives with c (at 5), so behind it: 768. a [256] lives with c and u: 768 + 512 =
    # 1280. b [128] lives with a and u (3-4): the gap 0-768 before u holds it: 0. y [128] lives with c alone: 768. x [64]
    # lives with a alone: the gap 0-1280: 0. p [64] lives with a and b: the gap 128-1280 is the only one: 128.
    assert {name: (t.offset, t.bytes, t.first, t.last) for name, t in placed(plan).items()} == {
        "x": (0, 64, 0, 1),
        "a": (1280, 256, 1, 5),
        "p": (128, 64, 2, 3),
        "b": (0, 128, 3, 4),
        "u": (768, 512, 4, 5),
        "c": (0, 768, 5, 6),
        "y": (768, 128, 6, 6),
    }
    assert plan.peak == 1280 + 256
    # Alive by node: 0: 64, 1: 64 + 256, 2: 256 + 64, 3: 256 + 64 + 128, 4: 256 + 128 + 512, 5: 256 + 512 + 768.
    assert plan.live_peak == 256 + 512 + 768
    assert plan.at_peak == ("a", "u", "c")


def test_the_smallest_gap_that_holds_a_tensor_is_taken() -> None:
    nodes = (
        image(),  # 64 bytes, placed after all below
        conv("a", "x", 1, 10),  # 640 to the end: 0
        conv("wide", "x", 1, 9),  # 576 until it is pooled: 640
        conv("b", "x", 1, 8),  # 512 to the end: 640 + 576 = 1216
        conv("narrow", "x", 1, 7),  # 448 until it is pooled: 1216 + 512 = 1728
        conv("c", "x", 1, 6),  # 384 to the end: 1728 + 448 = 2176
        Node("pool", "global_max_pool", ("wide",)),
        Node("pool_", "global_max_pool", ("narrow",)),
        conv("y", "x", 1, 5),  # 320: both gaps hold it, the first of 576 at 640, the second of 448 at 1728
    )
    buffers = placed(plan_memory(graph_of(*nodes, outputs=("a", "b", "c", "y"))))
    offsets = {"a": 0, "wide": 640, "b": 1216, "narrow": 1728, "c": 2176, "y": 1728}
    assert {name: buffers[name].offset for name in offsets} == offsets


def test_float_activations_are_four_times_as_large() -> None:
    assert plan_memory(skip(), bytes_per_element=4).peak == 4 * plan_memory(skip()).peak


def test_sizes_are_rounded_up_to_the_alignment() -> None:
    graph = graph_of(image(5, 5), Node("y", "relu", ("x",)))  # 25 bytes each
    assert plan_memory(graph).peak == 2 * ALIGNMENT == 128
    assert plan_memory(graph, alignment=16).peak == 2 * 32
    assert plan_memory(graph, alignment=1).peak == 2 * 25


@pytest.mark.parametrize("op", [op for op, kind in OPS.items() if kind.view])
def test_a_view_shares_its_sources_buffer_and_prolongs_its_life(op: str) -> None:
    attrs: dict[str, Any] = {"target_shape": (64,)} if op == "reshape" else {}
    graph = graph_of(
        image(),
        conv("a", "x", 1, 1),
        Node("v", op, ("a",), attrs),
        Node("other", "max_pool", ("x",)),
        Node("y", "relu", ("v",)),
    )
    buffers = placed(plan_memory(graph))
    assert "v" not in buffers
    assert (buffers["a"].first, buffers["a"].last) == (1, 4)


def test_a_view_of_a_view_that_is_an_output_keeps_the_first_buffer_to_the_end() -> None:
    graph = graph_of(
        image(),
        conv("a", "x", 1, 1),
        Node("v", "flatten", ("a",)),
        Node("w", "reshape", ("v",), {"target_shape": (4, 4, 4)}),
        conv("y", "x", 1, 1),
        outputs=("w", "y"),
    )
    buffers = placed(plan_memory(graph))
    assert set(buffers) == {"x", "a", "y"}
    assert buffers["a"].last == 4


def residual(after: Node, *, outputs: tuple[str, ...] = ("y",)) -> Graph:
    sources = (conv("a", "x", 1, 4), conv("b", "x", 1, 4), Node("s", "add", ("a", "b")))
    return graph_of(image(), *sources, after, outputs=outputs)


def test_a_sum_that_only_a_relu_reads_takes_no_memory_and_its_terms_live_until_the_relu() -> None:
    graph = residual(Node("y", "activation", ("s",), {"function": "relu"}))
    assert fused_nodes(graph) == {"s"}
    plan = plan_memory(graph)
    assert set(placed(plan)) == {"x", "a", "b", "y"}
    assert placed(plan)["a"].last == placed(plan)["b"].last == 4
    # a, b and y together; stored, the sum would stand in for y, and the relu behind it would need two maps alone.
    assert plan.peak == plan.live_peak == 3 * 256
    assert set(placed(plan_memory(graph, fused=()))) == {"x", "a", "b", "s", "y"}


@pytest.mark.parametrize(
    "graph",
    [
        residual(Node("y", "relu", ("s",)), outputs=("s", "y")),
        residual(Node("y", "relu", ("s",), {"negative_slope": 0.1})),
        residual(Node("y", "relu", ("s",), {"threshold": 1.0})),
        residual(Node("y", "activation", ("s",), {"function": "sigmoid"})),
        graph_of(*residual(Node("r", "relu", ("s",)), outputs=("r",)).nodes, Node("y", "multiply", ("s", "r"))),
        graph_of(image(), Node("s", "concat", ("x", "x")), Node("y", "relu", ("s",))),
    ],
    ids=["an output", "leaky", "threshold", "sigmoid", "read twice", "concat"],
)
def test_what_must_be_stored_is_not_fused(graph: Graph) -> None:
    assert fused_nodes(graph) == frozenset()


@pytest.mark.parametrize("relu", [Node("y", "relu", ("s",)), Node("y", "relu", ("s",), {"max_value": 6})])
def test_both_relus_that_runtimes_fuse_count(relu: Node) -> None:
    assert fused_nodes(residual(relu)) == {"s"}


def test_a_chain_of_fused_nodes_reads_its_sources_at_its_end() -> None:
    graph = graph_of(
        image(),
        conv("a", "x", 1, 1),
        Node("s", "add", ("a", "x")),
        Node("t", "multiply", ("s", "x")),
        Node("between", "max_pool", ("x",)),
        Node("y", "relu", ("t",)),
    )
    buffers = placed(plan_memory(graph, fused=("s", "t")))
    assert set(buffers) == {"x", "a", "between", "y"}
    assert buffers["a"].last == 5


def test_a_view_of_a_fused_node_is_a_buffer_of_its_own() -> None:
    graph = graph_of(image(), Node("s", "add", ("x", "x")), Node("y", "flatten", ("s",)))
    assert set(placed(plan_memory(graph, fused=("s",)))) == {"x", "y"}


def test_a_fused_node_that_there_is_not_is_named() -> None:
    with pytest.raises(ModelError, match="'nowhere'"):
        plan_memory(skip(), fused=("nowhere",))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Maps of one size and any number of channels, views, sums with and without a ReLU behind, any outputs."""
    nodes = [image(4, 4, draw(st.integers(1, 9)))]
    channels = {"x": nodes[0].attrs["shape"][3]}
    for index in range(draw(st.integers(1, 14))):
        name, source = f"n{index}", draw(st.sampled_from(sorted(channels)))
        op = draw(st.sampled_from(["conv", "concat", "relu", "identity", "reshape", "add", "multiply"]))
        same = [other for other in sorted(channels) if channels[other] == channels[source]]
        inputs = (source, draw(st.sampled_from(same))) if op in ("add", "multiply", "concat") else (source,)
        outputs = {"concat": 2 * channels[source], "conv": draw(st.integers(1, 9))}.get(op, channels[source])
        attrs = {"target_shape": (4, 4, outputs)} if op == "reshape" else {}
        nodes.append(conv(name, source, channels[source], outputs) if op == "conv" else Node(name, op, inputs, attrs))
        channels[name] = outputs
    chosen = draw(st.lists(st.sampled_from(sorted(channels)), min_size=1, max_size=3, unique=True))
    return graph_of(*nodes, outputs=tuple(chosen))


@settings(max_examples=200, deadline=None)
@given(graph=graphs(), alignment=st.sampled_from([1, 16, 64]))
def test_what_is_alive_at_the_same_time_lies_apart(graph: Graph, alignment: int) -> None:
    plan = plan_memory(graph, alignment=alignment)
    for a, b in combinations(plan.tensors, 2):
        apart = a.last < b.first or b.last < a.first
        assert apart or a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
    assert all(tensor.offset % alignment == 0 for tensor in plan.tensors)
    assert plan.peak == max(tensor.offset + tensor.bytes for tensor in plan.tensors)
    assert plan.peak >= plan.live_peak


@settings(max_examples=200, deadline=None)
@given(graph=graphs())
def test_the_live_peak_is_what_counting_at_every_node_finds(graph: Graph) -> None:
    plan = plan_memory(graph)
    alive = [[t for t in plan.tensors if t.first <= index <= t.last] for index in range(len(graph.nodes))]
    assert plan.live_peak == max(sum(t.bytes for t in tensors) for tensors in alive)
    assert plan.at_peak in [tuple(t.name for t in tensors) for tensors in alive]
    assert sum(placed(plan)[name].bytes for name in plan.at_peak) == plan.live_peak


def bytes_read(graph: Graph, node: Node, fused: frozenset[str]) -> set[str]:
    """The buffers a node reads, through views and fused nodes, by following the graph by hand."""
    sources = set()
    for name in node.inputs:
        source = graph[name]
        through = name in fused or source.op in ("identity", "reshape")
        sources |= bytes_read(graph, source, fused) if through else {name}
    return sources


@settings(max_examples=200, deadline=None)
@given(graph=graphs())
def test_whatever_a_node_reads_is_there_when_it_runs(graph: Graph) -> None:
    found, fused = placed(plan_memory(graph)), fused_nodes(graph)
    for place, node in enumerate(graph.nodes):
        if node.name in fused:
            continue
        for name in bytes_read(graph, node, fused):
            assert found[name].first <= place <= found[name].last
