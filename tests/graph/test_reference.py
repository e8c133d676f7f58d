"""The oracle itself: every op as tf_keras computes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.single_ops import SHAPE, images, of, single, weights
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.graph.ops import FUNCTIONS, OPS
from u3p_edge.graph.reference import run

EPS = float(np.finfo(np.float32).eps)
FEATURES = SHAPE[0] * SHAPE[1] * SHAPE[2]
KERNEL = weights(kernel=(3, 2, 4, 5), bias=(5,))
NORM = {**weights(gamma=(4,), beta=(4,), mean=(4,)), **weights(3, 0.2, variance=(4,))}

EXACT: dict[str, Graph] = {
    "relu": single("relu"),
    "relu-6": single("relu", {"max_value": 6.0}),
    "relu-all": single("relu", {"max_value": 2.0, "negative_slope": 0.5, "threshold": 1.0}),
    "leaky_relu": single("leaky_relu", {"alpha": 0.25}),
    "prelu": single("prelu", {}, weights(alpha=SHAPE)),
    "prelu-shared": single("prelu", {"shared_axes": (1, 2)}, weights(alpha=(1, 1, 4))),
    "max_pool": single("max_pool"),
    "max_pool-same": single("max_pool", {"pool_size": (2, 3), "strides": (2, 1), "padding": "same"}),
    "global_max_pool": single("global_max_pool"),
    "upsample": single("upsample", {"size": (2, 3)}),
    "concat": single("concat", arity=3),
    "concat-rows": single("concat", {"axis": 1}, arity=2),
    "add": single("add", arity=3),
    "subtract": single("subtract", arity=2),
    "multiply": single("multiply", arity=2),
    "maximum": single("maximum", arity=2),
    "minimum": single("minimum", arity=2),
    "crop": single("crop", {"cropping": ((1, 2), (0, 3))}),
    "crop-channels": single("crop", {"cropping": ((1, 2), (0, 3)), "channels": (1, 3)}),
    "pad": single("pad", {"padding": ((1, 2), (0, 3))}),
    "space_to_depth": of(Node("y", "space_to_depth", ("x",)), shape=(6, 10, 3)),
    "depth_to_space": single("depth_to_space"),
    "reshape": single("reshape", {"target_shape": (-1, 2)}),
    "flatten": single("flatten"),
    **{op: single(op) for op, kind in OPS.items() if kind.is_identity},
}
"""Ops that round at most once, so that there is one right answer."""

SUMS: dict[str, tuple[Graph, int]] = {
    "conv": (single("conv", given=KERNEL), 24),
    "conv_transpose": (single("conv_transpose", given=KERNEL), 24),
    "depthwise_conv": (single("depthwise_conv", given=weights(kernel=(3, 2, 4, 2), bias=(8,))), 6),
    "separable_conv": (
        single("separable_conv", given=weights(depthwise=(3, 2, 4, 2), pointwise=(1, 1, 8, 5), bias=(5,))),
        6 * 8,
    ),
    "dense": (single("dense", given=weights(kernel=(4, 7), bias=(7,))), 4),
    "dense-flat": (
        of(Node("flat", "flatten", ("x",)), Node("y", "dense", ("flat",), {}, weights(kernel=(FEATURES, 3)))),
        FEATURES,
    ),
    "average_pool": (single("average_pool"), 4),
    "average_pool-same": (single("average_pool", {"pool_size": (3, 2), "strides": (1, 2), "padding": "same"}), 6),
    "global_average_pool": (single("global_average_pool", {"keepdims": True}), SHAPE[0] * SHAPE[1]),
    "upsample-bilinear": (single("upsample", {"size": (3, 4), "interpolation": "bilinear"}), 4),
    "average": (single("average", arity=3), 3),
}
"""Ops that sum, with the number of terms."""

# Before they cancel, the parts of a norm are at most (|x| + |mean|) / sqrt(.2) + beta = 4 * 2.3 + 1, about 10.
# A softmax is exp of differences of up to 6, which are off by up to 6 * eps / 2, over a sum of up to 9 such.
FEW: dict[str, tuple[Graph, float]] = {
    "batch_norm": (single("batch_norm", given=NORM), 10),
    "batch_norm-rows": (
        single("batch_norm", {"axis": (1,)}, {**weights(mean=(9,)), **weights(3, 0.2, variance=(9,))}),
        10,
    ),
    "batch_norm-features": (of(Node("pool", "global_max_pool", ("x",)), Node("y", "batch_norm", ("pool",), {}, NORM)), 10),
    "rescale": (single("rescale", {"scale": 0.1, "offset": -0.7}), 1),
    "rescale-channels": (single("rescale", {"scale": (0.1, 1.0, -2.0, 0.5), "offset": (0.0, 1.0, 2.0, 3.0)}), 1),
    "softmax": (single("softmax"), 3),
    "softmax-rows": (single("softmax", {"axis": 1}), 3),
    "elu": (single("elu", {"alpha": 0.7}), 1),
}
"""Ops of a few roundings, with the size of what is rounded."""


def absolute(graph: Graph) -> Graph:
    """The graph with the absolute values of its weights, without activations: it sums the sizes of the terms."""

    def bare(node: Node) -> Node:
        attrs = {**node.attrs, "activation": "linear"} if "activation" in node.attrs else node.attrs
        return replace(node, attrs=attrs, weights={key: np.abs(array) for key, array in node.weights.items()})

    return replace(graph, nodes=tuple(map(bare, graph.nodes)))


def assert_as_keras(graph: Graph, *, terms: int = 0, gain: float = 1.0) -> None:
    """Equal up to rounding.

    A sum of n products in any order is off by at most n * eps / 2 times the sum of their sizes; both sides are, so n * eps.
    `terms` is n, where the op sums; 8 stands for the few roundings of everything else, and for TensorFlow's polynomials for
    exp and tanh, which are good to some units in the last place. `gain` is by how much an error grows behind the sum.
    """
    batch = images(graph)
    wanted = to_keras(graph)(batch, training=False).numpy()
    result = run(graph, {"x": batch})["y"]
    assert result.dtype == np.float32
    assert result.shape == wanted.shape
    size = run(absolute(graph), {"x": np.abs(batch)})["y"] if terms else np.abs(wanted)
    assert np.all(np.abs(result - wanted) <= (terms + 8) * EPS * gain * np.maximum(size, 1))


@pytest.mark.parametrize("kind", EXACT)
def test_an_op_of_one_rounding_is_exactly_as_keras(kind: str) -> None:
    graph = EXACT[kind]
    batch = images(graph)
    np.testing.assert_array_equal(run(graph, {"x": batch})["y"], to_keras(graph)(batch, training=False).numpy())


@pytest.mark.parametrize("kind", SUMS)
def test_an_op_that_sums_is_as_keras(kind: str) -> None:
    graph, terms = SUMS[kind]
    assert_as_keras(graph, terms=terms)


@pytest.mark.parametrize("kind", FEW)
def test_an_op_of_a_few_roundings_is_as_keras(kind: str) -> None:
    graph, gain = FEW[kind]
    assert_as_keras(graph, gain=gain)


@pytest.mark.parametrize("axis", [(-1,), (3,), (1, 2, 3)], ids=str)
def test_layer_norm_is_as_keras(axis: tuple[int, ...]) -> None:
    shape = SHAPE if len(axis) == 3 else SHAPE[2:]
    graph = single("layer_norm", {"axis": axis, "epsilon": 1e-2}, weights(gamma=shape, beta=shape))
    deviation = float(np.sqrt(images(graph).var(axis=axis).min() + 1e-2))
    count = int(np.prod(shape))
    # The mean is off by count * eps * 3, over the deviation; the deviation by count * eps / 2 of itself, under values of up
    # to sqrt(count) deviations.
    assert_as_keras(graph, gain=1 + count * (3 / deviation + np.sqrt(count) / 2) / 8)


@pytest.mark.parametrize("groups", [1, 2, 4, -1])
def test_group_norm_is_as_keras(groups: int) -> None:
    given = weights(gamma=SHAPE[2:], beta=SHAPE[2:])
    graph = single("group_norm", {"groups": groups, "epsilon": 1e-2}, given)
    batch = images(graph)
    count = batch[0].size // (4 if groups == -1 else groups)
    parts = batch.reshape(2, -1, abs(groups) if groups > 0 else 4, 4 // (groups if groups > 0 else 4))
    deviation = float(np.sqrt(parts.var(axis=(1, 3)).min() + 1e-2))
    # As for layer normalisation.
    assert_as_keras(graph, gain=1 + count * (3 / deviation + np.sqrt(count) / 2) / 8)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_activation_is_as_keras_alone_and_behind_a_convolution(function: str) -> None:
    # The steepest slopes below 3; most are at most 1.1. A softmax is divided by a sum of four.
    steepest = {"exponential": float(np.exp(3)), "selu": 1.8, "softmax": 3.0}.get(function, 1.2)
    assert_as_keras(single("activation", {"function": function}), gain=steepest)
    # So that the sums stay below 3: 24 products of at most 3, and the bias.
    scaled = {key: array / np.float32(25) for key, array in KERNEL.items()}
    assert_as_keras(single("conv", {"activation": function}, scaled), terms=24, gain=steepest)


def test_every_op_is_tested() -> None:
    graphs = (*EXACT.values(), *(graph for graph, _ in (*SUMS.values(), *FEW.values())))
    # Keras has no layer that is an interpolated sum: tests/rewriting/test_interpolated_sums.py holds it against the sum itself.
    # A reciprocal root takes positive values alone: tests/graph/test_decompose.py holds it against layer normalisation.
    elsewhere = {"input", "activation", "layer_norm", "group_norm", "interpolated_sum", "rsqrt"}
    assert {graph["y"].op for graph in graphs} | elsewhere == set(OPS)


def test_far_values_neither_overflow_nor_vanish() -> None:
    """Values whose powers float32 cannot hold. What is below its smallest normal number may be 0 in TensorFlow."""
    far = np.array([[-200.0, -90.0, 0.0, 90.0, 200.0]], np.float32)
    for function in ("sigmoid", "softmax", "softplus", "tanh", "swish", "mish", "elu"):
        graph = of(Node("y", "activation", ("x",), {"function": function}), shape=(5,))
        with np.errstate(over="raise", invalid="raise"):
            result = run(graph, {"x": far})["y"]
        # exp(-90) magnifies the rounding of its argument 90 times eps / 2.
        tiny = 90 * float(np.finfo(np.float32).tiny)  # of swish, x times something vanishing
        np.testing.assert_allclose(result, to_keras(graph)(far).numpy(), rtol=90 * EPS, atol=tiny)


SIZES = st.tuples(st.integers(5, 12), st.integers(5, 12))


@settings(max_examples=40, deadline=None)
@given(
    size=SIZES,
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    steps=st.sampled_from([((1, 1), (1, 1)), ((2, 2), (1, 1)), ((1, 3), (1, 1)), ((3, 2), (1, 1)), ((1, 1), (2, 1))]),
    padding=st.sampled_from(["same", "valid"]),
    groups=st.sampled_from([1, 2]),
)
def test_convolutions_of_every_shape_are_as_keras(
    size: tuple[int, int], kernel: tuple[int, int], steps: tuple[Any, Any], padding: str, groups: int
) -> None:
    strides, dilation = steps
    assume(padding == "same" or all((kernel[i] - 1) * dilation[i] < size[i] for i in (0, 1)))
    attrs = {"strides": strides, "dilation": dilation, "padding": padding, "groups": groups}
    node = Node("y", "conv", ("x",), attrs, weights(kernel=(*kernel, 4 // groups, 6)))
    assert_as_keras(of(node, shape=(*size, 4)), terms=kernel[0] * kernel[1] * 4 // groups)


@settings(max_examples=20, deadline=None)
@given(
    size=SIZES,
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    # Of equal strides, or dilated: TensorFlow has no others.
    steps=st.sampled_from([((1, 1), (1, 1)), ((2, 2), (1, 1)), ((3, 3), (1, 1)), ((1, 1), (1, 2)), ((1, 1), (2, 2))]),
    padding=st.sampled_from(["same", "valid"]),
)
def test_depthwise_convolutions_of_every_shape_are_as_keras(
    size: tuple[int, int], kernel: tuple[int, int], steps: tuple[Any, Any], padding: str
) -> None:
    attrs = {"strides": steps[0], "dilation": steps[1], "padding": padding}
    node = Node("y", "depthwise_conv", ("x",), attrs, weights(kernel=(*kernel, 3, 2)))
    assert_as_keras(of(node, shape=(*size, 3)), terms=kernel[0] * kernel[1])


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["same", "valid"]),
    data=st.data(),
)
def test_transposed_convolutions_of_every_shape_are_as_keras(
    size: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int], padding: str, data: st.DataObject
) -> None:
    # Keras wants the output's padding to be less than the stride.
    extra = data.draw(st.none() | st.tuples(*(st.integers(0, stride - 1) for stride in strides)))
    attrs = {"strides": strides, "padding": padding, "output_padding": extra}
    graph = of(Node("y", "conv_transpose", ("x",), attrs, weights(kernel=(*kernel, 2, 3))), shape=(*size, 2))
    # TensorFlow refuses an output that a convolution would not bring back to the input's size.
    spans = kernel if padding == "valid" else (1, 1)
    back = tuple(-(-(n - span + 1) // stride) for n, span, stride in zip(graph.shapes["y"][1:3], spans, strides, strict=True))
    assume(back == size)
    assert_as_keras(graph, terms=kernel[0] * kernel[1] * 2)


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    factors=st.tuples(st.sampled_from([1, 2, 3, 4, 8, 16]), st.sampled_from([1, 2, 3, 4, 8, 16])),
)
def test_bilinear_upsampling_by_every_factor_is_as_keras(size: tuple[int, int], factors: tuple[int, int]) -> None:
    node = Node("y", "upsample", ("x",), {"size": factors, "interpolation": "bilinear"})
    # TensorFlow's weights are fractions of positions up to 7, so up to 7 eps off, on two axes, between values 6 apart.
    assert_as_keras(of(node, shape=(*size, 2)), gain=1 + 2 * 7 * 6 / 8)


@settings(max_examples=25, deadline=None)
@given(
    size=SIZES,
    window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["same", "valid"]),
    op=st.sampled_from(["max_pool", "average_pool"]),
)
def test_poolings_of_every_shape_are_as_keras(
    size: tuple[int, int], window: tuple[int, int], strides: tuple[int, int], padding: str, op: str
) -> None:
    node = Node("y", op, ("x",), {"pool_size": window, "strides": strides, "padding": padding})
    assert_as_keras(of(node, shape=(*size, 2)), terms=window[0] * window[1])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_blocks_of_every_size_are_as_tensorflow(rows: int, columns: int, channels: int, block: int) -> None:
    there = Node("d", "space_to_depth", ("x",), {"block": block})
    graph = of(there, Node("y", "depth_to_space", ("d",), {"block": block}), shape=(block * rows, block * columns, channels))
    batch = images(graph)
    blocks = tf.nn.space_to_depth(batch, block).numpy() if block > 1 else batch  # TensorFlow wants more than one
    values = run(graph, {"x": batch}, ["d", "y"])
    np.testing.assert_array_equal(values["d"], blocks)
    np.testing.assert_array_equal(values["y"], batch)
    assert graph.shapes["d"][1:] == values["d"].shape[1:]
    swapped = of(Node("y", "depth_to_space", ("x",), {"block": block}), shape=blocks.shape[1:])
    np.testing.assert_array_equal(run(swapped, {"x": blocks})["y"], batch)


@pytest.mark.parametrize("op", ["add", "subtract", "multiply", "maximum", "minimum", "average"])
def test_merges_broadcast_as_keras(op: str) -> None:
    """A map with its pooled channels as [N, C] and as [N, 1, 1, C], in both orders."""
    features, pixel = Node("f", "global_max_pool", ("x",)), Node("p", "global_max_pool", ("x",), {"keepdims": True})
    for order in (("x", "f"), ("f", "x"), ("x", "p"), ("p", "x")):
        assert_as_keras(of(features, pixel, Node("y", op, order)), terms=2)
