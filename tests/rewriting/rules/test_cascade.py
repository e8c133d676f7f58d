"""Poolings of what is pooled: fires, structure, bits, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rewrite_sites import drawn, image
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.reference import run
from u3p_edge.rewriting.engine import apply_selections
from u3p_edge.rewriting.rule import Match, Refusal
from u3p_edge.rewriting.rules.cascade import PoolCascade, cascade_pools


def pooled(*sizes: int, height: int = 16, width: int = 24, strides: int | None = None) -> Graph:
    """The map `x` pooled by each size, as `p0`, `p1`, ..., all given back."""
    pools = [
        Node(f"p{i}", "max_pool", ("x",), {"pool_size": (size, size), "strides": (strides or size,) * 2})
        for i, size in enumerate(sizes)
    ]
    return Graph((image(height, width, 3), *pools), ("x",), tuple(pool.name for pool in pools))


def test_each_pooling_reads_the_coarsest_that_tiles_it() -> None:
    new = cascade_pools(pooled(2, 4, 8))
    assert [(new[f"p{i}"].inputs, new[f"p{i}"].attrs["pool_size"]) for i in range(3)] == [
        (("x",), (2, 2)),
        (("p0",), (2, 2)),
        (("p0",), (4, 4)),  # by then p1 reads p0 itself
    ]


def test_the_same_pooling_twice_is_one() -> None:
    graph = pooled(2, 2)
    summed = Graph((*graph.nodes, Node("y", "add", ("p0", "p1"))), ("x",), ("y",))
    assert apply_selections(summed, ())["y"].inputs == ("p0", "p0")


@given(st.lists(st.sampled_from([1, 2, 3, 4, 6, 8, 12]), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_the_maxima_are_the_same_bits(sizes: list[int]) -> None:
    graph = pooled(*sizes, height=24, width=48)
    feeds = {"x": drawn(3, 1, 24, 48, 3)}
    before, after = run(graph, feeds), run(cascade_pools(graph), feeds)
    for name in graph.outputs:
        np.testing.assert_array_equal(before[name], after[name])


@pytest.mark.parametrize(
    ("graph", "name", "reason"),
    [
        (pooled(2, 4, strides=1), "p1", "tile"),
        (pooled(2, 4, height=18), "p1", "tile"),
        (pooled(4, 2), "p1", "finer"),
        (pooled(2, 3, height=12, width=12), "p1", "finer"),
    ],
)
def test_refusals_say_why(graph: Graph, name: str, reason: str) -> None:
    match = PoolCascade().match(graph, name)
    assert isinstance(match, Refusal)
    assert reason in match.reason


def test_it_is_about_max_pooling_alone() -> None:
    graph = Graph((image(4, 4, 1), Node("y", "average_pool", ("x",))), ("x",), ("y",))
    assert PoolCascade().match(graph, "y") is None
    assert isinstance(PoolCascade().match(pooled(2, 4), "p1"), Match)
