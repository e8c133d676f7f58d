"""A table for networks of any size: what it says of maps and channels that were not measured."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.any_size_tables import known_table, microseconds
from tests.support.hasty_measuring import measure_hastily
from tests.support.latency_tables import every_kind, kernel, made_up, two_scales
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.probe import Target, to_file
from u3p_edge.latency.table import measure
from u3p_edge.latency.table.kind_samples import SAMPLES, list_kind_points
from u3p_edge.latency.table.kinds import list_kinds
from u3p_edge.latency.table.layers import TimedLayer
from u3p_edge.latency.table.measure import measure_any_size
from u3p_edge.latency.table.predict import Predictor, predict_each
from u3p_edge.latency.table.table import LayerTimes, read_latency_table, write_latency_table
from u3p_edge.progress import silent

CONV = "conv kernel=3x3"
SIZES, CHANNELS = st.integers(1, 2**18), st.integers(1, 2000)


@lru_cache(1)
def known() -> Predictor:
    return Predictor(known_table())


def resized(graph: Graph, side: int) -> Graph:
    image = replace(graph.nodes[0], attrs={"shape": (None, side, side, graph.nodes[0].attrs["shape"][-1])})
    return replace(graph, nodes=(image, *graph.nodes[1:]))


def test_the_kind_of_a_layer_leaves_out_its_size_and_what_does_not_matter() -> None:
    assert {(layer.node, layer.key, layer.pixels) for layer in list_kinds(every_kind())} == {
        ("wide", "conv kernel=3x3 strides=2x2", 16),
        ("groups", "conv kernel=3x3 groups=2", 16),
        ("each", "depthwise_conv kernel=3x3", 16),
        ("sum", "add", 16),
        ("back", "conv_transpose kernel=2x2 strides=2x2", 64),
        ("moved", "pad rows", 72),
        ("cut", "crop", 64),
        ("tall", "concat axis=1", 136),
        ("top", "crop", 64),
        ("joined", "concat", 64),
        ("most", "global_max_pool", 64),  # it gives one pixel, and takes what it reads
        ("gate", "conv kernel=1x1", 1),
        ("gated", "multiply one pixel one channel", 64),
        ("mask", "conv kernel=1x1", 64),
    }


@pytest.mark.parametrize("number", ["int8", "float32"])
def test_a_sample_of_every_kind_can_be_timed(number: str) -> None:
    kinds = {point.layer.key: point for point in reversed(list(list_kind_points()))}
    assert len(kinds) == len(SAMPLES)
    for point in kinds.values():
        assert to_file(point.graph, number)


def test_what_was_measured_is_said_exactly() -> None:
    for point in list_kind_points():
        assert known().alone_ms(point.layer) == pytest.approx(microseconds(point.layer) / 1000)


@given(SIZES, CHANNELS, CHANNELS, st.integers(0, 2))
@settings(deadline=None)
def test_a_larger_layer_never_takes_less(pixels: int, inputs: int, outputs: int, axis: int) -> None:
    size = [inputs, outputs, pixels]
    larger = [count + (index == axis) for index, count in enumerate(size)]
    less, more = (known().alone_ms(TimedLayer("x", CONV, *each)) for each in (size, larger))
    assert 0 < less <= more * (1 + 1e-12)  # sums of eight products, in another order


@given(st.integers(2**16, 2**20), st.integers(512, 4000), st.integers(512, 4000))
@settings(deadline=None)
def test_beyond_what_was_measured_time_grows_in_proportion(pixels: int, inputs: int, outputs: int) -> None:
    layer = TimedLayer("x", CONV, inputs, outputs, pixels)
    # 512 to 512 channels over 4x4 pixels is the largest of its width that is timed.
    expected = microseconds(replace(layer, inputs=512, outputs=512, pixels=256)) / 256 / 512 / 512
    assert known().alone_ms(layer) * 1000 == pytest.approx(expected * pixels * inputs * outputs, rel=1e-9)


@pytest.mark.parametrize("side", [8, 48, 200])
def test_a_network_of_any_size_takes_what_its_layers_take(side: int) -> None:
    graph = resized(two_scales(width=8, image=8), side)
    # Those of the table's device are linear in pixels and bilinear in channels. One output channel takes what the fewest take.
    expected = {layer.node: microseconds(replace(layer, outputs=layer.outputs and 8)) / 1000 for layer in list_kinds(graph)}
    expected["coarse"] *= microseconds(TimedLayer("", CONV, 8, 16, side**2 // 4)) / 1000 / expected["coarse"]
    actual = known().predict(graph)
    assert dict(actual.nodes) == pytest.approx(expected)
    assert actual.total_ms == pytest.approx(sum(expected.values()))


def test_sizes_are_monotone_in_whole_networks() -> None:
    totals = [known().predict(resized(two_scales(), side)).total_ms for side in (8, 16, 24, 64, 200, 1000)]
    assert all(small < large for small, large in pairwise(totals))


def test_a_layer_of_another_kind_is_named() -> None:
    nodes = (
        Node("image", "input", (), {"shape": (None, 8, 8, 4)}),
        Node("odd", "conv", ("image",), {"dilation": (2, 2), "padding": "same"}, kernel(3, 3, 4, 4)),
    )
    graph = Graph(nodes, ("image",), ("odd",))
    with pytest.raises(ModelError, match=r"of this kind: 'odd', conv kernel=3x3 dilation=2x2, 4 to 4 channels"):
        known().predict(graph)
    assert [layer.node for layer in known().missing(graph)] == ["odd"]
    assert predict_each(known_table())([graph, two_scales()])[0] == float("inf")


def test_a_table_is_for_one_network_or_for_any() -> None:
    assert known_table().any_size
    assert not made_up().any_size
    with pytest.raises(ConfigError, match="of one network and of networks of any size"):
        replace(made_up(), layers=(*made_up().layers, LayerTimes("add", ((1, 0, 1.0),), 16)))


def test_a_table_is_measured_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the few kinds of one network, at few sizes."""
    few = {layer.key for layer in list_kinds(two_scales())}
    points = [
        point
        for point in list_kind_points()
        if point.layer.key in few and point.layer.pixels <= 256 and point.layer.inputs < 100
    ]
    monkeypatch.setattr(measure, "list_kind_points", lambda: iter(points))
    with measure_hastily():
        table = measure_any_size(two_scales(), Target("int8"), silent, checks=2, folder=tmp_path)
    assert table.any_size
    assert {times.key for times in table.layers} == few
    assert [check.name for check in table.checks] == ["random widths 1", "random widths 2, images twice as large"]
    write_latency_table(tmp_path / "table.json", table)
    assert read_latency_table(tmp_path / "table.json") == table
    assert Predictor(table).predict(resized(two_scales(), 32)).total_ms > 0
