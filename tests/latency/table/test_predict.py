"""What a table says of a network, by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import pytest

from tests.support.latency_tables import COARSE, kernel, layer, made_up, times, two_scales
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.table import predict as module
from u3p_edge.latency.table.layers import MOVED, MOVES
from u3p_edge.latency.table.predict import Prediction, Predictor, round_up
from u3p_edge.latency.table.table import Correction, LatencyTable, LayerTimes, Steps

ALONE = {
    "fine": 1 * 16 + 10 * 1,
    "down": 16,
    "coarse": 16 * 32 + 10 * 16,
    "up": 32,
    "both": 48,
    "logits": 48 * 1 + 10 * 48,
    "mask": 1,
}
"""Microseconds of the layers of `two_scales(16)`: a fused ReLU and the image take none."""


def predict_latency(graph: Graph, table: LatencyTable) -> Prediction:
    return Predictor(table).predict(graph)


def test_a_network_takes_what_its_layers_take() -> None:
    actual = predict_latency(two_scales(), made_up())
    assert actual.nodes == pytest.approx({node: us / 1000 for node, us in ALONE.items()})
    assert actual.total_ms == pytest.approx(sum(ALONE.values()) / 1000)


def test_the_correction_is_for_every_layer() -> None:
    actual = predict_latency(two_scales(), made_up(Correction(2.0, 0.003)))
    assert actual.total_ms == pytest.approx((2 * sum(ALONE.values()) + 7 * 3) / 1000)
    assert predict_latency(two_scales(), made_up(Correction(2.0, -0.004))).nodes["mask"] == 0.0, (
        "nothing takes less than nothing"
    )


@pytest.mark.parametrize(
    ("inputs", "outputs", "ms"),
    [
        (12, 32, 12 * 32 + 10 * 12),  # linear between the measured inputs
        (9, 16, 9 * 16 + 10 * 9),
        (16, 17, 16 * 32 + 10 * 16),  # a kernel gives 16 channels at a time
        (13, 20, 13 * 32 + 10 * 13),
        (16, 7, 16 * 8 + 10 * 16),  # but for half of them there may be another
        (16, 3, 16 * 8 + 10 * 16),  # fewer than measured take what the fewest take
        (2, 1, 8 * 8 + 10 * 8),
    ],
)
def test_between_the_measured_counts(inputs: int, outputs: int, ms: float) -> None:
    assert Predictor(made_up()).alone_ms(layer(COARSE, inputs, outputs)) == pytest.approx(ms / 1000)


def test_inputs_step_too_where_the_kernels_do() -> None:
    predictor = Predictor(made_up(steps=Steps(8, 16)))
    actual = [predictor.alone_ms(layer(COARSE, inputs, 16)) * 1000 for inputs in (8, 9, 15, 16)]
    assert actual == pytest.approx([8 * 26, 16 * 26, 16 * 26, 16 * 26])


@pytest.mark.parametrize(
    ("by", "actual"), [(16, [1, 4, 8, 8, 16, 16, 32]), (8, [1, 4, 8, 8, 16, 16, 24]), (1, [1, 4, 5, 8, 9, 16, 17])]
)
def test_rounding_up(by: int, actual: list[int]) -> None:
    assert [round_up(count, by) for count in (1, 4, 5, 8, 9, 16, 17)] == actual


def test_a_wider_layer_never_takes_less() -> None:
    noisy = LayerTimes(COARSE, ((8, 8, 3.0), (8, 16, 2.0), (8, 32, 4.0), (16, 8, 1.0), (16, 16, 3.5), (16, 32, 3.0)))
    predictor = Predictor(replace(made_up(), layers=(noisy,)))
    ms = {(i, o): predictor.alone_ms(layer(COARSE, i, o)) for i, o in product(range(1, 17), range(1, 33))}
    for i, o in ms:
        assert all(ms[wider] >= ms[i, o] for wider in ((i + 1, o), (i, o + 1)) if wider in ms)


def test_a_narrower_network_never_takes_longer() -> None:
    predictor = Predictor(made_up())
    totals = [predictor.predict(two_scales(width)).total_ms for width in range(1, 17)]
    assert all(narrow <= wide for narrow, wide in pairwise(totals))


def test_what_was_not_measured_is_named() -> None:
    small = two_scales()
    big = replace(small, nodes=(replace(small.nodes[0], attrs={"shape": (None, 16, 16, 1)}), *small.nodes[1:]))
    with pytest.raises(ModelError, match=r"of this kind and size: 'fine', conv 16x16 .* device profile"):
        predict_latency(big, made_up())
    with pytest.raises(ModelError, match=r"of so many channels: 'fine', .*, 1 to 17 channels"):
        predict_latency(two_scales(17), made_up(steps=Steps(1, 1)))
    corner = LayerTimes(COARSE, ((8, 8, 1.0), (8, 16, 2.0), (16, 8, 2.0)))
    with pytest.raises(ModelError, match="of so many channels"):
        Predictor(replace(made_up(), layers=(corner,))).alone_ms(layer(COARSE, 12, 16))


def test_missing_lists_all_of_them() -> None:
    predictor = Predictor(made_up())
    assert predictor.missing(two_scales()) == ()
    assert [actual.node for actual in predictor.missing(two_scales(image=3))] == []
    assert [actual.node for actual in predictor.missing(two_scales(17))] == ["fine", "down", "coarse", "up", "both", "logits"]


def test_a_layer_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(made_up())
    first = predictor.predict(two_scales())
    monkeypatch.delattr(module, "_interpolate")
    assert predictor.predict(two_scales()) == first
    assert predictor == Predictor(made_up()), "what it remembers is no part of it"


def test_moves_are_predicted_by_what_they_move() -> None:
    nodes = (
        Node("image", "input", (), {"shape": (None, 32, 32, 6)}),
        Node("flat", "reshape", ("image",), {"target_shape": (64, 16, 6)}),
        Node("mask", "conv", ("flat",), {}, kernel(1, 1, 6, 1)),
    )
    moves = times(MOVES, (MOVED, 8 * MOVED), (0,), each=1e-6)
    table = replace(made_up(), layers=(moves, times("conv 64x16 kernel=1x1", (6,), (1,))))
    actual = predict_latency(Graph(nodes, ("image",), ("mask",)), table)
    assert actual.nodes["flat"] == pytest.approx(32 * 32 * 6 * 1e-6)
