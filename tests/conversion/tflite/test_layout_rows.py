"""Rows as images of a batch: laid where that pays, the same bits, taken back when a file is read, and not laid elsewhere."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tests.support.rewrite_sites import drawn, image, upsampled
from tests.support.rule_checks import apply_rule
from u3p_edge.conversion.tflite.pack import pack
from u3p_edge.conversion.tflite.schema import TFLiteGraph
from u3p_edge.conversion.tflite.writer import lower_graph
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.rewriting.interpolated_sums import fuse_interpolated_sums
from u3p_edge.rewriting.rules.one_interpolation import OneInterpolation
from u3p_edge.rewriting.rules.separable import Separable
from u3p_edge.rewriting.rules.winograd import Winograd
from u3p_edge.runtime.tflite_raw import find_slow_operators

PLACES = (64, 48)  # 64 * 48 * 36 bytes of a table are above `TABLE_FROM`


def stretch() -> Graph:
    """Between two views: crops, an interpolation along columns, a shift, a sum and a joining of channels."""
    rows, columns = PLACES
    nodes = (
        image(rows // 2, columns, 4),
        Node("view", "reshape", ("x",), {"target_shape": (rows, columns // 2, 4)}),
        Node("grown", "upsample", ("view",), {"size": (1, 2), "interpolation": "bilinear"}),
        Node("cut", "crop", ("grown",), {"cropping": ((1, 0), (0, 1))}),
        Node("shifted", "pad", ("cut",), {"padding": ((0, 1), (1, 0))}),
        Node("sum", "add", ("grown", "shifted")),
        Node("both", "concat", ("sum", "shifted")),
        Node("y", "reshape", ("both",), {"target_shape": (rows // 2, 2 * columns, 8)}),
        Node("out", "activation", ("y",), {"function": "sigmoid"}),
    )
    return Graph(nodes, ("x",), ("out",))


def batches(file: TFLiteGraph) -> list[str]:
    return [tensor.name for tensor in file.tensors if tensor.data is None and tensor.shape[0] > 1]


def output(file: bytes) -> np.ndarray:
    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    port = interpreter.get_input_details()[0]
    values = drawn(1, *port["shape"])
    interpreter.set_tensor(port["index"], values if port["dtype"] is np.float32 else (32 * values).astype(np.int8))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_a_stretch_between_views_is_laid_without_a_copy_more() -> None:
    file = lower_graph(stretch())
    assert {"grown", "cut", "shifted", "sum", "both"} <= set(batches(file))
    assert Counter(op.code for op in file.operators)["RESHAPE"] == 2, "the two that the graph has"
    assert next(t.shape for t in file.tensors if t.name == "both") == (PLACES[0], 1, PLACES[1], 8)


def test_an_operator_that_gains_is_laid_alone_where_its_neighbours_would_need_more_copies() -> None:
    rows, columns = PLACES
    nodes = (
        image(rows, columns // 2, 4),
        Node("grown", "upsample", ("x",), {"size": (1, 2), "interpolation": "bilinear"}),
        Node("wide", "concat", ("grown",) * 4),
        Node("out", "activation", ("wide",), {"function": "sigmoid"}),
    )
    file = lower_graph(Graph(nodes, ("x",), ("out",)))
    assert batches(file) == ["x/rows", "grown"]
    assert Counter(op.code for op in file.operators)["RESHAPE"] == 2


@pytest.mark.parametrize("number", ["float32", "int8"])
@pytest.mark.parametrize(
    "graph",
    [
        stretch(),
        apply_rule(Separable(), upsampled((16, 24), 4, 8, (4, 4))),
        apply_rule(OneInterpolation(), upsampled((16, 24), 4, 8, (4, 4))),
        apply_rule(Winograd("rows"), upsampled((32, 48), 4, 8, (2, 2))),
        fuse_interpolated_sums(apply_rule(Separable(), upsampled((16, 24), 4, 8, (4, 4)))),
    ],
    ids=["stretch", "separable", "separable once", "winograd", "gathered"],
)
def test_the_laid_file_gives_the_plain_files_bits(graph: Graph, number: str) -> None:
    given = make_dummy_quantized(graph) if number == "int8" else graph
    laid, flat = lower_graph(given), lower_graph(given, layouts=False)
    assert batches(laid)
    assert not batches(flat)
    assert not find_slow_operators(pack(laid, None))
    np.testing.assert_array_equal(output(pack(laid, None)), output(pack(flat, None)))


def test_small_maps_and_maps_that_no_operator_gains_from_stay_maps() -> None:
    small = upsampled((4, 6), 3, 2, (2, 2))
    assert not batches(lower_graph(apply_rule(Separable(), small)))
    rows, columns = PLACES
    nodes = (
        image(rows, columns, 4),
        Node("sum", "add", ("x", "x")),
        Node("out", "pad", ("sum",), {"padding": ((0, 0), (1, 1))}),
    )
    assert not batches(lower_graph(Graph(nodes, ("x",), ("out",))))
