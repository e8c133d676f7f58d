"""TFLite files as graphs: every operator that converters and our writer emit, and refusals by name."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tf_keras
from tf_keras import layers

from tests.support.int8_models import blobs, convert, quantize_aware, unet
from tests.support.oracles import convert_int8
from tests.support.rewritten_model import rewritten
from tests.support.slow import mark_slow
from tests.support.tflite_models import graph, run
from tests.support.tflite_reader import read_graph
from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.tflite import converter, schema
from u3p_edge.conversion.tflite.schema import Operator, TFLiteGraph
from u3p_edge.conversion.tflite.writer import lower_graph, write_tflite
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.scheme import Quantization, Quantized

IMAGES, _ = blobs(4)


def metadata(channels: int) -> Metadata:
    return default_metadata(Preprocessing(32, 32), max(2, channels))


def ptq(model: tf_keras.Model, **options: bool) -> bytes:
    return convert_int8(model, metadata(model.output_shape[-1]), calibration=IMAGES, **options)


FILES = {
    "UNet 3+ float": lambda: converter.convert_float(unet(residual=True), metadata(1)),
    "UNet 3+ after training": lambda: ptq(unet(classes=3, cgm=True)),
    "UNet 3+ trained in integers": lambda: convert(quantize_aware(unet(), IMAGES)),
    "rewritten float": lambda: converter.convert_float(rewritten(), metadata(3)),
    "rewritten": lambda: ptq(rewritten()),
    "float ends": lambda: ptq(rewritten(), float_io=True),
}


SLOW = ("UNet 3+ float", "UNet 3+ after training", "UNet 3+ trained in integers")
"""Those whose operators the others have too."""


@functools.cache
def file_of(name: str) -> bytes:
    return FILES[name]()


@pytest.fixture(scope="module", params=mark_slow(FILES, SLOW), ids=lambda name: name.replace(" ", "-"))
def data(request: pytest.FixtureRequest) -> bytes:
    return file_of(request.param)


@pytest.fixture(scope="module")
def int8_rewritten() -> bytes:
    return file_of("rewritten")


def read_integers(file: TFLiteGraph) -> Quantized:
    network = read_graph(file)
    assert isinstance(network, Quantized)
    return network


def written(data: bytes) -> bytes:
    """The file read and written again, float ends kept."""
    file = schema.parse_tflite(data)
    network = read_graph(file)
    if isinstance(network, Graph):
        return write_tflite(network, metadata(file.tensors[file.outputs[0]].shape[3]))
    float_io = file.tensors[file.inputs[0]].dtype == np.float32
    return write_tflite(network, metadata(file.tensors[file.outputs[0]].shape[3]), float_io=float_io)


def test_the_file_written_again_computes_the_same_bits(data: bytes) -> None:
    port = schema.parse_tflite(data).tensors[schema.parse_tflite(data).inputs[0]]
    image = IMAGES[:1] if port.dtype == np.float32 else np.clip(np.round(IMAGES[:1] / port.scale) + port.zero_point, -128, 127)
    before, after = (run(file, image.astype(port.dtype)) for file in (data, written(data)))
    np.testing.assert_array_equal(after, before)
    assert len(np.unique(before)) > 50  # and it is not a constant


def test_the_file_written_again_is_read_as_the_same_network(data: bytes) -> None:
    assert read_graph(schema.parse_tflite(written(data))) == read_graph(schema.parse_tflite(data))


def test_the_file_written_again_has_the_same_operators(data: bytes) -> None:
    before, after = (Counter(op.code for op in schema.parse_tflite(file).operators) for file in (data, written(data)))
    joined = sum(_pads_columns(schema.parse_tflite(data), op) for op in schema.parse_tflite(data).operators)
    before.update({"CONCATENATION": joined, "PAD": -joined})  # columns of zeros are joined on
    assert after == +before


def _pads_columns(file: TFLiteGraph, op: Operator) -> bool:
    """Whether an operator pads columns alone."""
    paddings = file.tensors[op.inputs[1]].data if op.code == "PAD" else None
    return paddings is not None and paddings.any(axis=1).tolist() == [False, False, True, False]


def test_every_integer_and_scale_is_the_files_own(int8_rewritten: bytes) -> None:
    file = schema.parse_tflite(int8_rewritten)
    network = read_integers(file)
    first = next(op for op in file.operators if op.code == "CONV_2D")
    kernel, bias, output = (file.tensors[index] for index in (*first.inputs[1:], first.outputs[0]))
    np.testing.assert_array_equal(
        network.graph["first"].weights["kernel"], np.transpose(np.asarray(kernel.data), (1, 2, 3, 0))
    )  # OHWI to HWIO
    np.testing.assert_array_equal(network.graph["first"].weights["bias"], bias.data)
    np.testing.assert_array_equal(network.scheme.kernels["first"], kernel.scale)
    assert network.scheme.tensors["first"] == Quantization(float(output.scale[0]), int(output.zero_point[0]))


def test_nodes_are_named_after_layers_and_say_what_they_do(int8_rewritten: bytes) -> None:
    network = read_integers(schema.parse_tflite(int8_rewritten))
    graph = network.graph
    assert (graph.inputs, graph.outputs) == (("image",), ("mask",))
    assert graph["first"].attrs["activation"] == "relu"
    assert graph["wide_resize"].attrs == {"size": (1, 4), "interpolation": "bilinear"}
    assert graph["near_tall_resize"].attrs == {"size": (4, 1), "interpolation": "nearest"}
    assert graph["right_crop"].attrs["cropping"] == ((0, 0), (0, 1))
    assert graph["right_pad"].attrs["padding"] == ((0, 0), (1, 0))
    assert graph["top"].attrs["cropping"] == ((0, 16), (0, 0))
    assert graph["joined_rows"].attrs["axis"] == 1
    assert graph["folded"].attrs["target_shape"] == (16, 64, 9)
    assert graph["mask"].op == "multiply"
    assert graph.shapes["mask"] == (1, 32, 32, 3)


def test_a_fused_relu_is_a_node_and_the_sum_before_it_is_never_stored(int8_rewritten: bytes) -> None:
    network = read_integers(schema.parse_tflite(int8_rewritten))
    assert [network.graph[name].op for name in ("rows", "rows_add", "difference", "difference_subtract")] == [
        "relu", "add", "relu", "subtract",
    ]  # fmt: skip
    assert network.graph["rows"].inputs == ("rows_add",)
    assert {"rows", "difference"} <= network.scheme.tensors.keys()
    assert not {"rows_add", "difference_subtract"} & network.scheme.tensors.keys()


def test_zeros_joined_on_are_padding(int8_rewritten: bytes) -> None:
    network = read_integers(schema.parse_tflite(int8_rewritten))
    again = read_integers(schema.parse_tflite(write_tflite(network)))
    assert again.graph["right_pad"] == network.graph["right_pad"]


def test_the_ends_of_a_float_io_file_are_left_out() -> None:
    network = read_integers(schema.parse_tflite(file_of("float ends")))
    assert not {"identity"} & {node.op for node in network.graph.nodes}
    assert network.scheme.tensors.keys() >= {"image", "mask"}


def test_a_cut_of_channels_is_a_crop() -> None:
    image = layers.Input((8, 8, 3), name="image")
    model = tf_keras.Model(image, layers.Lambda(lambda x: x[:, 1:, :, 1:2])(layers.ReLU()(image)))
    network = read_graph(schema.parse_tflite(converter.convert_float(model, metadata(2))))
    assert isinstance(network, Graph)
    assert network["mask"].attrs == {"cropping": ((1, 0), (0, 0)), "channels": (1, 2)}


@pytest.mark.slow  # of these files, one of `SLOW` alone has any
def test_a_rescaling_inside_is_an_identity_with_another_scale() -> None:
    file = schema.parse_tflite(file_of("UNet 3+ trained in integers"))
    network = read_integers(file)
    rescaled = [node for node in network.graph.nodes if node.op == "identity"]
    assert len(rescaled) == sum(op.code == "QUANTIZE" for op in file.operators)
    assert all(network.scheme.tensors[n.name] != network.scheme.tensors[n.inputs[0]] for n in rescaled)


# --- refusals


def changed(file: TFLiteGraph, code: str, **options: object) -> TFLiteGraph:
    """The file with options of its operators of that code changed."""
    return replace(
        file,
        operators=tuple(replace(op, options={**op.options, **options}) if op.code == code else op for op in file.operators),
    )


@pytest.mark.parametrize(
    ("code", "options", "reason"),
    [
        ("SOFTMAX", {"beta": 2.0}, "its beta is 2.0"),
        ("RESIZE_BILINEAR", {"halfPixelCenters": False}, "no half-pixel centres"),
        ("RESIZE_NEAREST_NEIGHBOR", {"alignCorners": True}, "no half-pixel centres"),
        ("STRIDED_SLICE", {"shrinkAxisMask": 1}, "changes the rank"),
        ("ADD", {"fusedActivationFunction": 4}, "its fused activation is 4"),
    ],
)
def test_options_that_a_graph_cannot_say_are_refused(
    int8_rewritten: bytes, code: str, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(ModelError, match=f"{code}.*{reason}"):
        read_graph(changed(schema.parse_tflite(int8_rewritten), code, **options))


def test_an_unknown_operator_is_refused_by_name(int8_rewritten: bytes) -> None:
    file = schema.parse_tflite(int8_rewritten)
    operators = (replace(file.operators[0], code="SPARSE_TO_DENSE"), *file.operators[1:])
    with pytest.raises(ModelError, match="SPARSE_TO_DENSE has no form in a graph"):
        read_graph(replace(file, operators=operators))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (layers.BatchNormalization(), "MUL .*constant operand"),  # in front of a ReLU it has nothing to be folded into
        (layers.Permute((2, 1, 3)), "TRANSPOSE has no form"),
        (layers.Lambda(lambda x: x[:, ::2]), "steps other than 1"),
        (
            tf_keras.Sequential([layers.Reshape((8, 16)), layers.Lambda(lambda x: x[:, 1:])]),
            "height, width and channels of a map",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_layers_that_have_no_graph_form_are_refused(layer: layers.Layer, reason: str) -> None:
    image = layers.Input((8, 8, 2), name="image")
    model = tf_keras.Model(image, layer(layers.ReLU()(image)))
    data = converter.convert_float(model, metadata(2))
    with pytest.raises(ModelError, match=reason):
        read_graph(schema.parse_tflite(data))


def test_weights_alone_in_integers_are_refused() -> None:
    half = converter.convert_float(rewritten(), metadata(3), half=True)
    with pytest.raises(ModelError, match="DEQUANTIZE"):
        read_graph(schema.parse_tflite(half))


def test_constants_joined_that_are_not_zero_are_refused(int8_rewritten: bytes) -> None:
    network = read_integers(schema.parse_tflite(int8_rewritten))
    file = schema.parse_tflite(write_tflite(network))
    tensors = tuple(replace(t, data=np.asarray(t.data) + 1) if t.name.startswith("zeros_") else t for t in file.tensors)
    with pytest.raises(ModelError, match="the constants joined to it are not zeros"):
        read_graph(replace(file, tensors=tensors))


def test_two_inputs_are_refused(int8_rewritten: bytes) -> None:
    file = schema.parse_tflite(int8_rewritten)
    with pytest.raises(ModelError, match="2 inputs and 1 outputs"):
        read_graph(replace(file, inputs=(0, 1)))


def test_floats_inside_an_integer_network_are_refused(int8_rewritten: bytes) -> None:
    file = schema.parse_tflite(int8_rewritten)
    real = replace(file.tensors[file.inputs[0]], dtype=np.dtype(np.float32), name="real")
    leaves = Operator("DEQUANTIZE", (file.operators[0].outputs[0],), (len(file.tensors),), {})
    with pytest.raises(ModelError, match="changes between integers and floats inside: DEQUANTIZE gives 'real'"):
        read_graph(replace(file, tensors=(*file.tensors, real), operators=(*file.operators, leaves)))


def test_maps_as_a_batch_of_rows_are_refused_with_what_to_give_instead() -> None:
    grown = Node("y", "upsample", ("image",), {"size": (1, 4), "interpolation": "bilinear"})
    laid = lower_graph(graph([grown, Node("pooled", "max_pool", ("y",))], (64, 8, 2)))
    with pytest.raises(ModelError, match=r"images of a batch.*without layouts"):
        read_graph(laid)
