"""What the oracle promises beyond its values: the same bits in every row whatever the height, precision, names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.single_ops import Array, images, of, single, weights
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import FUNCTIONS
from u3p_edge.graph.reference import run


def assert_same_bits(found: Array, wanted: Array) -> None:
    np.testing.assert_array_equal(found.view(np.int32), wanted.view(np.int32))


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(3, 40),
    width=st.integers(1, 9),
    channels=st.sampled_from([1, 3, 8, 33, 130]),
    filters=st.sampled_from([1, 4, 17]),
    data=st.data(),
)
def test_a_convolutions_rows_have_the_same_bits_in_any_strip(
    height: int, width: int, channels: int, filters: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, height - 3))
    stop = data.draw(st.integers(start + 3, height))
    attrs = {"padding": "same", "activation": "relu"}
    node = Node("y", "conv", ("x",), attrs, weights(kernel=(3, 3, channels, filters), bias=(filters,)))
    graph = of(node, shape=(height, width, channels))
    batch = images(graph)
    whole = run(graph, {"x": batch})["y"]
    strip = run(graph, {"x": batch[:, start:stop]})["y"]  # its first and last rows see a border of zeros
    assert_same_bits(strip[:, 1:-1], whole[:, start + 1 : stop - 1])


ROWWISE: dict[str, Graph] = {
    **{name: single("activation", {"function": name}) for name in FUNCTIONS},
    **{op: single(op, arity=2) for op in ("add", "subtract", "multiply", "maximum", "average")},
    **{op: single(op) for op in ("relu", "leaky_relu", "elu", "softmax", "rescale", "upsample")},
    "prelu": single("prelu", {"shared_axes": (1, 2)}, weights(alpha=(1, 1, 4))),
    "dense": single("dense", {}, weights(kernel=(4, 7), bias=(7,))),
    "batch_norm": single("batch_norm", {}, weights(low=0.2, mean=(4,), variance=(4,), gamma=(4,))),
    "layer_norm": single("layer_norm", {}, weights(gamma=(4,), beta=(4,))),
    "depthwise_conv": single("depthwise_conv", {"padding": "same"}, weights(kernel=(1, 3, 4, 2))),
    "conv_transpose": single("conv_transpose", {"strides": (2, 2)}, weights(kernel=(2, 2, 4, 3))),
    "max_pool": single("max_pool", {"pool_size": (1, 2), "strides": (1, 2)}),
    "average_pool": single("average_pool", {"pool_size": (1, 2), "strides": (1, 2)}),
    "upsample-columns": single("upsample", {"size": (1, 4), "interpolation": "bilinear"}),
}
"""Ops whose every row follows from one row alone."""


@pytest.mark.parametrize("kind", ROWWISE)
def test_rows_that_follow_from_one_row_have_the_same_bits_in_any_strip(kind: str) -> None:
    graph = ROWWISE[kind]
    batch = images(graph)
    whole = run(graph, {"x": batch})["y"]
    factor = whole.shape[1] // batch.shape[1]
    for start, stop in ((0, 1), (2, 5), (3, 9)):
        strip = run(graph, {"x": batch[:, start:stop]})["y"]
        assert_same_bits(strip, whole[:, start * factor : stop * factor])


@pytest.mark.parametrize("factor", [2, 3, 16])
def test_an_upsampled_maps_rows_have_the_same_bits_in_any_strip(factor: int) -> None:
    graph = single("upsample", {"size": (factor, 2), "interpolation": "bilinear"})
    batch = images(graph)
    whole = run(graph, {"x": batch})["y"]
    strip = run(graph, {"x": batch[:, 3:7]})["y"]
    # A strip clamps at its own edges: the rows between its first and its last row's centre are the whole map's.
    assert_same_bits(strip[:, factor:-factor], whole[:, 4 * factor : 6 * factor])


def test_double_precision_is_computed_in_double_precision() -> None:
    given = weights(kernel=(3, 2, 4, 5), bias=(5,))
    graph = single("conv", {}, given)
    batch = images(graph).astype(np.float64) / 3  # thirds, which float32 does not have
    result = run(graph, {"x": batch}, dtype=np.float64)["y"]
    patches = np.lib.stride_tricks.sliding_window_view(batch, (3, 2), axis=(1, 2))  # [N, H', W', C, 3, 2]
    wanted = np.einsum("nhwcab,abco->nhwo", patches, given["kernel"].astype(np.float64)) + given["bias"]
    assert result.dtype == np.float64
    # 25 terms of at most 1, whose sum is off by 25 * eps times 25.
    np.testing.assert_allclose(result, wanted, rtol=0, atol=25 * 25 * float(np.finfo(np.float64).eps))


def two_inputs() -> Graph:
    nodes = (
        Node("x", "input", attrs={"shape": (None, 2, 2, 1)}),
        Node("other", "input", attrs={"shape": (None, 2, 2, 1)}),
        Node("a", "relu", ("x",)),
        Node("b", "add", ("a", "other")),
    )
    return Graph(nodes, ("x", "other"), ("b",))


def test_any_nodes_value_comes_by_name_from_the_inputs_that_it_needs() -> None:
    below = np.full((1, 2, 2, 1), -1, np.float32)
    values = run(two_inputs(), {"x": below}, ["a", "x"])
    assert list(values) == ["a", "x"]
    np.testing.assert_array_equal(values["a"], np.zeros((1, 2, 2, 1)))
    assert list(run(two_inputs(), {"x": below, "other": below})) == ["b"]


def test_a_missing_input_and_an_unknown_node_are_named() -> None:
    image = np.zeros((1, 2, 2, 1), np.float32)
    with pytest.raises(ModelError, match="'other'"):
        run(two_inputs(), {"x": image})
    with pytest.raises(ModelError, match="'c'"):
        run(two_inputs(), {"x": image, "other": image}, ["c"])
