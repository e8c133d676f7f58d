"""Fusing interpolated sums: fires, structure, numbers, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rewrite_sites import drawn, image, upsampled
from tests.support.rule_checks import apply_rule
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.reference import run
from u3p_edge.rewriting.interpolated_sums import MOST, fuse_interpolated_sums
from u3p_edge.rewriting.rules.one_interpolation import OneInterpolation
from u3p_edge.rewriting.rules.separable import Separable


def separable(graph: Graph, rule: Separable | OneInterpolation | None = None) -> Graph:
    return apply_rule(rule or Separable(), graph)


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def values(graph: Graph) -> np.ndarray:
    return run(graph, {"x": drawn(3, *graph.shapes["x"])})["y"]


@given(
    size=st.tuples(st.integers(3, 6), st.integers(3, 6)),
    factor=st.tuples(st.integers(1, 5), st.integers(1, 5)).filter(lambda f: f != (1, 1)),
    kernel=st.sampled_from([3, 5]),
    interpolation=st.sampled_from(["bilinear", "nearest"]),
    activation=st.sampled_from(["linear", "relu"]),
)
@settings(max_examples=40, deadline=None)
def test_fused_sums_give_the_same_bits(
    size: tuple[int, int], factor: tuple[int, int], kernel: int, interpolation: str, activation: str
) -> None:
    graph = separable(upsampled(size, 2, 3, factor, kernel, interpolation=interpolation, activation=activation))
    other = fuse_interpolated_sums(graph)
    # The reference adds the same terms in the same order.
    np.testing.assert_array_equal(values(other), values(graph))
    within = [2 <= s <= MOST and kernel // 2 <= (s + 1) // 2 for s in factor]
    assert ops(other).count("interpolated_sum") == sum(within)


def test_a_branch_is_left_with_its_products_and_one_sum_along_each_axis() -> None:
    graph = fuse_interpolated_sums(separable(upsampled((4, 6), channels=8, filters=2, factor=(4, 2))))
    shapes = graph.shapes
    assert ops(graph) == ["input", *["conv"] * 3, "concat", *["interpolated_sum"] * 2, "activation"]
    assert [shapes[name] for name in ("y_taps", "y_rows", "y_sum2", "y")] == [
        (1, 4, 3 * 6, 6), (1, 16, 6, 6), (1, 16, 12, 2), (1, 16, 12, 2),
    ]  # fmt: skip
    rows, columns = (graph[name].attrs for name in ("y_rows", "y_sum2"))
    assert (rows["axis"], rows["factor"], rows["taps"]) == (1, 4, 3)
    assert (columns["axis"], columns["factor"], columns["taps"]) == (2, 2, 3)


def test_one_interpolation_keeps_its_own_along_columns() -> None:
    graph = separable(upsampled((4, 6), factor=(4, 4)), OneInterpolation())
    other = fuse_interpolated_sums(graph)
    assert ops(other).count("interpolated_sum") == 1
    assert [node.attrs["size"] for node in other.nodes if node.op == "upsample"] == [(1, 4)]
    np.testing.assert_array_equal(values(other), values(graph))


def test_what_somebody_else_reads_stays() -> None:
    graph = separable(upsampled((4, 6), factor=(2, 2)))
    both = replace(graph, outputs=("y", "y_taps_rows"))
    assert "y_taps_rows" in fuse_interpolated_sums(both)
    partial = replace(graph, outputs=("y", "y_rows_sum1"))  # a partial sum, which a fused one does not have
    assert ops(fuse_interpolated_sums(partial)).count("interpolated_sum") == 1


def by_hand(*, shift: int = 1, last: int = 12, factor: int = 2, taps: int = 3) -> Graph:
    """A sum along columns of maps of 4 channels, of an image of 12; what each option is by default makes it one."""
    nodes, terms = [image(3, 5, 12)], []
    for b in range(taps):
        end = 4 * (b + 1) if b < taps - 1 else last
        cut = Node(f"cut{b}", "crop", ("x",), {"cropping": ((0, 0), (0, 0)), "channels": (end - 4, end)})
        up = Node(f"up{b}", "upsample", (cut.name,), {"size": (1, factor), "interpolation": "bilinear"})
        by = shift * (b - taps // 2)
        lost, filled = ((by, 0), (0, by)) if by > 0 else ((0, -by), (-by, 0))
        nodes += [cut, up, Node(f"lost{b}", "crop", (up.name,), {"cropping": ((0, 0), lost)})]
        nodes.append(Node(f"term{b}", "pad", (f"lost{b}",), {"padding": ((0, 0), filled)}))
        terms.append(nodes[-1].name)
    for b, term in enumerate(terms[1:]):
        nodes.append(Node("y" if term == terms[-1] else f"sum{b}", "add", (terms[0] if not b else f"sum{b - 1}", term)))
    return Graph(tuple(nodes), ("x",), ("y",))


@pytest.mark.parametrize(
    "graph",
    [by_hand(shift=2), by_hand(shift=-1), by_hand(last=11), by_hand(factor=MOST + 1), by_hand(taps=2)],
    ids=["shifted by two", "shifted the other way", "not side by side", "a large factor", "two terms"],
)
def test_other_sums_are_left_alone(graph: Graph) -> None:
    assert ops(fuse_interpolated_sums(by_hand())) == ["input", "interpolated_sum"]
    assert fuse_interpolated_sums(graph) is graph


def test_a_crop_that_chooses_no_channels_is_no_term() -> None:
    """As a file of somebody else's may have it."""
    graph = by_hand()
    plain = [replace(n, attrs={"cropping": ((0, 0), (0, 0))}) if n.name.startswith("cut") else n for n in graph.nodes]
    whole = replace(graph, nodes=tuple(plain))
    assert fuse_interpolated_sums(whole) is whole


@pytest.mark.parametrize(
    ("attrs", "reason"),
    [
        ({"taps": 5, "axis": 1, "factor": 4}, "12 columns are not 5 maps"),
        ({"taps": 5, "factor": 4}, "9 channels are not 5 maps"),
        ({"axis": 3}, "axis 3"),
        ({"taps": 2}, "2 taps"),
        ({"taps": 1, "factor": 1}, "upsampled by 1"),
        ({"axis": 1, "cut": (True, True)}, "2 places are too few"),
    ],
)
def test_a_sum_that_cannot_be_is_refused(attrs: dict[str, object], reason: str) -> None:
    node = Node("y", "interpolated_sum", ("x",), {"axis": 2, **attrs})
    with pytest.raises(ModelError, match=reason):
        _ = Graph((image(2, 12, 9), node), ("x",), ("y",)).shapes
