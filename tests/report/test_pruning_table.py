"""The table of what pruning took from each layer: which nodes are counted with it, its channels and its milliseconds."""

from __future__ import annotations

import json

import numpy as np

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.report.pruning_table import PruningRow, as_values, parts, pruning_rows, pruning_table


def conv(name: str, source: str, inputs: int, outputs: int) -> Node:
    return Node(name, "conv", (source,), {"padding": "same"}, {"kernel": np.ones((3, 3, inputs, outputs), np.float32)})


def network(first: int, deep: int, branch: int) -> Graph:
    """Two scales of that many channels, joined by a branch of `branch` channels at each end; one of 0 channels is gone."""
    small = [conv("small", "up", deep, branch)] if branch else []
    joined = [Node("joined", "concat", ("large", "small"))] if branch else []
    nodes = (
        Node("image", "input", (), {"shape": (1, 16, 16, 1)}),
        conv("first", "image", 1, first),
        Node("relu", "activation", ("first",), {"function": "relu"}),
        Node("pool", "max_pool", ("relu",)),
        conv("deep", "pool", first, deep),
        conv("large", "relu", first, 4),
        Node("up", "upsample", ("deep",), {"size": (2, 2)}),
        *small,
        *joined,
        conv("fuse", "joined" if branch else "large", 4 + branch, 8),
        Node("mask", "activation", ("fuse",), {"function": "sigmoid"}),
    )
    return Graph(nodes, ("image",), ("mask",))


BEFORE, AFTER = network(8, 16, 4), network(6, 12, 0)
BEFORE_MS = {
    "first": 0.5,
    "pool": 0.25,
    "deep": 0.5,
    "large": 1.0,
    "up": 0.5,
    "small": 1.5,
    "joined": 0.5,
    "fuse": 4.0,
    "mask": 0.25,
}
AFTER_MS = {"first": 0.375, "pool": 0.125, "deep": 0.25, "large": 1.0, "fuse": 1.5, "mask": 0.25}


def test_a_node_without_a_kernel_belongs_to_the_one_layer_that_reads_it_else_to_the_one_before() -> None:
    assert parts(BEFORE) == {
        "image": "first", "first": "first", "relu": "first", "pool": "deep", "deep": "deep", "large": "large",
        "up": "small", "small": "small", "joined": "fuse", "fuse": "fuse", "mask": "fuse",
    }  # fmt: skip


def test_a_network_without_kernels_has_no_parts() -> None:
    nodes = (Node("x", "input", (), {"shape": (1, 16, 16, 1)}), Node("y", "activation", ("x",), {"function": "relu"}))
    graph = Graph(nodes, ("x",), ("y",))
    assert parts(graph) == {}
    assert pruning_rows(graph, graph, {}, {}) == (PruningRow("total", 0, 0, None, None),)


def test_every_part_has_its_channels_and_the_time_of_all_its_nodes() -> None:
    rows = pruning_rows(BEFORE, AFTER, BEFORE_MS, AFTER_MS)
    assert rows == (
        PruningRow("first", 8, 6, 0.5, 0.375),
        PruningRow("deep", 16, 12, 0.75, 0.375),
        PruningRow("large", 4, 4, 1.0, 1.0),
        PruningRow("small", 4, 0, 2.0, None),
        PruningRow("fuse", 8, 8, 4.75, 1.75),
        PruningRow("total", 40, 30, sum(BEFORE_MS.values()), sum(AFTER_MS.values())),
    )
    assert json.loads(json.dumps(as_values(rows)))[3] == {
        "part": "small", "channels_before": 4, "channels_after": 0, "ms_before": 2.0, "ms_after": None,
    }  # fmt: skip


def test_a_lost_layer_has_no_channels_and_a_dash_for_its_time() -> None:
    lines = pruning_table(pruning_rows(BEFORE, AFTER, BEFORE_MS, AFTER_MS)).splitlines()
    assert lines[0] == "| part | channels before | channels after | ms before | ms after |"
    assert "| small | 4 | 0 | 2.000 | – |" in lines
    assert lines[-1] == "| total | 40 | 30 | 9.000 | 3.500 |"


def test_without_times_there_are_only_channels() -> None:
    rows = pruning_rows(BEFORE, AFTER, {}, {})
    assert rows[0] == PruningRow("first", 8, 6, None, None)
    assert pruning_table(rows).splitlines()[-1] == "| total | 40 | 30 | – | – |"
