"""Forms of operators that need smaller tables: where they are written, that no bit changes, and the way back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support import rewrite_sites as sites
from tests.support.rewrite_sites import conv, drawn
from tests.support.rule_checks import apply_rule
from tests.support.tflite_models import graph, integers, random_image, run
from u3p_edge.conversion.tflite.layout_ops import BAND_ROWS, apply_layout
from u3p_edge.conversion.tflite.pack import pack
from u3p_edge.conversion.tflite.pieces import CONCAT_OPERANDS, Call
from u3p_edge.conversion.tflite.schema import TFLiteGraph
from u3p_edge.conversion.tflite.writer import lower_graph
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.rewriting.rule import Rule
from u3p_edge.rewriting.rules.one_interpolation import OneInterpolation
from u3p_edge.rewriting.rules.separable import Separable
from u3p_edge.rewriting.rules.winograd import Winograd
from u3p_edge.runtime.tflite_raw import find_slow_operators


def grown(rows: int, columns: int, size: tuple[int, int], interpolation: str = "bilinear") -> Graph:
    """An interpolation `t` of a map of two channels, pooled."""
    return behind(Node("t", "upsample", ("image",), {"size": size, "interpolation": interpolation}), rows, columns)


def convolved(rows: int, columns: int, kernel: tuple[int, int], **attrs: Any) -> Graph:
    """A convolution `t` of two channels to three, pooled."""
    return behind(conv("t", "image", drawn(1, *kernel, 2, 3), **attrs), rows, columns)


def behind(node: Node, rows: int, columns: int) -> Graph:
    return graph([node, Node("y", "max_pool", ("t",))], (rows, columns, 2))


FORMS = {
    "rows": grown(16, 32, (4, 1)),
    "columns": grown(64, 8, (1, 4)),
    "line": convolved(64, 48, (1, 3)),
    "bands": convolved(150, 12, (3, 3), activation="relu"),
    "bands of five rows": convolved(200, 12, (5, 5)),
    "many bands": convolved(320, 4, (3, 3)),
}
"""36 bytes for each of 64x32 places, 24 for 64x48, 72 for 150x12 and 320x4, 200 for 200x12: from 65536 on."""


def pooled(rule: Rule, of: Graph) -> Graph:
    """The graph after the rule, with a pooling behind."""
    new = apply_rule(rule, of)
    return replace(new, nodes=(*new.nodes, Node("pooled", "max_pool", ("y",))), outputs=("pooled",))


NETWORKS = {
    "separable": pooled(Separable(), sites.upsampled((32, 32), factor=(4, 4), filters=4, activation="linear")),
    "separable once": pooled(OneInterpolation(), sites.upsampled((32, 32), factor=(4, 4), filters=4, activation="linear")),
    "winograd": pooled(Winograd("rows"), sites.plain((128, 64))),
    "winograd 2d": pooled(Winograd("both"), sites.plain((128, 64))),
    "cuts behind": graph(
        [
            FORMS["columns"]["t"],
            *(Node(f"cut{i}", "crop", ("t",), {"cropping": ((i, 4 - i), (i, 4 - i))}) for i in range(4)),
            Node("y", "concat", ("cut0", "cut1", "cut2", "cut3"), {"axis": 1}),
        ],
        (64, 8, 2),
    ),
}
"""Of the cuts none is laid: they would need four copies more than the interpolation alone."""
ALL = {**FORMS, **NETWORKS}


def written(of: Graph, int8: bool, layouts: bool = True) -> TFLiteGraph:
    network = integers(of)
    return lower_graph(network, layouts=layouts) if int8 else lower_graph(of, layouts=layouts)


def made(file: TFLiteGraph) -> list[tuple[str, tuple[int, ...]]]:
    return [(op.code, file.tensors[op.outputs[0]].shape) for op in file.operators]


# --- it fires, and the structure is right


def test_a_map_grows_along_rows_with_its_columns_as_channels() -> None:
    assert made(lower_graph(FORMS["rows"])) == [
        ("RESHAPE", (1, 16, 1, 32 * 2)), ("RESIZE_BILINEAR", (1, 64, 1, 32 * 2)), ("RESHAPE", (1, 64, 32, 2)),
        ("MAX_POOL_2D", (1, 32, 16, 2)),
    ]  # fmt: skip


@pytest.mark.parametrize(("form", "code", "after"), [("columns", "RESIZE_BILINEAR", (32, 2)), ("line", "CONV_2D", (48, 3))])
def test_what_treats_every_row_alike_sees_rows_as_images(form: str, code: str, after: tuple[int, int]) -> None:
    of = FORMS[form]
    assert made(lower_graph(of))[:3] == [
        ("RESHAPE", (64, 1, *of["image"].attrs["shape"][2:])), (code, (64, 1, *after)), ("RESHAPE", (1, 64, *after)),
    ]  # fmt: skip


@pytest.mark.parametrize(("form", "kernel", "count"), [("bands", 3, 3), ("bands of five rows", 5, 2)])
def test_a_convolution_is_computed_in_bands_with_the_rows_beyond_them(form: str, kernel: int, count: int) -> None:
    height = FORMS[form]["image"].attrs["shape"][1]
    rows, beyond = height // count, kernel - 1
    assert rows >= BAND_ROWS * beyond / 2
    assert made(lower_graph(FORMS[form]))[:-1] == [
        ("PAD", (1, height + beyond, 12, 2)),
        *[("STRIDED_SLICE", (1, rows + beyond, 12, 2))] * count,
        ("CONCATENATION", (count, rows + beyond, 12, 2)),
        ("CONV_2D", (count, rows + beyond, 12, 3)),
        ("STRIDED_SLICE", (count, rows, 12, 3)),
        ("RESHAPE", (1, height, 12, 3)),
    ]


@pytest.mark.parametrize(("height", "count"), [(79, 1), (80, 2), (121, 1), (150, 3), (199, 1), (250, 5), (256, 4), (320, 8)])
def test_bands_are_even_and_as_many_as_are_tall_enough(height: int, count: int) -> None:
    """121 and 199 rows have no divisor of at most as many bands of 40 rows."""
    file = lower_graph(convolved(height, 16, (3, 3)))
    codes = [op.code for op in file.operators]
    assert codes.count("STRIDED_SLICE") == (count + 1 if count > 1 else 0)
    joining = [op for op in file.operators if op.code == "CONCATENATION"]
    assert len(joining) == (count > 1) + (count > CONCAT_OPERANDS)
    assert all(len(op.inputs) <= CONCAT_OPERANDS for op in joining)


# --- the numbers are right


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("name", ALL)
def test_layouts_change_no_bit(name: str, int8: bool) -> None:
    """The same sums of the same products in the same order: no tolerance."""
    of = ALL[name]
    shape = of[of.inputs[0]].attrs["shape"][1:]
    source = random_image(shape, np.int8 if int8 else np.float32)
    found, expected = (run(pack(written(of, int8, layouts), None), source) for layouts in (True, False))
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) > 50


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("name", ALL)
def test_xnnpack_takes_every_operator(name: str, int8: bool) -> None:
    assert find_slow_operators(pack(written(ALL[name], int8), None)) == ()


# --- it refuses


@pytest.mark.parametrize(
    "of",
    [
        grown(14, 32, (4, 1)),  # 36 * 56 * 32 = 64512 bytes, and four rows more are 69120
        grown(32, 32, (2, 4)),
        convolved(64, 42, (1, 3)),  # 24 * 64 * 42 = 64512
        convolved(100, 9, (3, 3)),  # 72 * 900 = 64800
        convolved(62, 40, (3, 3)),  # two bands of 31 rows
        convolved(100, 64, (1, 1)),
        convolved(100, 64, (4, 3)),
        convolved(100, 64, (3, 3), strides=(2, 2)),
        convolved(100, 64, (3, 3), dilation=(2, 2)),
        convolved(100, 64, (1, 3), strides=(1, 2)),
        convolved(102, 64, (3, 3), padding="valid"),
    ],
    ids=lambda of: str((*of["image"].attrs["shape"][1:3], of["t"].attrs.get("size") or of["t"].weights["kernel"].shape[:2])),
)
def test_nothing_is_done_where_nothing_is_gained_or_an_edge_would_be_another(of: Graph) -> None:
    assert [op.code for op in lower_graph(of).operators][1:] == ["MAX_POOL_2D"]


def test_a_batch_and_what_is_no_map_are_left_as_they_are() -> None:
    file = lower_graph(FORMS["bands"], layouts=False)
    op = next(op for op in file.operators if op.code == "CONV_2D")
    source, kernel, bias, out = (file.tensors[index] for index in (*op.inputs, *op.outputs))
    call = Call(op.code, (source.name, kernel, bias), out, op.options)
    assert len(apply_layout(call, source)) == 3 + 5
    two = replace(call, output=replace(out, shape=(2, *out.shape[1:])))
    assert apply_layout(two, replace(source, shape=(2, *source.shape[1:]))) == (two,)
    flat = replace(call, output=replace(out, shape=(1, 150 * 12 * 3)))
    assert apply_layout(flat, source) == (flat,)


def test_the_networks_own_ends_stay_maps() -> None:
    alone = graph(FORMS["columns"].nodes[1:2], (64, 8, 2))
    assert made(lower_graph(alone)) == [("RESIZE_BILINEAR", (1, 64, 32, 2))]


@pytest.mark.parametrize(
    "last",
    [Node("y", "global_max_pool", ("t",)), Node("y", "flatten", ("t",))],
    ids=lambda node: node.op,
)
def test_a_large_map_that_becomes_a_list_keeps_its_end(last: Node) -> None:
    nodes = [Node("half", "max_pool", ("image",)), conv("t", "half", drawn(1, 1, 1, 2, 3)), last]
    of = graph(nodes, (128, 96, 2))
    assert made(lower_graph(of))[-1] == made(lower_graph(of, layouts=False))[-1]
