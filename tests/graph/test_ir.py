"""The graph as a value: what it refuses, what its functions give, and that nothing is ever changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node, ancestors, freeze, rename, subgraph, substitute, thaw


def conv(name: str, source: str, inside: int, outside: int, kernel: int = 3, **attrs: object) -> Node:
    weights = {"kernel": np.ones((kernel, kernel, inside, outside), np.float32)}
    return Node(name, "conv", (source,), {"padding": "same", **attrs}, weights)


def image(height: int = 32, width: int = 48, channels: int = 1) -> Node:
    return Node("image", "input", attrs={"shape": (None, height, width, channels)})


def fork() -> Graph:
    """image -> a -> b -> head, and a -> side."""
    return Graph(
        (
            image(),
            conv("a", "image", 1, 4),
            conv("side", "a", 4, 2),
            Node("b", "activation", ("a",), {"function": "relu"}),
            conv("head", "b", 4, 3),
        ),
        ("image",),
        ("side", "head"),
    )


def test_a_node_gets_its_ops_defaults_and_is_frozen() -> None:
    node = conv("a", "image", 1, 4)
    assert node.attrs["strides"] == (1, 1)
    assert node.attrs["activation"] == "linear"
    with pytest.raises(TypeError):
        node.attrs["strides"] = (2, 2)  # type: ignore[index]
    with pytest.raises(ValueError, match="read-only"):
        node.weights["kernel"][0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        node.name = "b"  # type: ignore[misc]


def test_weights_are_copied_from_writable_arrays_once() -> None:
    array = np.zeros((1, 1, 1, 1), np.float32)
    node = Node("a", "conv", ("image",), weights={"kernel": array})
    array += 1
    assert node.weights["kernel"].item() == 0
    assert dataclasses.replace(node, name="b").weights["kernel"] is node.weights["kernel"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"op": "lstm"}, "no op 'lstm'"),
        ({"op": "conv", "inputs": ("x",)}, "lacks the weight 'kernel'"),
        ({"op": "flatten", "inputs": ("x",), "attrs": {"axis": 1}}, "no attribute 'axis'"),
        ({"op": "activation", "inputs": ("x",)}, "lacks the attribute 'function'"),
        ({"op": "add"}, "cannot have 0 inputs"),
        ({"op": "flatten", "inputs": ("x", "y")}, "cannot have 2 inputs"),
        ({"op": "flatten", "inputs": ("x",), "weights": {"bias": np.zeros(1)}}, "no weight 'bias'"),
    ],
)
def test_a_node_that_cannot_be_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Node("n", **arguments)  # type: ignore[arg-type]


def test_a_graph_refuses_what_is_not_a_graph() -> None:
    nodes = fork().nodes
    with pytest.raises(ValueError, match="two nodes are named 'a'"):
        Graph((*nodes, nodes[1]), ("image",), ("head",))
    with pytest.raises(ValueError, match="'a' reads 'image', which no node before it computes"):
        Graph((nodes[1], nodes[0]), ("image",), ("a",))
    with pytest.raises(ValueError, match="outputs"):
        Graph(nodes, ("image",), ("nothing",))
    with pytest.raises(ValueError, match="inputs"):
        Graph(nodes, (), ("head",))


def test_equality_is_by_bits_of_the_weights() -> None:
    graph = fork()
    assert graph == fork()
    changed = dataclasses.replace(graph["a"], weights={"kernel": np.nextafter(graph["a"].weights["kernel"], np.float32(2))})
    assert substitute(graph, "a", [changed]) != graph


def test_consumers_and_ancestors() -> None:
    graph = fork()
    assert graph.consumers["a"] == ("side", "b")
    assert graph.consumers["head"] == ()
    assert graph.consumers is graph.consumers, "computed once"
    assert ancestors(graph, "side") == {"image", "a", "side"}
    assert ancestors(graph, "side", "b") == {"image", "a", "side", "b"}


def test_subgraph_drops_what_its_outputs_do_not_need() -> None:
    small = subgraph(fork(), ["side"])
    assert [node.name for node in small.nodes] == ["image", "a", "side"]
    assert small.outputs == ("side",)


def test_substitute_replaces_removes_and_inserts() -> None:
    graph = fork()
    without = substitute(graph, "b", [], result="a")
    assert "b" not in without
    assert without["head"].inputs == ("a",)
    pool = Node("pool", "max_pool", ("a",))
    behind = substitute(graph, "a", [graph["a"], pool])
    assert behind["pool"].inputs == ("a",)
    assert behind["side"].inputs == behind["b"].inputs == ("pool",)
    renamed = substitute(graph, "head", [conv("other", "b", 4, 3)])
    assert renamed.outputs == ("side", "other")
    assert graph == fork()


def test_rename_keeps_the_wiring() -> None:
    graph = rename(fork(), {"image": "x", "head": "mask"})
    assert graph.inputs == ("x",)
    assert graph.outputs == ("side", "mask")
    assert graph["a"].inputs == ("x",)
    with pytest.raises(ValueError, match="two nodes are named"):
        rename(fork(), {"a": "b"})


def test_shapes_follow_strides_padding_and_dilation() -> None:
    # 32x48: valid 3x3 with dilation 2 spans 5: 28x44; same with stride 2: ceil -> 14x22.
    graph = Graph(
        (
            image(),
            conv("valid", "image", 1, 4, padding="valid", dilation=(2, 2)),
            conv("strided", "valid", 4, 5, strides=(2, 2)),
            Node("up", "upsample", ("strided",), {"size": (2, 4)}),
            Node("flat", "flatten", ("up",)),
        ),
        ("image",),
        ("flat",),
    )
    shapes = graph.shapes
    assert shapes["image"] == (1, 32, 48, 1)
    assert shapes["valid"] == (1, 28, 44, 4)
    assert shapes["strided"] == (1, 14, 22, 5)
    assert shapes["up"] == (1, 28, 88, 5)
    assert shapes["flat"] == (1, 28 * 88 * 5)


def test_shapes_that_do_not_fit_name_the_node() -> None:
    with pytest.raises(ModelError, match=r"'b' \(conv\): 4 channels meet a kernel for 3"):
        _ = Graph((image(), conv("a", "image", 1, 4), conv("b", "a", 3, 1)), ("image",), ("b",)).shapes
    pool = Node("pool", "max_pool", ("image",))
    with pytest.raises(ModelError, match="'sum'"):
        _ = Graph((image(), pool, Node("sum", "add", ("image", "pool"))), ("image",), ("sum",)).shapes
    free = Node("image", "input", attrs={"shape": (None, None, None, 1)})
    with pytest.raises(ModelError, match="not fixed"):
        _ = Graph((free,), ("image",), ("image",)).shapes


def test_shapes_of_cuts_and_blocks() -> None:
    graph = Graph(
        (
            image(32, 48, 4),
            Node("cut", "crop", ("image",), {"cropping": ((1, 1), (0, 3)), "channels": (1, 4)}),
            Node("padded", "pad", ("cut",), {"padding": ((0, 0), (0, 1))}),
            Node("deep", "space_to_depth", ("padded",)),
            Node("wide", "depth_to_space", ("deep",), {"block": 1}),
            Node("back", "depth_to_space", ("wide",)),
        ),
        ("image",),
        ("back",),
    )
    shapes = graph.shapes
    assert shapes["cut"] == (1, 30, 45, 3)
    assert shapes["deep"] == shapes["wide"] == (1, 15, 23, 4 * 3)
    assert shapes["back"] == shapes["padded"] == (1, 30, 46, 3)


@pytest.mark.parametrize(
    ("op", "attrs", "message"),
    [
        ("crop", {"cropping": ((0, 0), (0, 0)), "channels": (2, 2)}, r"'y' \(crop\): there are no channels 2 to 2 of 6"),
        ("crop", {"cropping": ((0, 0), (0, 0)), "channels": (4, 7)}, "no channels 4 to 7 of 6"),
        ("crop", {"cropping": ((0, 0), (0, 0)), "channels": (-1, 2)}, "no channels -1 to 2 of 6"),
        ("crop", {"cropping": ((0, 32), (0, 0)), "channels": (0, 2)}, "leaves nothing of 32x48"),
        ("space_to_depth", {"block": 3}, r"'y' \(space_to_depth\): 32x48 is not made of blocks of 3x3"),
        ("depth_to_space", {"block": 2}, r"'y' \(depth_to_space\): 6 channels do not make blocks of 2x2"),
    ],
)
def test_cuts_and_blocks_that_do_not_fit_are_refused(op: str, attrs: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        _ = Graph((image(32, 48, 6), Node("y", op, ("image",), attrs)), ("image",), ("y",)).shapes


def test_thaw_undoes_freeze() -> None:
    value = {"a": [1, {"b": [None, "c"]}]}
    assert thaw(freeze(value)) == value
