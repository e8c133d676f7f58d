"""A network in a file of its own: what is written is read as an equal network, and nothing else is read."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from safetensors import numpy as safetensors

from tests.support.tflite_models import graph, integers
from u3p_edge.conversion.network_file import FORMAT, read_network, write_network
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.scheme import Quantized

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 2, 2)).astype(np.float32)
KERNEL.flags.writeable = False


def network() -> Graph:
    """A convolution, another with the same kernel, a crop with channels, a sum with a ReLU behind it."""
    nodes = [
        Node(
            "a", "conv", ("image",), {"padding": "same", "dilation": (2, 1)}, {"kernel": KERNEL, "bias": np.ones(2, np.float32)}
        ),
        Node("b", "conv", ("a",), {"padding": "same"}, {"kernel": KERNEL}),
        Node("sum", "add", ("a", "b")),
        Node("relu", "relu", ("sum",)),
        Node("cut", "crop", ("relu",), {"cropping": ((1, 0), (0, 2)), "channels": (0, 1)}),
    ]
    return graph(nodes)


@pytest.mark.parametrize("value", [network(), integers(network(), sum=None)], ids=["float", "integers"])
def test_what_is_written_is_read_as_an_equal_network(value: Graph | Quantized) -> None:
    data = write_network(value)
    result = read_network(data)
    assert result == value
    assert write_network(result) == data


def test_a_kernel_that_nodes_share_is_stored_once_and_shared_again() -> None:
    data = write_network(network())
    assert sum(array.size == KERNEL.size for name, array in safetensors.load(data).items() if name != "network") == 1
    result = read_network(data)
    assert isinstance(result, Graph)
    assert result["a"].weights["kernel"] is result["b"].weights["kernel"]


def changed(**values: Any) -> bytes:
    """The file of the network in integers with entries of its description changed."""
    arrays = safetensors.load(write_network(integers(network(), sum=None)))
    description = json.loads(arrays["network"].tobytes()) | values
    return bytes(safetensors.save({**arrays, "network": np.frombuffer(json.dumps(description).encode(), np.uint8)}))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a network"),
        (b"\0" * 64, "not a network"),
        (bytes(safetensors.save({"x": np.zeros(1)})), "KeyError"),
        (changed(format="other"), f"not '{FORMAT}'"),
        (changed(nodes=[{"name": "image"}]), "KeyError"),
        (changed(nodes=5), "TypeError"),
        (changed(outputs=["absent"]), "not all nodes"),
        (changed(quantization={"absent": [1.0, 0]}), "'absent', which the graph does not have"),
        (changed(quantization={"a": [-1.0, 0]}), "cannot have the scale"),
        (write_network(network())[:-5], "not a network"),
    ],
)
def test_what_is_not_a_network_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        read_network(data)
