"""Graphs as TFLite files: what is fused, joined and split, that XNNPACK takes it, and that it computes what it should."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.missing_packages import run_without
from tests.support.tflite_models import STEP, graph, integers, not_delegated, random_image, run
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import ModelError
from u3p_edge.export.tflite import schema as flatbuffer
from u3p_edge.export.tflite.reader import read_graph
from u3p_edge.export.tflite.writer import write_tflite
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.scheme import Quantization, Quantized, Scheme

SHAPE = (6, 8, 2)
FINE = Quantization(0.02, -128)
sizes = st.integers(1, 6)
ends = st.tuples(st.integers(0, 3), st.integers(0, 3))


def conv(name: str, source: str, inside: int = 2, outside: int = 3, **attrs: object) -> Node:
    rng = np.random.default_rng(inside + outside)
    weights = {"kernel": rng.normal(size=(3, 3, inside, outside)), "bias": rng.normal(size=outside)}
    return Node(name, "conv", (source,), {"padding": "same", **attrs}, {k: v.astype(np.float32) for k, v in weights.items()})


def codes(data: bytes) -> list[str]:
    return [op.code for op in flatbuffer.parse_tflite(data).operators]


def both(of: Graph) -> tuple[bytes, bytes]:
    """The graph as a float32 file and, all maps in the same steps, as an int8 file."""
    return write_tflite(of), write_tflite(integers(of))


def check_moves(of: Graph, expected: np.ndarray, image: np.ndarray) -> None:
    """The graph moves values without changing any: exact in floats and, with zero standing for STEP.zero_point, in int8."""
    real, integer = both(of)
    np.testing.assert_array_equal(run(real, image.astype(np.float32)), expected.astype(np.float32))
    shifted = run(integer, (image + STEP.zero_point).astype(np.int8))
    np.testing.assert_array_equal(shifted.astype(int) - STEP.zero_point, expected)


def counted(*shape: int) -> np.ndarray:
    """Small integers, every neighbour another, none of them zero: [1, *shape]."""
    return (np.arange(np.prod(shape)) % 120 + 1).reshape(1, *shape)


# --- what single ops compute, over shapes


@settings(max_examples=15, deadline=None)
@given(sizes, sizes, ends, ends)
def test_crop(height: int, width: int, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    image = counted(height + sum(rows), width + sum(columns), 3)
    expected = image[:, rows[0] : rows[0] + height, columns[0] : columns[0] + width]
    check_moves(graph([Node("y", "crop", ("image",), {"cropping": (rows, columns)})], image.shape[1:]), expected, image)


@settings(max_examples=10, deadline=None)
@given(sizes, sizes, ends, st.integers(0, 2), st.integers(1, 3))
def test_crop_of_channels(height: int, width: int, rows: tuple[int, int], first: int, count: int) -> None:
    image = counted(height + sum(rows), width, 5)
    cut = {"cropping": (rows, (0, 0)), "channels": (first, first + count)}
    of = graph([Node("y", "crop", ("image",), cut)], image.shape[1:])
    check_moves(of, image[:, rows[0] : rows[0] + height, :, first : first + count], image)
    assert all(codes(data) == ["STRIDED_SLICE"] and not_delegated(data) == [] for data in both(of))


@settings(max_examples=10, deadline=None)
@given(sizes, sizes, st.integers(1, 3), st.integers(2, 3))
def test_blocks(height: int, width: int, channels: int, block: int) -> None:
    """Channel (r * block + c) * C + k of a place is channel k at (r, c) of its block."""
    image = counted(block * height, block * width, channels)
    tiles = image.reshape(height, block, width, block, channels).transpose(0, 2, 1, 3, 4)
    blocks = tiles.reshape(1, height, width, block * block * channels)
    there = graph([Node("y", "space_to_depth", ("image",), {"block": block})], image.shape[1:])
    back = graph([Node("y", "depth_to_space", ("image",), {"block": block})], blocks.shape[1:])
    check_moves(there, blocks, image)
    check_moves(back, image, blocks)
    for of, code in ((there, "SPACE_TO_DEPTH"), (back, "DEPTH_TO_SPACE")):
        assert all(codes(data) == [code] and not_delegated(data) == [] for data in both(of))


@pytest.mark.parametrize("int8", [False, True])
def test_cuts_of_channels_and_blocks_are_read_as_they_were_written(int8: bool) -> None:
    nodes = [
        Node("blocks", "space_to_depth", ("image",)),
        Node("cut", "crop", ("blocks",), {"cropping": ((0, 1), (1, 0)), "channels": (2, 6)}),
        Node("again", "depth_to_space", ("cut",)),
        Node("mask", "crop", ("again",), {"cropping": ((1, 0), (0, 0))}),
    ]
    network = integers(graph(nodes))
    data = write_tflite(network if int8 else network.graph)
    found = read_graph(flatbuffer.parse_tflite(data))
    assert (found.graph if isinstance(found, Quantized) else found) == network.graph
    if isinstance(found, Quantized):
        step = Quantization(float(np.float32(STEP.scale)), STEP.zero_point)
        assert dict(found.scheme.tensors) == dict.fromkeys((node.name for node in found.graph.nodes), step)
    assert codes(data) == ["SPACE_TO_DEPTH", "STRIDED_SLICE", "DEPTH_TO_SPACE", "STRIDED_SLICE"]
    assert not_delegated(data) == []


@settings(max_examples=20, deadline=None)
@given(sizes, sizes, ends, ends)
def test_pad(height: int, width: int, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    image = counted(height, width, 3)
    of = graph([Node("y", "pad", ("image",), {"padding": (rows, columns)})], image.shape[1:])
    check_moves(of, np.pad(image, ((0, 0), rows, columns, (0, 0))), image)
    joined = any(columns) and not any(rows)
    assert all(codes(data) == ["CONCATENATION" if joined else "PAD"] and not_delegated(data) == [] for data in both(of))


@settings(max_examples=15, deadline=None)
@given(sizes, sizes, st.integers(1, 3), st.integers(2, 12), st.sampled_from([-1, 1, 2, 3]))
def test_concat(height: int, width: int, channels: int, count: int, axis: int) -> None:
    image = counted(height, width, channels)
    parts = [Node(f"p{i}", "pad", ("image",), {"padding": ((i % 2, 0), (0, 0))}) for i in range(count)]
    parts = parts if axis == 1 else [Node(part.name, "identity", ("image",)) for part in parts]
    of = graph([*parts, Node("y", "concat", tuple(part.name for part in parts), {"axis": axis})], image.shape[1:])
    padded = np.pad(image, ((0, 0), (1, 0), (0, 0), (0, 0)))
    check_moves(of, np.concatenate([padded if axis == 1 and i % 2 else image for i in range(count)], axis), image)


@settings(max_examples=15, deadline=None)
@given(sizes, sizes, st.integers(1, 4), st.integers(1, 4))
def test_nearest_upsampling(height: int, width: int, tall: int, wide: int) -> None:
    image = counted(height, width, 3)
    of = graph([Node("y", "upsample", ("image",), {"size": (tall, wide)})], image.shape[1:])
    check_moves(of, image.repeat(tall, 1).repeat(wide, 2), image)


def bilinear(image: np.ndarray, axis: int, factor: int) -> np.ndarray:
    """Half-pixel centres, edges repeated."""
    size = image.shape[axis]
    place = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    below = np.floor(place).astype(int)
    share = (place - below).reshape([-1 if i == axis else 1 for i in range(4)])
    return image.take(below, axis) * (1 - share) + image.take(np.minimum(below + 1, size - 1), axis) * share


@settings(max_examples=15, deadline=None)
@given(sizes, sizes, st.sampled_from([(1, 2), (4, 1), (1, 8), (2, 2), (16, 1), (2, 4)]))
def test_bilinear_upsampling(height: int, width: int, size: tuple[int, int]) -> None:
    image = random_image((height, width, 3), np.int8)
    of = graph([Node("y", "upsample", ("image",), {"size": size, "interpolation": "bilinear"})], image.shape[1:])
    expected = bilinear(bilinear(image.astype(float), 1, size[0]), 2, size[1])
    real, integer = both(of)
    # Three roundings of values up to 128, each by half an epsilon.
    np.testing.assert_allclose(run(real, image.astype(np.float32)), expected, atol=3 * 128 * 1.2e-7)
    # XNNPACK's weights are fractions of 2**11, two of them along the way: off by 2 * 256 / 2**12 = 1/8 beyond the rounding.
    assert np.abs(run(integer, image) - expected).max() <= 0.5 + 1 / 8
    assert not_delegated(real) == not_delegated(integer) == []


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(["add", "subtract", "multiply"]), st.booleans())
def test_arithmetic_with_and_without_a_relu_behind(op: str, relu: bool) -> None:
    coarse = Quantization(0.11, -7)
    nodes = [Node("half", "identity", ("image",)), Node("y", op, ("image", "half"))]
    nodes += [Node("r", "relu", ("y",))] if relu else []
    network = integers(graph(nodes), y=None if relu else coarse, r=coarse, half=FINE)
    image = random_image(SHAPE, np.int8)
    real = (image.astype(float) - STEP.zero_point) * STEP.scale
    half = (np.clip(np.round(real / FINE.scale) + FINE.zero_point, -128, 127) - FINE.zero_point) * FINE.scale
    value = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply}[op](real, half)
    value = np.maximum(value, 0) if relu else value
    data = write_tflite(network)
    assert codes(data) == ["QUANTIZE", {"add": "ADD", "subtract": "SUB", "multiply": "MUL"}[op]]
    assert not_delegated(data) == []
    steps = np.clip(value / coarse.scale + coarse.zero_point, -128, 127)
    # Half a step of rounding, and a step of `half` where its own rounding falls the other way (times at most 6.5 by MUL).
    slack = FINE.scale / coarse.scale * (6.5 if op == "multiply" else 1)
    assert np.abs(run(data, image) - steps).max() <= 0.5 + slack + 0.01


def test_a_convolution_sums_integers_exactly() -> None:
    network = integers(graph([conv("y", "image")]))
    image = random_image(SHAPE, np.int8)
    kernel, bias = network.graph["y"].weights["kernel"].astype(int), network.graph["y"].weights["bias"]
    padded = np.pad(image.astype(int) - STEP.zero_point, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    sums = np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias
    steps = sums * network.scheme.kernels["y"].astype(float) + STEP.zero_point  # STEP.scale in and out
    result = run(write_tflite(network), image)
    assert np.abs(result - np.clip(steps, -128, 127)).max() <= 0.5 + 1e-3  # a rounding, of a float32 product


# --- structure


def decoder() -> Graph:
    """Two convolutions summed, a shift, a difference: every ReLU behind one of them, and one behind a crop."""
    return graph(
        [
            conv("a", "image"),
            conv("b", "image"),
            Node("sum", "add", ("a", "b")),
            Node("sum_relu", "activation", ("sum",), {"function": "relu"}),
            Node("cut", "crop", ("sum_relu",), {"cropping": ((0, 0), (0, 1))}),
            Node("shifted", "pad", ("cut",), {"padding": ((0, 0), (1, 0))}),
            Node("difference", "subtract", ("sum_relu", "shifted")),
            Node("r", "relu", ("difference",), {"max_value": 6.0}),
            conv("c", "r", 3, activation="relu"),
            conv("d", "c", 3, 4),
            Node("d_relu", "relu", ("d",)),
        ]
    )


@pytest.mark.parametrize("int8", [False, True])
def test_relus_are_fused_and_padding_of_columns_is_joined_on(int8: bool) -> None:
    network = integers(decoder(), sum=None, difference=None, d=None)
    data = write_tflite(network) if int8 else write_tflite(decoder())
    fused = [(op.code, op.options.get("fusedActivationFunction", 0)) for op in flatbuffer.parse_tflite(data).operators]
    assert fused == [
        ("CONV_2D", 0), ("CONV_2D", 0), ("ADD", 1), ("STRIDED_SLICE", 0), ("CONCATENATION", 0), ("SUB", 3), ("CONV_2D", 1),
        ("CONV_2D", 1),
    ]  # fmt: skip
    assert not_delegated(data) == []


def test_a_relu_that_shares_its_source_or_is_materialised_behind_it_stands_alone() -> None:
    shared = graph([conv("a", "image"), Node("r", "relu", ("a",)), Node("y", "add", ("a", "r"))])
    assert codes(write_tflite(shared)) == ["CONV_2D", "RELU", "ADD"]
    stored = integers(graph([conv("a", "image"), Node("r", "relu", ("a",))]))
    assert codes(write_tflite(stored)) == ["CONV_2D", "RELU"]


@pytest.mark.parametrize(("count", "operators"), [(5, 1), (6, 2), (8, 2), (9, 2), (10, 3), (25, 6), (26, 7)])
def test_many_operands_are_joined_in_a_tree_that_xnnpack_takes(count: int, operators: int) -> None:
    nodes = [Node(f"p{i}", "crop", ("image",), {"cropping": ((i % 3, 0), (0, 0))}) for i in range(count)]
    for data in both(graph([*nodes, Node("y", "concat", tuple(node.name for node in nodes), {"axis": 1})])):
        assert Counter(codes(data))["CONCATENATION"] == operators
        assert not_delegated(data) == []


def test_what_computes_nothing_is_not_written() -> None:
    nodes = [Node("i", "identity", ("image",)), Node("d", "dropout", ("i",)), conv("y", "d")]
    assert all(codes(data) == ["CONV_2D"] for data in both(graph(nodes)))


def test_sums_of_many_are_taken_one_by_one_and_end_in_the_relu() -> None:
    nodes = [conv(name, "image", 2, 2) for name in "abc"]
    of = graph([*nodes, Node("sum", "add", ("a", "b", "c", "image")), Node("r", "relu", ("sum",))])
    data = write_tflite(of)
    adds = [op.options["fusedActivationFunction"] for op in flatbuffer.parse_tflite(data).operators if op.code == "ADD"]
    assert adds == [0, 0, 1]
    image = random_image(SHAPE, np.float32)
    parts = [run(write_tflite(graph([node])), image) for node in nodes]
    # Four float32 terms below 30: three roundings.
    np.testing.assert_allclose(run(data, image), np.maximum(sum(parts) + image, 0), atol=3 * 30 * 1.2e-7)


@pytest.mark.parametrize("function", ["linear", "relu", "sigmoid", "tanh", "softmax", "elu", "gelu", "swish", "exponential"])
def test_a_float_convolution_takes_every_activation_that_tflite_has(function: str) -> None:
    of, image = graph([conv("y", "image", activation=function)]), random_image(SHAPE, np.float32)
    x = run(write_tflite(graph([conv("y", "image")])), image).astype(float)
    e = np.exp(x)
    erf = np.vectorize(math.erf)
    expected = {
        "linear": x, "relu": np.maximum(x, 0), "sigmoid": 1 / (1 + 1 / e), "tanh": np.tanh(x), "swish": x / (1 + 1 / e),
        "softmax": e / e.sum(-1, keepdims=True), "elu": np.where(x > 0, x, e - 1), "gelu": x * (1 + erf(x / 2**0.5)) / 2,
        "exponential": e,
    }[function]  # fmt: skip
    # XNNPACK's exponentials are polynomials good to a few epsilons of their value.
    np.testing.assert_allclose(run(write_tflite(of), image), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "node",
    [
        Node("y", "max_pool", ("image",)),
        Node("y", "average_pool", ("image",), {"padding": "same", "pool_size": (3, 3)}),
        Node("y", "global_max_pool", ("image",)),
        Node("y", "global_average_pool", ("image",), {"keepdims": True}),
        Node("y", "reshape", ("image",), {"target_shape": (3, 16, 2)}),
        Node("y", "flatten", ("image",)),
        Node("y", "leaky_relu", ("image",)),
        Node("y", "depthwise_conv", ("image",), {"dilation": (2, 2)}, {"kernel": np.ones((3, 3, 2, 2), np.float32)}),
        Node("y", "conv", ("image",), {"groups": 2}, {"kernel": np.ones((3, 3, 1, 4), np.float32)}),
        Node("y", "conv_transpose", ("image",), {"strides": (2, 2)}, {"kernel": np.ones((2, 2, 2, 3), np.float32)}),
        Node("y", "dense", ("image",), {"activation": "relu"}, {"kernel": np.ones((2, 5), np.float32)}),
    ],
    ids=lambda node: node.op,
)
def test_every_op_keeps_its_shape_in_both_number_types(node: Node) -> None:
    of = graph([node])
    for data, dtype in zip(both(of), (np.float32, np.int8), strict=True):
        assert run(data, random_image(SHAPE, dtype)).shape == of.shapes["y"]


def test_operators_get_the_versions_that_converters_give_them() -> None:
    network = integers(decoder(), sum=None, difference=None, d=None)
    expected = {"CONV_2D": (1, 3), "ADD": (1, 2), "SUB": (1, 2), "STRIDED_SLICE": (1, 2), "CONCATENATION": (1, 2)}
    for data, position in ((write_tflite(decoder()), 0), (write_tflite(network), 1)):
        model = schema.Model.GetRootAs(data, 0)
        found = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
        numbers = {code.BuiltinCode(): code.Version() for code in found}
        assert numbers == {getattr(schema.BuiltinOperator, name): pair[position] for name, pair in expected.items()}


def test_constants_are_aligned_and_equal_ones_are_stored_once() -> None:
    same = [Node(name, "conv", ("image",), {}, conv("a", "image").weights) for name in "ab"]
    data = write_tflite(graph([*same, Node("y", "add", ("a", "b"))]))
    model = schema.Model.GetRootAs(data, 0)
    filled = [b for b in map(model.Buffers, range(model.BuffersLength())) if b.DataLength()]
    assert sorted(buffer.DataLength() for buffer in filled) == [4 * 3, 4 * 3 * 3 * 2 * 3]  # one bias, one kernel
    assert {buffer._tab.Vector(buffer._tab.Offset(4)) % 16 for buffer in filled} == {0}


# --- ends


def test_metadata_names_the_ends() -> None:
    metadata = default_metadata(Preprocessing(16, 16), 3)
    data = write_tflite(decoder(), metadata)
    file = flatbuffer.parse_tflite(data)
    assert [file.tensors[i].name for i in (*file.inputs, *file.outputs)] == ["image", "mask"]
    assert metadata.to_json().encode() in data


def test_without_metadata_any_number_of_ends_keep_their_names() -> None:
    two = Node("other", "input", (), {"shape": (None, *SHAPE)})
    nodes = (Node("image", "input", (), {"shape": (None, *SHAPE)}), two, Node("sum", "add", ("image", "other")))
    of = Graph((*nodes, Node("half", "max_pool", ("sum",))), ("image", "other"), ("sum", "half"))
    file = flatbuffer.parse_tflite(write_tflite(of))
    assert [file.tensors[i].name for i in (*file.inputs, *file.outputs)] == ["image", "other", "sum", "half"]


def test_float_ends_around_integers() -> None:
    network = integers(graph([Node("y", "max_pool", ("image",))]))
    image = random_image(SHAPE, np.int8)
    real = ((image.astype(np.float32) - STEP.zero_point) * STEP.scale).astype(np.float32)
    result = run(write_tflite(network, float_io=True), real)
    expected = run(write_tflite(network), image)
    np.testing.assert_allclose(result, (expected.astype(np.float32) - STEP.zero_point) * STEP.scale, rtol=1.2e-7)


def test_it_needs_no_tensorflow() -> None:
    code = """
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.export.tflite.schema import parse_tflite
from u3p_edge.export.tflite.writer import write_tflite
from u3p_edge.export.tflite.reader import read_graph
image = Node("image", "input", (), {"shape": (None, 4, 4, 1)})
graph = Graph((image, Node("mask", "max_pool", ("image",))), ("image",), ("mask",))
assert read_graph(parse_tflite(write_tflite(graph))) == graph
"""
    result = run_without(("tensorflow", "tf_keras"), code)
    assert result.returncode == 0, result.stderr


# --- refusals


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (
            Node("y", "batch_norm", ("image",), {}, dict.fromkeys(("mean", "variance"), np.ones(2, np.float32))),
            "Fold it into",
        ),
        (Node("y", "layer_norm", ("image",)), "'y' .layer_norm. has no TFLite form"),
        (Node("y", "relu", ("image",), {"max_value": 2.0}), "a bound, slope or threshold"),
        (Node("y", "elu", ("image",), {"alpha": 0.5}), "TFLite knows only 1"),
        (Node("y", "softmax", ("image",), {"axis": 1}), "only the last"),
        (Node("y", "upsample", ("image",), {"interpolation": "bicubic"}), "interpolation bicubic of 'y'"),
        (Node("y", "activation", ("image",), {"function": "mish"}), "activation mish of 'y'"),
        (Node("y", "conv", ("image",), {}, {"kernel": np.ones((1, 1, 2, 3))}), "are float64"),
    ],
    ids=lambda value: value.op if isinstance(value, Node) else "",
)
def test_what_tflite_cannot_say_is_refused(node: Node, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        write_tflite(graph([node]))


def test_an_int8_sum_of_three_is_refused() -> None:
    network = integers(graph([Node("y", "add", ("image", "image", "image"))]))
    with pytest.raises(ModelError, match="'y' has 3 operands; its partial results have no scale"):
        write_tflite(network)


def test_an_activation_behind_an_int8_convolution_must_stand_alone() -> None:
    network = integers(graph([conv("y", "image", activation="sigmoid")]))
    with pytest.raises(ModelError, match="activation sigmoid of 'y' has no quantization"):
        write_tflite(network)


@pytest.mark.parametrize("op", ["max_pool", "upsample", "flatten", "space_to_depth"])
def test_an_op_that_moves_integers_cannot_change_their_scale(op: str) -> None:
    network = integers(graph([Node("y", op, ("image",))]), y=FINE)
    with pytest.raises(ModelError, match=f"'y' \\({op}\\) has another scale than 'image'"):
        write_tflite(network)


def test_floats_under_a_scheme_are_refused() -> None:
    with pytest.raises(ModelError, match="the kernel of 'y' is float32"):
        Quantized(graph([conv("y", "image")]), Scheme(dict.fromkeys(("image", "y"), STEP), {"y": np.ones(3, np.float32)}))
