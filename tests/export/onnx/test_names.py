"""The same model gives the same ONNX file, whatever the process has done before."""

from __future__ import annotations

import random

import numpy as np
import onnx
import tf_keras
from onnx import TensorProto, helper, numpy_helper

from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.export.onnx import float_writer
from u3p_edge.export.onnx.names import name_by_content

METADATA = default_metadata(Preprocessing(16, 16), labels=2)
L = tf_keras.layers


def build() -> tf_keras.Model:
    tf_keras.utils.set_random_seed(0)
    image = tf_keras.Input((16, 16, 1), name="image")
    x = L.Conv2D(4, 3, padding="same", name="first")(image)
    y = L.UpSampling2D(2, interpolation="bilinear")(L.MaxPooling2D(2)(x))
    z = L.Concatenate()([x, L.Conv2D(2, 1, name="second")(x), y])
    return tf_keras.Model(image, L.Conv2D(1, 1, activation="sigmoid", name="head")(z), name="net")


def test_two_conversions_of_one_model_are_one_file() -> None:
    model = build()
    first = float_writer.write_float_onnx(model, METADATA)
    build()  # Keras, TensorFlow and tf2onnx count on
    second = float_writer.write_float_onnx(model, METADATA)
    assert first.SerializeToString() == second.SerializeToString()
    assert not [part for part in (first, first.graph, *first.graph.node) if part.doc_string]
    assert any("first" in node.name for node in first.graph.node)


def counted(start: int, seed: int) -> onnx.ModelProto:
    """max(x, w) * max(x, w) + v with names that a counter gives, its nodes and constants in an order of chance."""
    names = [f"op__{start + i}:0" for i in range(3)]
    one, two = (f"const__{start + i}" for i in (7, 8))
    nodes = [
        helper.make_node("Max", ["image", one], [names[0]], name=f"op__{start}", doc_string=f"made by {start}"),
        helper.make_node("Mul", [names[0], names[0]], [names[1]], name=f"op__{start + 1}"),
        helper.make_node("Add", [names[1], two], ["mask"], name=f"op__{start + 2}"),
    ]
    constants = [numpy_helper.from_array(np.float32(value), name) for value, name in ((1, one), (2, two))]
    random.Random(seed).shuffle(constants)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("image", "mask")]
    graph = helper.make_graph(nodes, f"g{start}", values[:1], values[1:], constants, doc_string=f"from {start}")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], doc_string=f"{start}")


def test_names_and_order_follow_from_the_graph() -> None:
    files = {name_by_content(counted(start, start)).SerializeToString() for start in (0, 95, 1000)}
    assert len(files) == 1
    named = name_by_content(counted(5, 5))
    onnx.checker.check_model(named, full_check=True)
    assert [tuple(node.input) for node in named.graph.node] == [("image", "const"), ("op", "op"), ("op_2", "const_2")]
    assert [node.name for node in named.graph.node] == ["0/op", "1/op_2", "2/mask"]


def test_the_model_given_is_not_changed() -> None:
    model = counted(3, 3)
    before = model.SerializeToString()
    name_by_content(model)
    assert model.SerializeToString() == before
