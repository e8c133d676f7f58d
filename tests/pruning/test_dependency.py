"""Which slices belong together: through every op, by exact positions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.prunable_graphs import conv, cut, group, linear, networks, norm, of, op
from tests.support.rewrite_sites import drawn
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import OPS
from u3p_edge.pruning.dependency import find_groups, least_connected


def members(graph: Graph, name: str) -> dict[tuple[str, str, int], list[list[int]]]:
    return {(m.node, m.weight, m.axis): m.positions.tolist() for m in group(graph, name).members}


def frozen(graph: Graph, name: str) -> str:
    return group(graph, name).frozen


def test_a_concatenation_offsets_the_slices_of_its_reader() -> None:
    graph = of(
        conv("a", "x", 3, 2),
        norm("n", "a", 2),
        conv("b", "x", 3, 3),
        op("all", "concat", "n", "b", "n"),
        conv("y", "all", 7, 1),
    )
    assert members(graph, "a") == {
        ("a", "kernel", 3): [[0], [1]],
        ("a", "bias", 0): [[0], [1]],
        **{("n", key, 0): [[0], [1]] for key in ("gamma", "beta", "mean", "variance")},
        ("y", "kernel", 2): [[0, 2 + 3 + 0], [1, 2 + 3 + 1]],
    }
    assert members(graph, "b")["y", "kernel", 2] == [[2 + 0], [2 + 1], [2 + 2]]
    channels = group(graph, "a")
    assert {m.node for m in channels.members if m.role == "consumer"} == {"y"}
    assert {name: places.tolist() for name, places in channels.tensors.items()} == {
        "a": [[0], [1]],
        "n": [[0], [1]],
        "all": [[0, 5], [1, 6]],
    }


def test_inputs_and_outputs_are_groups_that_must_stay() -> None:
    graph = of(conv("a", "x", 3, 2), conv("y", "a", 2, 4), outputs=("y",))
    assert [(channels.name, channels.size) for channels in find_groups(graph)] == [("x", 3), ("a", 2), ("y", 4)]
    assert frozen(graph, "x") == "'x' is an input of the model"
    assert frozen(graph, "a") == ""
    assert frozen(graph, "y") == "'y' is an output of the model"
    assert frozen(replace(graph, outputs=("y", "a")), "a") == "'a' is an output of the model"


@pytest.mark.parametrize("kind", ["add", "subtract", "multiply", "maximum", "minimum", "average"])
def test_merged_maps_are_one_group(kind: str) -> None:
    graph = of(conv("a", "x", 3, 2), conv("b", "x", 3, 2), op("s", kind, "a", "b"), conv("y", "s", 2, 1))
    assert [channels.name for channels in find_groups(graph)] == ["x", "a", "y"]
    assert members(graph, "a")["b", "kernel", 3] == [[0], [1]]


def test_maps_joined_along_rows_are_one_group() -> None:
    graph = of(conv("a", "x", 3, 2), conv("b", "x", 3, 2), op("j", "concat", "a", "b", axis=1), conv("y", "j", 2, 1))
    assert members(graph, "a")["b", "kernel", 3] == members(graph, "a")["y", "kernel", 2] == [[0], [1]]


def test_a_sum_with_a_concatenation_couples_each_part_with_its_own_channels() -> None:
    parts = [conv("a", "x", 3, 1), conv("b", "x", 3, 2), op("ab", "concat", "a", "b"), conv("c", "x", 3, 3)]
    graph = of(*parts, op("s", "add", "c", "ab"), conv("y", "s", 3, 1))
    assert [(channels.name, channels.size) for channels in find_groups(graph)] == [("x", 3), ("a", 1), ("b", 2), ("y", 1)]
    assert members(graph, "a")["c", "kernel", 3] == [[0]]
    assert members(graph, "b")["c", "kernel", 3] == [[1 + 0], [1 + 1]]


def test_channels_of_one_node_that_are_read_differently_are_groups_of_their_own() -> None:
    graph = of(conv("c", "x", 3, 3), conv("a", "x", 3, 1), conv("b", "x", 3, 2), op("ab", "concat", "a", "b"))
    graph = replace(graph, nodes=(*graph.nodes, op("s", "add", "c", "ab"), conv("y", "s", 3, 1)), outputs=("y",))
    assert [(channels.name, channels.size) for channels in find_groups(graph)] == [("x", 3), ("c:0", 1), ("c:1", 2), ("y", 1)]


def test_a_map_of_one_channel_that_gates_all_must_stay() -> None:
    graph = of(
        conv("a", "x", 3, 4),
        conv("gate", "a", 4, 1, activation="sigmoid"),
        op("m", "multiply", "a", "gate"),
        conv("y", "m", 4, 1),
    )
    assert frozen(graph, "a") == ""
    assert frozen(graph, "gate") == "'m' spreads it over all channels of another map"


def test_a_depthwise_convolution_passes_channels_and_multiplies_them() -> None:
    graph = of(conv("a", "x", 3, 2), linear("d", "depthwise_conv", "a", (3, 3, 2, 2)), conv("y", "d", 4, 1))
    assert members(graph, "a") == {
        ("a", "kernel", 3): [[0], [1]],
        ("a", "bias", 0): [[0], [1]],
        ("d", "kernel", 2): [[0], [1]],
        ("d", "bias", 0): [[0, 1], [2, 3]],
        ("y", "kernel", 2): [[0, 1], [2, 3]],
    }


def test_a_transposed_convolution_reads_and_makes() -> None:
    graph = of(conv("a", "x", 3, 2), linear("t", "conv_transpose", "a", (2, 2, 2, 3)), conv("y", "t", 3, 1))
    assert members(graph, "a")["t", "kernel", 2] == [[0], [1]]
    assert members(graph, "t")["t", "kernel", 3] == [[0], [1], [2]]


def test_a_dense_layer_reads_each_channel_once_after_a_pooling_and_everywhere_after_flattening() -> None:
    pooled = of(conv("a", "x", 3, 2), op("p", "global_average_pool", "a"), linear("y", "dense", "p", (2, 5)))
    assert members(pooled, "a")["y", "kernel", 0] == [[0], [1]]
    flat = of(conv("a", "x", 3, 2), op("f", "flatten", "a"), linear("y", "dense", "f", (2 * 2 * 2, 5)), size=(2, 2))
    assert members(flat, "a")["y", "kernel", 0] == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_views_that_keep_channels_pass_them() -> None:
    columns = [op("v", "reshape", "a", target_shape=(2, 8, 2)), op("c", "crop", "v", cropping=((0, 0), (0, 4)))]
    rows = [op("p", "pad", "c", padding=((1, 1), (0, 0))), op("j", "concat", "p", "p", axis=1)]
    graph = of(conv("a", "x", 3, 2), *columns, *rows, conv("y", "j", 2, 1))
    assert members(graph, "a")["y", "kernel", 2] == [[0], [1]]


def test_views_of_columns_as_channels_and_back_keep_track() -> None:
    wide = of(conv("a", "x", 3, 2), op("v", "reshape", "a", target_shape=(4, 2, 4)), conv("y", "v", 4, 1))
    assert members(wide, "a")["y", "kernel", 2] == [[0, 2], [1, 3]]
    tall = of(conv("a", "x", 3, 6), op("v", "reshape", "a", target_shape=(4, 8, 3)), conv("y", "v", 3, 1))
    assert members(tall, "a")["a", "kernel", 3] == [[0, 3], [1, 4], [2, 5]]
    assert members(tall, "a")["y", "kernel", 2] == [[0], [1], [2]]


def test_cuts_of_a_map_are_groups_of_their_own() -> None:
    cuts = [cut("s", "a", 0, 1), cut("t", "a", 1, 4)]
    graph = of(conv("a", "x", 3, 4), *cuts, conv("b", "s", 1, 2), conv("c", "t", 3, 2), op("y", "add", "b", "c"))
    assert members(graph, "a:0")["b", "kernel", 2] == [[0]]
    assert members(graph, "a:1")["c", "kernel", 2] == [[0], [1], [2]]
    assert members(graph, "a:1")["a", "kernel", 3] == [[1], [2], [3]]


def test_blocks_of_places_are_channels_in_turn() -> None:
    deep = [conv("a", "x", 3, 8), op("d", "depth_to_space", "a"), conv("y", "d", 2, 1)]
    assert members(of(*deep), "a")["a", "bias", 0] == [[0, 2, 4, 6], [1, 3, 5, 7]]
    wide = [conv("a", "x", 3, 2), op("d", "space_to_depth", "a"), conv("y", "d", 8, 1)]
    assert members(of(*wide), "a")["y", "kernel", 2] == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_slopes_and_shifts_belong_to_their_channels_unless_they_are_shared() -> None:
    for shared, own in (((1, 2), [[0], [1]]), ((1, 2, 3), None)):
        alpha = {"alpha": drawn(1, 1, 1, 2 if own else 1)}
        slope = Node("p", "prelu", ("a",), {"shared_axes": shared}, alpha)
        parts = members(of(conv("a", "x", 3, 2), slope, conv("y", "p", 2, 1)), "a")
        assert parts.get(("p", "alpha", 2)) == own


FREEZING = {
    "softmax": (op("z", "softmax", "a"), "'z' takes a softmax over the channels"),
    "activation": (op("z", "activation", "a", function="softmax"), "'z' takes a softmax over the channels"),
    "layer_norm": (Node("z", "layer_norm", ("a",)), "'z' normalises over the channels"),
    "groups": (linear("z", "conv", "a", (1, 1, 2, 4), groups=2), "'z' is a grouped convolution"),
    "rescale": (op("z", "rescale", "a", scale=(1.0, 2.0, 3.0, 4.0)), "'z' scales every channel by another number"),
    "batch_norm": (
        Node("z", "batch_norm", ("a",), {"axis": (1, 3)}, {"mean": drawn(1, 4, 4), "variance": np.abs(drawn(2, 4, 4))}),
        "'z' normalises every place of a channel by itself",
    ),
}


@pytest.mark.parametrize("kind", FREEZING)
def test_what_mixes_channels_freezes_them_with_a_reason(kind: str) -> None:
    node, reason = FREEZING[kind]
    graph = of(conv("a", "x", 3, 4), node, conv("y", "z", 4, 1))
    assert frozen(graph, "a") == reason


def test_a_view_that_mixes_channels_freezes_both_sides() -> None:
    graph = of(
        conv("a", "x", 3, 4), op("v", "reshape", "a", target_shape=(-1, 6)), linear("y", "dense", "v", (6, 1)), size=(3, 4)
    )
    assert frozen(graph, "a") == frozen(graph, "v") == "'v' views 4 channels as 6, which mixes them"


def test_an_op_that_is_not_known_freezes_what_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("u3p_edge.graph.ir.OPS", {**OPS, "elu": replace(OPS["elu"], channelwise=False)})
    graph = of(conv("a", "x", 3, 2), op("z", "elu", "a"), conv("y", "z", 2, 1))
    assert frozen(graph, "a") == frozen(graph, "z") == "'z' (elu) is not known to keep channels apart"


def test_a_softmax_over_places_is_not_in_the_way() -> None:
    graph = of(conv("a", "x", 3, 2), op("z", "softmax", "a", axis=1), conv("y", "z", 2, 1))
    assert frozen(graph, "a") == ""


@given(networks())
@settings(max_examples=40, deadline=None)
def test_groups_part_all_channels_of_all_tensors_and_weights(graph: Graph) -> None:
    weights: dict[tuple[str, str, int], list[int]] = defaultdict(list)
    tensors: dict[str, list[int]] = defaultdict(list)
    for channels in find_groups(graph):
        assert all(places.shape[0] == channels.size for places in channels.tensors.values())
        for member in channels.members:
            assert member.positions.shape[0] == channels.size
            weights[member.node, member.weight, member.axis] += member.positions.ravel().tolist()
        for name, places in channels.tensors.items():
            tensors[name] += places.ravel().tolist()
    for (node, key, axis), indices in weights.items():
        assert sorted(indices) == list(range(graph[node].weights[key].shape[axis]))
    assert {name: sorted(indices) for name, indices in tensors.items()} == {
        name: list(range(shape[-1])) for name, shape in graph.shapes.items()
    }
    assert len({channels.name for channels in find_groups(graph)}) == len(find_groups(graph))


@given(st.integers(1, 40), st.data())
def test_every_number_is_led_to_the_least_that_it_is_connected_to(count: int, data: st.DataObject) -> None:
    numbers = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(numbers, numbers), max_size=60))
    least = least_connected(count, np.array(pairs, np.intp).reshape(-1, 2).T)
    expected = list(range(count))
    for _ in range(count):  # no way is longer
        for a, b in pairs:
            expected[a] = expected[b] = min(expected[a], expected[b])
    assert least.tolist() == expected
