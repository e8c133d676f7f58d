"""Multiply-accumulates, parameters and bytes, against counts worked by hand and the article's golden numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.article_model import Builder
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import from_keras


def weights(*shape: int) -> dict[str, Any]:
    return {"kernel": np.zeros(shape, np.float32)}


@pytest.mark.parametrize(
    ("node", "macs"),
    [
        # 8x6 outputs, each of 5 channels from 3x3x4 inputs.
        (Node("n", "conv", ("x",), {"padding": "same"}, weights(3, 3, 4, 5)), 8 * 6 * 5 * 3 * 3 * 4),
        # Stride 2 halves each side.
        (Node("n", "conv", ("x",), {"padding": "same", "strides": (2, 2)}, weights(3, 3, 4, 5)), 4 * 3 * 5 * 3 * 3 * 4),
        # Valid 3x3 loses a border of one.
        (Node("n", "conv", ("x",), {}, weights(3, 3, 4, 5)), 6 * 4 * 5 * 3 * 3 * 4),
        # Two groups: each output channel sees 2 of the 4 channels.
        (Node("n", "conv", ("x",), {"padding": "same", "groups": 2}, weights(3, 3, 2, 6)), 8 * 6 * 6 * 3 * 3 * 2),
        # Depthwise: each of 4 channels gives 2, from itself alone.
        (Node("n", "depthwise_conv", ("x",), {"padding": "same"}, weights(3, 3, 4, 2)), 8 * 6 * 4 * 2 * 3 * 3),
        # Transposed: each of the 8x6 input pixels spreads 2x2x5 from 4 channels.
        (Node("n", "conv_transpose", ("x",), {"strides": (2, 2)}, weights(2, 2, 4, 5)), 8 * 6 * 2 * 2 * 4 * 5),
        # Dense over the last axis at every pixel.
        (Node("n", "dense", ("x",), {}, weights(4, 7)), 8 * 6 * 4 * 7),
    ],
    ids=lambda value: value.op if isinstance(value, Node) else "",
)
def test_macs_worked_by_hand(node: Node, macs: int) -> None:
    graph = Graph((Node("x", "input", attrs={"shape": (None, 8, 6, 4)}), node), ("x",), ("n",))
    assert cost(graph).macs == {"n": macs}
    assert cost(graph).parameters == node.weights["kernel"].size


def test_macs_of_an_interpolated_sum() -> None:
    node = Node("n", "interpolated_sum", ("x",), {"axis": 1, "factor": 4, "taps": 3})
    graph = Graph((Node("x", "input", attrs={"shape": (None, 8, 6, 4)}), node), ("x",), ("n",))
    assert cost(graph).macs == {"n": 32 * 2 * 4 * 9}  # 3 places of 3 taps for each of 32x2 places and 4 channels


def test_bytes_worked_by_hand() -> None:
    nodes = (
        Node("x", "input", attrs={"shape": (None, 8, 6, 4)}),
        Node("c", "conv", ("x",), {"padding": "same"}, {**weights(3, 3, 4, 5), "bias": np.zeros(5, np.float32)}),
        Node("n", "batch_norm", ("c",), {}, {"mean": np.zeros(5, np.float32), "variance": np.ones(5, np.float32)}),
        Node("p", "max_pool", ("n",)),
    )
    graph = Graph(nodes, ("x",), ("p",))
    kernel, bias, moving = 3 * 3 * 4 * 5, 5, 2 * 5
    maps = {"x": 8 * 6 * 4, "c": 8 * 6 * 5, "n": 8 * 6 * 5, "p": 4 * 3 * 5}
    assert cost(graph).weight_bytes == {"c": 4 * (kernel + bias), "n": 4 * moving}
    assert cost(graph).activation_bytes == {name: 4 * size for name, size in maps.items()}
    # In int8, what is no kernel keeps its four bytes.
    assert cost(graph, bytes_per_element=1).weight_bytes == {"c": kernel + 4 * bias, "n": 4 * moving}
    assert cost(graph, bytes_per_element=1).activation_bytes == maps


GOLDEN: list[dict[str, Any]] = [
    {},
    {"use_residual": True},
    {
        "using_deep_supervision": False,
        "using_cgm": True,
        "class_num": 3,
        "initial_features": 8,
        "input_shape": [128, 96, 1],
    },
]


@pytest.mark.parametrize("options", GOLDEN, ids=str)
def test_the_articles_models_cost_what_is_known(article_builder: Builder, shared: Path, options: dict[str, Any]) -> None:
    cases = json.loads((shared / "seed" / "golden.json").read_text())["cases"]
    golden = next(case for case in cases if case["options"] == options)
    total = cost(from_keras(article_builder(**{"input_shape": (256, 256, 1), **options})))
    assert total.total_macs == golden["conv_macs"]
    assert total.parameters == golden["total_params"]
