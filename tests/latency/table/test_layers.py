"""A key says what decides a layer's time besides its channels, and a layer alone has whatever channels are asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.latency_tables import every_kind, kernel, two_scales
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.probe import to_file
from u3p_edge.latency.table.layers import MOVES, TimedLayer, isolate_layer, list_layers


def test_every_kind_has_a_key_and_its_channels() -> None:
    assert list_layers(every_kind()) == (
        TimedLayer("wide", "conv 8x8 kernel=3x3 strides=2x2 padding=same", 4, 12),
        TimedLayer("groups", "conv 4x4 kernel=3x3 padding=same groups=2", 12, 12),
        TimedLayer("each", "depthwise_conv 4x4 kernel=3x3 multiplier=1 padding=same", 12),
        TimedLayer("sum", "add 4x4 operands=2", 12),
        TimedLayer("back", "conv_transpose 4x4 kernel=2x2 strides=2x2 padding=same", 12, 6),
        TimedLayer("moved", "pad 8x8 padding=1x0,0x0", 6),
        TimedLayer("cut", "crop 9x8 cropping=0x1,0x0", 6),
        TimedLayer("tall", "concat 8x8,9x8 axis=1", 6),
        TimedLayer("top", "crop 17x8 cropping=0x9,0x0", 6),
        TimedLayer("joined", "concat 8x8", 16),
        TimedLayer("most", "global_max_pool 8x8 keepdims=True", 16),
        TimedLayer("gate", "conv 1x1 kernel=1x1", 16, 1),
        TimedLayer("gated", "multiply 8x8,1x1*1", 16),
        TimedLayer("view", MOVES, 8 * 8 * 16),
        TimedLayer("mask", "conv 4x16 kernel=1x1", 16, 2),
    )


def test_a_relu_makes_no_difference_and_another_size_does() -> None:
    fine, *_ = list_layers(two_scales())
    kept = two_scales()
    linear = replace(kept["fine"], attrs={"padding": "same"})
    assert list_layers(replace(kept, nodes=(kept.nodes[0], linear, *kept.nodes[2:])))[0] == fine
    assert "relu" not in {layer.node for layer in list_layers(kept)}


def test_a_layer_of_no_form_is_refused() -> None:
    norm = {"mean": np.zeros(1, np.float32), "variance": np.ones(1, np.float32)}
    image = Node("image", "input", (), {"shape": (None, 8, 8, 1)})
    with pytest.raises(ModelError, match=r"'norm' \(batch_norm\).*Fold"):
        list_layers(Graph((image, Node("norm", "batch_norm", ("image",), {}, norm)), ("image",), ("norm",)))


@pytest.mark.parametrize("number", ["int8", "float32"])
def test_every_layer_alone_is_one_that_the_runtime_gets(number: str) -> None:
    graph = every_kind()
    for layer in list_layers(graph):
        outputs = 24 if layer.outputs else 0
        made = isolate_layer(graph, layer, 2048 if layer.key == MOVES else 20, outputs)
        (actual,) = list_layers(made)
        assert to_file(made, number)
        if layer.key == MOVES:
            assert actual == TimedLayer("y", "concat 2x32", 32), "2048 elements"
        else:
            assert replace(actual, node=layer.node) == replace(layer, inputs=20, outputs=outputs)


def test_a_layer_with_its_own_channels_is_the_layer() -> None:
    graph = two_scales()
    for layer in list_layers(graph):
        (actual,) = list_layers(isolate_layer(graph, layer, layer.inputs, layer.outputs))
        assert replace(actual, node=layer.node) == layer


def test_a_choice_of_channels_is_a_move() -> None:
    nodes = (
        Node("image", "input", (), {"shape": (None, 8, 8, 4)}),
        Node("one", "conv", ("image",), {}, kernel(1, 1, 4, 12)),
        Node("some", "crop", ("one",), {"cropping": ((0, 0), (0, 0)), "channels": (4, 8)}),
        Node("mask", "conv", ("some",), {}, kernel(1, 1, 4, 2)),
    )
    graph = Graph(nodes, ("image",), ("mask",))
    assert {layer.node: layer.key for layer in list_layers(graph)}["some"] == MOVES
