"""The integer network as a value: what it keeps, and what it refuses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import is_relu
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.scheme import Quantization, Quantized, Scheme, out_channels

STEP = Quantization(0.5, -3)
SCALES = np.asarray([0.25, 0.5, 1.0], np.float32)


def network(kernel: npt.DTypeLike = np.int8, bias: npt.DTypeLike = np.int32) -> Graph:
    """image -> conv (3 channels) -> sum with itself -> ReLU."""
    weights = {"kernel": np.ones((1, 1, 2, 3), kernel), "bias": np.zeros(3, bias)}
    return Graph(
        (
            Node("image", "input", (), {"shape": (None, 4, 4, 2)}),
            Node("conv", "conv", ("image",), {}, weights),
            Node("sum", "add", ("conv", "conv")),
            Node("relu", "relu", ("sum",)),
        ),
        ("image",),
        ("relu",),
    )


def scheme(*materialised: str, scales: np.ndarray = SCALES) -> Scheme:
    return Scheme(dict.fromkeys(materialised, STEP), {"conv": scales})


def test_a_sum_that_only_a_relu_reads_needs_no_quantization() -> None:
    assert "sum" not in Quantized(network(), scheme("image", "conv", "relu")).scheme.tensors


@pytest.mark.parametrize("missing", ["image", "conv", "relu"])
def test_every_other_node_needs_one(missing: str) -> None:
    others = [name for name in ("image", "conv", "relu") if name != missing]
    with pytest.raises(ModelError, match=f"'{missing}' has no quantization, and not just one ReLU reads it"):
        Quantized(network(), scheme(*others))


def test_a_name_that_the_graph_does_not_have_is_refused() -> None:
    with pytest.raises(ModelError, match="'other', which the graph does not have"):
        Quantized(network(), scheme("image", "conv", "relu", "other"))


@pytest.mark.parametrize(("types", "message"), [((np.float32, np.int32), "kernel"), ((np.int8, np.float32), "bias")])
def test_weights_must_be_integers(types: tuple[type, type], message: str) -> None:
    with pytest.raises(ModelError, match=f"the {message} of 'conv' is float32"):
        Quantized(network(*types), scheme("image", "conv", "relu"))


def test_a_kernel_has_one_scale_for_every_output_channel() -> None:
    with pytest.raises(ModelError, match="one scale for each of its 3 output channels"):
        Quantized(network(), scheme("image", "conv", "relu", scales=SCALES[:2]))
    depthwise = Node("d", "depthwise_conv", ("image",), {}, {"kernel": np.zeros((3, 3, 4, 2), np.int8)})
    assert out_channels(depthwise) == 4 * 2


@pytest.mark.parametrize("scales", [SCALES.astype(np.float64), -SCALES, SCALES * np.float32("nan"), SCALES[None]])
def test_scales_that_cannot_be_are_refused(scales: np.ndarray) -> None:
    with pytest.raises(ModelError, match="'conv' are not one positive float32"):
        scheme("image", scales=scales)


@pytest.mark.parametrize(("scale", "zero"), [(0.0, 0), (-1.0, 0), (float("inf"), 0), (1.0, 128), (1.0, -129)])
def test_a_quantization_that_cannot_be_is_refused(scale: float, zero: int) -> None:
    with pytest.raises(ModelError, match="cannot have the"):
        Quantization(scale, zero)


def test_nothing_can_be_changed_and_equal_values_are_equal() -> None:
    scales, tensors = SCALES.copy(), {"image": STEP}
    kept = Scheme(tensors, {"conv": scales})
    scales[0], tensors["image"] = 9, Quantization(9, 9)
    assert kept == scheme("image")
    assert kept != scheme("image", scales=scales)
    with pytest.raises(ValueError, match="read-only"):
        kept.kernels["conv"][0] = 1
    with pytest.raises(TypeError):
        kept.tensors["image"] = STEP  # type: ignore[index]


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (Node("r", "relu", ("x",)), True),
        (Node("r", "relu", ("x",), {"max_value": 6.0}), True),
        (Node("r", "relu", ("x",), {"max_value": 5.0}), False),
        (Node("r", "relu", ("x",), {"negative_slope": 0.1}), False),
        (Node("r", "activation", ("x",), {"function": "relu"}), True),
        (Node("r", "activation", ("x",), {"function": "tanh"}), False),
        (Node("r", "softmax", ("x",)), False),
    ],
)
def test_which_nodes_a_kernel_can_end_in(node: Node, expected: bool) -> None:
    assert is_relu(node) == expected
