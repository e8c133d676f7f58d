"""A TFLite file whose indices, sizes, shapes or options are not what a runtime may believe is refused before it loads."""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.slow import mark_slow
from tests.support.small_artifacts import Zoo
from tests.support.tflite_models import graph, integers
from u3p_edge.conversion.tflite.schema import to_bytes
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.errors import ModelError
from u3p_edge.files.tflite.check import RULES, read
from u3p_edge.files.tflite.options import OPTIONS
from u3p_edge.graph.ir import Node

KINDS = ("float32", "int8", "float16", "float-io")


def unpack(data: bytes) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))


def operator(model: Any, code: str) -> Any:
    """The first operator of that kind."""
    number = getattr(schema.BuiltinOperator, code)
    return next(op for op in model.subgraphs[0].operators if model.operatorCodes[op.opcodeIndex].builtinCode == number)


def constant(model: Any, index: int, values: Any) -> None:
    """Give a tensor other values."""
    model.buffers[model.subgraphs[0].tensors[index].buffer].data = np.asarray(values).view(np.uint8)


# --- what is accepted


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_the_converter_are_accepted(zoo: Zoo, kind: str) -> None:
    data = zoo.path(f"{kind}.tflite").read_bytes()
    result = read(data, 64).graph
    assert len(result.operators) == len(unpack(data).subgraphs[0].operators)


@pytest.mark.parametrize("int8", mark_slow([False, True], [False]))
def test_every_operator_of_a_foreign_network_is_accepted(int8: bool) -> None:
    import tensorflow as tf
    import tf_keras

    layers = tf_keras.layers
    image = layers.Input((16, 16, 4), batch_size=1)
    x = layers.Activation("gelu")(layers.Conv2D(8, 3, padding="same", dilation_rate=2)(image))
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same")(layers.AveragePooling2D()(layers.PReLU()(x)))
    x = layers.Conv2D(8, 3, groups=4, padding="same")(layers.ELU()(layers.DepthwiseConv2D(3, padding="same")(x)))
    x = layers.LayerNormalization()(layers.Activation("hard_sigmoid")(x)) * layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = tf.pad(layers.Activation("selu")(x), [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT")
    x = layers.Concatenate()(tf.split(layers.Cropping2D(1)(x), 2, -1))
    model = tf_keras.Model(image, layers.Softmax()(layers.UpSampling2D(2)(layers.MaxPool2D()(x))))
    call = tf.function(model).get_concrete_function(tf.TensorSpec((1, 16, 16, 4), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([call], model)
    if int8:
        rng = np.random.default_rng(0)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([rng.normal(size=(1, 16, 16, 4)).astype(np.float32)] for _ in range(4))
    assert len(read(converter.convert(), 64).graph.operators) > 15


def test_every_operator_has_a_rule_and_an_options_table_of_the_schema() -> None:
    assert RULES.keys() == OPTIONS.keys()
    for code, table in OPTIONS.items():
        assert hasattr(schema.BuiltinOperator, code)
        assert hasattr(schema.BuiltinOptions, table)


# --- what is refused


def port(which: str, index: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        setattr(model.subgraphs[0], which, np.array([index], np.int32))

    return change


def operand(code: str, which: str, index: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        indices = getattr(operator(model, code), which).copy()
        indices[0] = index
        setattr(operator(model, code), which, indices)

    return change


def option(code: str, name: str, value: int) -> Callable[[Any], None]:
    return lambda model: setattr(operator(model, code).builtinOptions, name, value)


def no_options(model: Any) -> None:
    operator(model, "CONV_2D").builtinOptionsType, operator(model, "CONV_2D").builtinOptions = 0, None


def other_options(model: Any) -> None:
    op = operator(model, "CONV_2D")
    op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.Pool2DOptions, schema.Pool2DOptionsT()


def resized(model: Any) -> None:
    constant(model, operator(model, "RESIZE_BILINEAR").inputs[1], np.array([60_000, 60_000], np.int32))


def unlike_kernel(model: Any) -> None:
    tensor = model.subgraphs[0].tensors[operator(model, "CONV_2D").inputs[1]]
    tensor.shape = np.array([8, 1024, 1024, 1], np.int32)


def negative_shape(model: Any) -> None:
    model.subgraphs[0].tensors[operator(model, "CONV_2D").outputs[0]].shape = np.array([1, -48, 64, 8], np.int32)


def custom(model: Any) -> None:
    code = model.operatorCodes[operator(model, "SOFTMAX").opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b"FlexSave"


def read_before_made(model: Any) -> None:
    model.subgraphs[0].operators = model.subgraphs[0].operators[::-1]


def buffer_beyond(model: Any) -> None:
    model.subgraphs[0].tensors[0].buffer = 2**31


def code_beyond(model: Any) -> None:
    operator(model, "SOFTMAX").opcodeIndex = 999


def signature_elsewhere(model: Any) -> None:
    model.signatureDefs[0].outputs[0].tensorIndex = int(operator(model, "CONV_2D").outputs[0])


def nameless_signature(model: Any) -> None:
    model.signatureDefs[0].inputs[0].name = None


def name_of_bytes(model: Any) -> None:
    model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].name = b"\x80image"


def two_graphs(model: Any) -> None:
    model.subgraphs = model.subgraphs * 2


def variable(model: Any) -> None:
    model.subgraphs[0].tensors[0].isVariable = True


def metadata_beyond(model: Any) -> None:
    model.metadata[0].buffer = 77


REFUSED: dict[str, tuple[Callable[[Any], None], str]] = {
    "an output that is not there": (port("outputs", -1), "the graph's outputs name the tensor -1"),
    "an input that is not there": (port("inputs", 2**31 - 1), "the graph's inputs name the tensor 2147483647"),
    "a map left out": (operand("CONV_2D", "inputs", -1), "its input 0 is missing"),
    "a map beyond the tensors": (operand("CONCATENATION", "inputs", 999), "name the tensor 999"),
    "a result beyond the tensors": (operand("CONV_2D", "outputs", 999), "name the tensor 999"),
    "a stride of zero": (option("CONV_2D", "strideH", 0), "its option strideH is 0"),
    "a window of zero": (option("MAX_POOL_2D", "filterWidth", 0), "its option filterWidth is 0"),
    "a dilation of zero": (option("CONV_2D", "dilationWFactor", 0), "its option dilationWFactor is 0"),
    "an axis beyond the dimensions": (option("CONCATENATION", "axis", 9), "its axis 9 is not one of 4"),
    "a padding that is not known": (option("CONV_2D", "padding", 7), "its padding is 7"),
    "an activation that is not known": (option("CONV_2D", "fusedActivationFunction", 9), "its fused activation"),
    "no options": (no_options, "its option padding is missing"),
    "options of another operator": (other_options, "CONV_2D carries Pool2DOptions"),
    "a resize beyond what is declared": (resized, "it gives 1x60000x60000x8, where the file declares 1x48x64x8"),
    "a kernel of other size": (unlike_kernel, r"needs \d+ bytes and has \d+"),
    "a negative size": (negative_shape, r"has the shape \[1, -48, 64, 8\]"),
    "a custom operator": (custom, "the TFLite operator CUSTOM is not among those"),
    "operators in no order": (read_before_made, "which no operator before it gives"),
    "a buffer that is not there": (buffer_beyond, "has the buffer 2147483648"),
    "a code that is not there": (code_beyond, "has the code 999"),
    "a signature of another map": (signature_elsewhere, "a signature of the TFLite file"),
    "a signature without a name": (nameless_signature, "a signature of the TFLite file"),
    "a name that is no text": (name_of_bytes, "damaged"),
    "two graphs": (two_graphs, "has 2 subgraphs"),
    "a variable": (variable, "is a variable or sparse"),
    "metadata that is not there": (metadata_beyond, "a metadata entry of the TFLite file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_litert_would_believe_is_refused(zoo: Zoo, name: str) -> None:
    change, reason = REFUSED[name]
    model = unpack(zoo.path("float32.tflite").read_bytes())
    change(model)
    with pytest.raises(ModelError, match=reason):
        read(to_bytes(model))


@pytest.mark.parametrize("kind", KINDS)
def test_a_declared_shape_must_be_what_the_operator_gives(zoo: Zoo, kind: str) -> None:
    data = zoo.path(f"{kind}.tflite").read_bytes()
    for index in range(len(unpack(data).subgraphs[0].operators)):
        model = unpack(data)
        tensor = model.subgraphs[0].tensors[model.subgraphs[0].operators[index].outputs[0]]
        tensor.shape = tensor.shape + 1
        with pytest.raises(ModelError):
            read(to_bytes(model))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 1e-45])
def test_a_scale_that_no_kernel_can_divide_by_is_refused(zoo: Zoo, scale: float) -> None:
    model = unpack(zoo.path("int8.tflite").read_bytes())
    model.subgraphs[0].tensors[operator(model, "CONV_2D").outputs[0]].quantization.scale = np.array([scale], np.float32)
    with pytest.raises(ModelError, match="has no scale, or one that cannot be"):
        read(to_bytes(model))


def test_scales_too_far_apart_are_refused(zoo: Zoo) -> None:
    model = unpack(zoo.path("int8.tflite").read_bytes())
    model.subgraphs[0].tensors[operator(model, "CONCATENATION").outputs[0]].quantization.scale = np.array([1e-20], np.float32)
    with pytest.raises(ModelError, match="lie too far apart"):
        read(to_bytes(model))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1, exclude_max=True))
def test_any_four_bytes_changed_give_values_or_one_error(number: int, share: float) -> None:
    data = write_tflite(graph([Node("y", "max_pool", ("image",))]))
    index = 4 * int(share * len(data) / 4)
    changed = data[:index] + struct.pack("<I", number) + data[index + 4 :]
    try:
        file = read(changed, 64)
    except ModelError:
        return
    assert all(prod(tensor.shape) * tensor.dtype.itemsize <= 64e6 for tensor in file.graph.tensors)


# --- memory


def test_maps_beyond_the_memory_are_refused() -> None:
    # 6x8x2 floats to 6144x8192x2: 403 MB.
    nodes = [Node("y", "upsample", ("image",), {"size": (1024, 1024), "interpolation": "nearest"})]
    data = write_tflite(graph(nodes), layouts=False)
    assert len(data) < 5000
    assert read(data).graph.operators
    assert read(data, 3000).graph.operators  # the map, and 40 bytes a pixel for the kernel's table
    with pytest.raises(ModelError, match=r"would take about 2,416 MB of memory, more than the 512 MB.*--max-memory-mb"):
        read(data, 512)


def test_a_window_beyond_the_memory_is_refused() -> None:
    # XNNPACK keeps a pointer for each of the window's 200x200 places at each of 224x224 positions: 16 GB from a small file.
    nodes = [Node("y", "max_pool", ("image",), {"pool_size": (200, 200), "strides": (1, 1), "padding": "same"})]
    data = write_tflite(graph(nodes, (224, 224, 1)), layouts=False)
    with pytest.raises(ModelError, match="would take about 16,0"):
        read(data, 4096)


def test_integers_take_a_quarter_of_the_memory_of_floats() -> None:
    of = graph([Node("y", "max_pool", ("image",))], (64, 64, 32))
    network = integers(of)
    floats, bytes_ = write_tflite(of), write_tflite(network)
    limit = 64 * 64 * 32 * 1.5e-6  # the map and its quarter in bytes, the window's pointers beside them
    assert read(bytes_, limit).graph.operators
    with pytest.raises(ModelError, match="more than the"):
        read(floats, limit)
