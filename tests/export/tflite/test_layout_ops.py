"""Forms of operators that need smaller tables: where they are written, that no bit changes, and the way back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support import rewrite_sites as sites
from tests.support.onnx_models import METADATA, run_onnx
from tests.support.rewrite_sites import conv, drawn
from tests.support.rule_checks import apply_rule
from tests.support.tflite_models import graph, integers, random_image, run
from u3p_edge.export.onnx import int8_writer
from u3p_edge.export.tflite import layout_ops
from u3p_edge.export.tflite.layout_ops import BAND_ROWS, apply_layout
from u3p_edge.export.tflite.pack import pack
from u3p_edge.export.tflite.pieces import CONCAT_OPERANDS, Call
from u3p_edge.export.tflite.reader import read_graph
from u3p_edge.export.tflite.schema import Operator, TFLiteGraph
from u3p_edge.export.tflite.undo_layouts import undo_layouts
from u3p_edge.export.tflite.writer import lower_graph
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.scheme import Quantized
from u3p_edge.rewrite.rule import Rule
from u3p_edge.rewrite.rules.one_interpolation import OneInterpolation
from u3p_edge.rewrite.rules.separable import Separable
from u3p_edge.rewrite.rules.winograd import Winograd
from u3p_edge.runtime.tflite_raw import left_to_slow_kernels


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


def said(file: TFLiteGraph) -> list[tuple[Any, ...]]:
    """What each operator says, without places of tensors in the file: maps by name, shape and scale, constants by value."""

    def tensor(index: int) -> tuple[Any, ...]:
        if index < 0:
            return ()
        t = file.tensors[index]
        own = (t.shape, str(t.dtype), t.scale.tolist(), t.zero_point.tolist())
        return (t.name, *own) if t.data is None else (t.data.tolist(), *own)

    return [
        (op.code, {k: np.asarray(v).tolist() for k, v in op.options.items()}, [*map(tensor, (*op.inputs, *op.outputs))])
        for op in file.operators
    ]


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
    assert left_to_slow_kernels(pack(written(ALL[name], int8), None)) == ()


# --- it is taken back


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("name", ALL)
def test_plain_is_the_inverse(name: str, int8: bool) -> None:
    again = undo_layouts(written(ALL[name], int8))
    assert said(again) == said(written(ALL[name], int8, layouts=False))
    assert undo_layouts(again) == again


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("name", ALL)
def test_a_file_with_layouts_is_read_as_one_without(name: str, int8: bool) -> None:
    found = read_graph(written(ALL[name], int8))
    assert found == read_graph(written(ALL[name], int8, layouts=False))
    # Of more maps than XNNPACK joins at once, some are joined before.
    back, own = (found.graph if isinstance(found, Quantized) else found), ALL[name]
    assert [n.op for n in back.nodes if n.op != "concat"] == [n.op for n in own.nodes if n.op != "concat"]
    assert ("concat" in [n.op for n in back.nodes]) == ("concat" in [n.op for n in own.nodes])


@pytest.mark.parametrize("name", ALL)
def test_the_onnx_twin_is_that_of_the_file_without(name: str) -> None:
    laid, original = (int8_writer.write_int8_onnx(written(ALL[name], True, layouts), METADATA) for layouts in (True, False))
    source = random_image(ALL[name].nodes[0].attrs["shape"][1:], np.int8)
    np.testing.assert_array_equal(run_onnx(laid, source, optimize=True), run_onnx(original, source, optimize=True))


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
    file = lower_graph(FORMS["bands"])
    op = next(op for op in undo_layouts(file).operators if op.code == "CONV_2D")
    source, kernel, bias, out = (undo_layouts(file).tensors[index] for index in (*op.inputs, *op.outputs))
    call = Call(op.code, (source.name, kernel, bias), out, op.options)
    assert len(apply_layout(call, source)) == 3 + 5
    two = replace(call, output=replace(out, shape=(2, *out.shape[1:])))
    assert apply_layout(two, replace(source, shape=(2, *source.shape[1:]))) == (two,)
    flat = replace(call, output=replace(out, shape=(1, 150 * 12 * 3)))
    assert apply_layout(flat, source) == (flat,)


def test_the_networks_own_ends_stay_maps() -> None:
    alone = graph(FORMS["columns"].nodes[1:2], (64, 8, 2))
    assert made(lower_graph(alone)) == [("RESIZE_BILINEAR", (1, 64, 32, 2))]


# --- what merely looks alike is left untouched


def changed(file: TFLiteGraph, code: str, which: int, data: Any) -> TFLiteGraph:
    """The file with the second input of its `which`th operator of that kind another constant."""
    index = [op for op in file.operators if op.code == code][which].inputs[1]
    new = replace(file.tensors[index], data=np.asarray(data, np.int32))
    return replace(file, tensors=tuple(new if i == index else t for i, t in enumerate(file.tensors)))


def place(file: TFLiteGraph, name: str) -> int:
    return [tensor.name for tensor in file.tensors].index(name)


@pytest.mark.parametrize(
    ("code", "which", "data"),
    [
        ("PAD", 0, ((0, 0), (2, 0), (0, 0), (0, 0))),
        ("STRIDED_SLICE", 1, (0, 49, 0, 0)),
        ("STRIDED_SLICE", 3, (0, 0, 0, 0)),
    ],
)
def test_bands_cut_elsewhere_are_left(code: str, which: int, data: Any) -> None:
    file = changed(lower_graph(FORMS["bands"]), code, which, data)
    assert undo_layouts(file) == file


@pytest.mark.parametrize("itself", [False, True])
def test_many_bands_whose_parts_are_no_tree_are_left(itself: bool) -> None:
    """A part that is joined twice, or, in a damaged file, joins itself."""
    file = lower_graph(FORMS["many bands"])
    part, whole = (at for at, op in enumerate(file.operators) if op.code == "CONCATENATION")
    given, at = file.operators[part].outputs[0], part if itself else whole
    inputs = file.operators[at].inputs
    operators = list(file.operators)
    operators[at] = replace(operators[at], inputs=(*inputs[:-1], given))
    damaged = replace(file, operators=tuple(operators))
    assert undo_layouts(damaged) == damaged


@pytest.mark.parametrize(("form", "inner"), [("rows", "line"), ("rows", "grown"), ("bands", "band1"), ("bands", "wide")])
def test_what_something_else_reads_is_left(form: str, inner: str) -> None:
    file = lower_graph(FORMS[form])
    index = place(file, f"t/{inner}")
    output = replace(file, outputs=(*file.outputs, index))
    assert undo_layouts(output) == output
    also = Operator("RELU", (index,), (len(file.tensors),), {})
    read = replace(
        file,
        tensors=(*file.tensors, replace(file.tensors[index], name="also")),
        operators=(*file.operators, also),
        outputs=(*file.outputs, len(file.tensors)),
    )
    assert undo_layouts(read) == read


@pytest.mark.parametrize("of", [grown(4, 8, (4, 1)), convolved(20, 12, (3, 3))], ids=["rows", "bands"])
def test_layouts_of_small_maps_are_not_ours(of: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(layout_ops, "TABLE_FROM", 0)
        patch.setattr(layout_ops, "BAND_ROWS", 10)
        file = lower_graph(of)
    assert len(file.operators) > 2
    assert undo_layouts(file) == file


def test_images_that_something_else_is_done_to_stay_images() -> None:
    file = lower_graph(FORMS["columns"])
    source, out = place(file, "t"), file.outputs[0]
    assert file.tensors[source].shape == (64, 1, 32, 2)
    options = {**file.operators[-1].options, "filterHeight": 1, "strideH": 1}
    pool = replace(file.operators[-1], inputs=(source,), options=options)
    tensors = tuple(replace(t, shape=(64, 1, 16, 2)) if i == out else t for i, t in enumerate(file.tensors))
    foreign = replace(file, tensors=tensors, operators=(*file.operators[:-2], pool))
    assert undo_layouts(foreign) == foreign


@pytest.mark.parametrize(
    "last",
    [Node("y", "global_max_pool", ("t",)), Node("y", "flatten", ("t",))],
    ids=lambda node: node.op,
)
def test_a_large_map_that_becomes_a_list_is_left(last: Node) -> None:
    nodes = [Node("half", "max_pool", ("image",)), conv("t", "half", drawn(1, 1, 1, 2, 3)), last]
    file = lower_graph(graph(nodes, (128, 96, 2)))
    assert undo_layouts(file) == file
