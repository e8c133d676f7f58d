"""Graphs as TFLite files: what is fused, joined and split, that XNNPACK takes it, what its ends are, and what is refused."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.support.missing_packages import run_without
from tests.support.tflite_models import FINE, SHAPE, STEP, both, codes, conv, graph, integers, not_delegated, random_image, run
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.tflite import schema as flatbuffer
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.scheme import Quantized, Scheme

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
        result = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
        numbers = {code.BuiltinCode(): code.Version() for code in result}
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
from u3p_edge.conversion.tflite.schema import parse_tflite
from u3p_edge.conversion.tflite.writer import write_tflite
from tests.support.tflite_reader import read_graph
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
        (Node("y", "layer_norm", ("image",), {"axis": (1,)}), "no operator computes the node 'y' .layer_norm."),
        (Node("y", "relu", ("image",), {"threshold": 2.0}), "a bound, slope or threshold"),
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
