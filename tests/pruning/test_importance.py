"""Importance of channels: each measure by hand on a small graph, by what it predicts, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.prunable_graphs import conv, group, norm, of, op
from tests.support.rewrite_sites import drawn
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.reference import run
from u3p_edge.pruning.apply import mask_channels
from u3p_edge.pruning.importance.magnitude import magnitude
from u3p_edge.pruning.importance.norm_scale import norm_scale
from u3p_edge.pruning.importance.reconstruction import reconstruction
from u3p_edge.pruning.importance.taylor import taylor
from u3p_edge.pruning.plan import PruningPlan


def chain() -> Graph:
    """Three channels in, `a` to 4, normalised, `b` to 2."""
    return of(conv("a", "x", 3, 4), norm("n", "a", 4), op("r", "relu", "n"), conv("b", "r", 4, 2, kernel=3))


def scaled(graph: Graph, node: str, weight: str, factors: list[float]) -> Graph:
    """The graph with a weight's last axis scaled."""
    nodes = tuple(
        replace(n, weights={**n.weights, weight: n.weights[weight] * np.array(factors, np.float32)}) if n.name == node else n
        for n in graph.nodes
    )
    return replace(graph, nodes=nodes)


def test_magnitude_is_the_norm_of_what_makes_and_reads_a_channel_beside_the_mean() -> None:
    graph = chain()
    a, b = graph["a"].weights["kernel"].astype(np.float64), graph["b"].weights["kernel"].astype(np.float64)
    norms = np.sqrt((a**2).sum(axis=(0, 1, 2)) + (b**2).sum(axis=(0, 1, 3)))
    np.testing.assert_allclose(magnitude(graph)["a"], norms / norms.mean(), rtol=1e-12)  # float64 sums of 3 + 18 terms
    assert set(magnitude(graph)) == {"a"}, "the input and the output are frozen"


def test_norm_scale_is_gamma_beside_the_mean_and_needs_one() -> None:
    graph = scaled(chain(), "n", "gamma", [1, 2, 0, -3])
    gamma = np.abs(graph["n"].weights["gamma"].astype(np.float64))
    np.testing.assert_allclose(norm_scale(graph)["a"], gamma / gamma.mean(), rtol=1e-12)
    with pytest.raises(ModelError, match="'a'"):
        norm_scale(of(conv("a", "x", 3, 4), conv("b", "a", 4, 2)))


def test_taylor_is_the_squared_first_order_change_of_the_loss() -> None:
    """For a loss that is linear in a's kernel and bias, it is exactly what dropping a channel changes."""
    graph = of(conv("a", "x", 3, 4), conv("b", "a", 4, 1, bias=False))
    feeds = {"x": drawn(4, 1, 4, 4, 3)}

    def loss(other: Graph) -> float:
        return float(run(other, feeds, dtype=np.float64)["b"].sum())

    read = graph["b"].weights["kernel"][0, 0, :, 0].astype(np.float64)
    sums = feeds["x"].astype(np.float64).sum(axis=(0, 1, 2))
    gradients = {("a", "kernel"): np.multiply.outer(sums, read)[None, None], ("a", "bias"): 16 * read}
    result = taylor(graph, [gradients])["a"]
    for channel in range(4):
        without = mask_channels(graph, PruningPlan({"a": [c for c in range(4) if c != channel]}))
        # Sums of 256 products of about 1 in float64: off by at most 256 eps, and 1e-12 is 20 times that.
        assert result[channel] == pytest.approx((loss(graph) - loss(without)) ** 2, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(taylor(graph, [gradients, gradients])["a"], result)


def test_taylor_refuses_no_gradients_and_those_of_another_model() -> None:
    with pytest.raises(ModelError, match="no gradient"):
        taylor(chain(), [])
    with pytest.raises(ModelError, match="kernel of 'a'"):
        taylor(chain(), [{("a", "kernel"): np.zeros((1, 1, 3, 5))}])


@given(st.integers(0, 2**16), st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_reconstruction_is_the_energy_that_a_reader_loses(seed: int, channels: int) -> None:
    """With one channel the mean square of a 1x1 convolution's outputs, summed over filters, is just that product."""
    graph = of(conv("a", "x", 3, channels), conv("b", "a", channels, 2, bias=False))
    values = run(graph, {"x": drawn(seed, 2, 4, 4, 3)}, ["a"], dtype=np.float64)["a"]
    result = reconstruction(graph, {"a": np.square(values).mean(axis=(0, 1, 2))})["a"]
    kernel = graph["b"].weights["kernel"][0, 0].astype(np.float64)
    for channel in range(channels):
        lost = values[..., channel, None] * kernel[channel]
        assert result[channel] == pytest.approx(np.square(lost).mean(axis=(0, 1, 2)).sum(), rel=1e-12)


def test_reconstruction_names_the_map_whose_mean_squares_are_missing() -> None:
    with pytest.raises(ModelError, match="'r'"):
        reconstruction(chain(), {"a": np.ones(4)})


def test_every_reader_of_a_joined_map_counts_at_its_own_offset() -> None:
    graph = of(
        conv("a", "x", 3, 2), conv("b", "x", 3, 2), op("all", "concat", "a", "b"),
        conv("c", "all", 4, 3, bias=False), conv("d", "b", 2, 1, bias=False), outputs=("c", "d"),
    )  # fmt: skip
    squares = {"all": np.asarray([1.0, 2, 3, 4]), "b": np.asarray([3.0, 4])}
    c, d = (np.square(graph[name].weights["kernel"][0, 0].astype(np.float64)).sum(axis=1) for name in ("c", "d"))
    np.testing.assert_allclose(reconstruction(graph, squares)["b"], squares["b"] * (c[2:] + d), rtol=1e-12)
    assert group(graph, "b").size == 2
