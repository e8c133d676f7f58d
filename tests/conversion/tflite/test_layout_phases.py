"""Interpolated sums as depthwise convolutions: the right integers, with small tables, and read back as they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tflite_models import graph as behind_image
from tests.support.tflite_models import integers, random_image, run
from u3p_edge.conversion.tflite.layout_ops import TABLE_FROM
from u3p_edge.conversion.tflite.schema import TFLiteGraph
from u3p_edge.conversion.tflite.writer import lower_graph, write_tflite
from u3p_edge.graph import reference
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.scheme import Quantization
from u3p_edge.runtime.tflite_raw import find_slow_operators

OUT = Quantization(0.07, -9)


def summed(height: int, width: int, channels: int = 3, **attrs: Any) -> Graph:
    """An interpolated sum `y` of maps that stand side by side in the image."""
    times = [1, 1, 1]
    times[attrs["axis"]] = attrs.get("taps", 3)
    return behind_image(
        [Node("y", "interpolated_sum", ("image",), attrs)], (height * times[0], width * times[1], channels * times[2])
    )


@st.composite
def sums(draw: st.DrawFn) -> Graph:
    factor = draw(st.sampled_from([2, 3, 4, 8]))
    return summed(
        draw(st.integers(3, 40)),
        draw(st.integers(3, 40)),
        draw(st.integers(1, 4)),
        axis=draw(st.sampled_from([1, 2])),
        factor=factor,
        taps=draw(st.sampled_from([1, 3] if factor == 2 else [1, 3, 5])),
        interpolation=draw(st.sampled_from(["bilinear", "nearest"])),
        cut=(draw(st.booleans()), draw(st.booleans())),
    )


@given(sums(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_integers_are_the_sum_rounded_once(graph: Graph, layouts: bool) -> None:
    network = integers(graph, y=OUT)
    step, image = network.scheme.tensors["image"], random_image(graph["image"].attrs["shape"][1:], np.int8)
    found = run(write_tflite(network, float_io=False, layouts=layouts), image).astype(np.float64)
    real = (image.astype(np.float64) - step.zero_point) * step.scale
    exact = reference.run(graph, {"image": real}, dtype=np.float64)["y"] / OUT.scale + OUT.zero_point
    # The weights are exact in int8 and the sum in int32, so nothing is lost but in the one product with the ratio of the
    # steps, float32: three roundings of it and of a value of at most 5 * 256 of those steps' ratio, 0.05 / 0.07.
    lost = 3 * 2.0**-24 * 5 * 256 * step.scale / OUT.scale
    assert np.abs(found - np.clip(exact, -128, 127)).max() <= 0.5 + lost


@given(sums(), st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_floats_are_the_sum(graph: Graph, layouts: bool) -> None:
    image = random_image(graph["image"].attrs["shape"][1:], np.float32)
    found = run(write_tflite(graph, layouts=layouts), image)
    # Up to 15 products and as many sums of values below 5.
    np.testing.assert_allclose(found, reference.run(graph, {"image": image})["y"], rtol=0, atol=30 * 5 * 15 * 2.0**-24)


ROWS = summed(64, 96, 4, axis=1, factor=2)
COLUMNS = summed(64, 96, 4, axis=2, factor=4)


def maps(file: TFLiteGraph) -> list[tuple[str, tuple[int, ...]]]:
    return [(op.code, file.tensors[op.outputs[0]].shape) for op in file.operators]


def test_rows_are_a_convolution_a_phase_with_the_ends_by_themselves() -> None:
    assert maps(lower_graph(ROWS, layouts=False)) == [
        ("RESHAPE", (1, 3 * 64, 96, 4)),
        *[
            ("STRIDED_SLICE", (1, 6, 96, 4)), ("DEPTHWISE_CONV_2D", (1, 1, 96, 4)), ("DEPTHWISE_CONV_2D", (1, 62, 96, 4)),
            ("STRIDED_SLICE", (1, 6, 96, 4)), ("DEPTHWISE_CONV_2D", (1, 1, 96, 4)), ("CONCATENATION", (1, 64, 96, 4)),
        ] * 2,
        ("CONCATENATION", (1, 64, 2 * 96, 4)),
        ("RESHAPE", (1, 128, 96, 4)),
    ]  # fmt: skip


def test_phases_that_only_clamp_share_a_map_with_its_ends_once_more() -> None:
    """Of four, the first and the last read a place that the shifts fill with zeros."""
    ends = [
        ("STRIDED_SLICE", (1, 64, 6, 4)), ("DEPTHWISE_CONV_2D", (1, 64, 1, 4)), ("DEPTHWISE_CONV_2D", (1, 64, 94, 4)),
        ("STRIDED_SLICE", (1, 64, 6, 4)), ("DEPTHWISE_CONV_2D", (1, 64, 1, 4)), ("CONCATENATION", (1, 64, 96, 4)),
    ]  # fmt: skip
    assert maps(lower_graph(COLUMNS, layouts=False)) == [
        ("RESHAPE", (1, 64, 3 * 96, 4)),
        *[("STRIDED_SLICE", (1, 64, 3, 4))] * 2, ("CONCATENATION", (1, 64, 3 * (96 + 2), 4)),
        *ends, *[("DEPTHWISE_CONV_2D", (1, 64, 96, 4))] * 2, *ends,
        ("CONCATENATION", (1, 64, 96, 4 * 4)),
        ("RESHAPE", (1, 64, 4 * 96, 4)),
    ]  # fmt: skip


def test_a_cut_end_has_no_convolution_of_its_own() -> None:
    middle = lower_graph(summed(64, 96, 4, axis=1, factor=2, cut=(True, True)), layouts=False)
    assert maps(middle) == [
        ("RESHAPE", (1, 3 * 64, 96, 4)), *[("DEPTHWISE_CONV_2D", (1, 62, 96, 4))] * 2,
        ("CONCATENATION", (1, 62, 2 * 96, 4)), ("RESHAPE", (1, 124, 96, 4)),
    ]  # fmt: skip


@pytest.mark.parametrize(("graph", "first"), [(ROWS, "columns as channels"), (COLUMNS, "rows as images")])
def test_large_tables_become_small(graph: Graph, first: str) -> None:
    plain, laid = lower_graph(graph, layouts=False), lower_graph(graph)
    shape = maps(laid)[0][1]
    if first == "columns as channels":
        assert shape[0] == 1
        assert shape[3] > 4
        assert 96 % (shape[3] // 4) == 0
    else:
        assert shape == (64, 1, 3 * 96, 4)
    assert table(plain) >= TABLE_FROM > 2 * table(laid)
    assert not find_slow_operators(write_tflite(graph))


def table(file: TFLiteGraph) -> int:
    """Bytes of the addresses of the file's depthwise convolutions."""
    own = [op for op in file.operators if op.code == "DEPTHWISE_CONV_2D"]
    return sum(8 * math.prod((*file.tensors[o.inputs[1]].shape[1:3], *file.tensors[o.outputs[0]].shape[1:3])) for o in own)


def test_small_tables_stay() -> None:
    small = summed(4, 6, axis=1, factor=2)
    assert maps(lower_graph(small)) == maps(lower_graph(small, layouts=False))
