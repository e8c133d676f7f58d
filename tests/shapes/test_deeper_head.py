"""The mask from a deeper head: the decoders above it go, the output of deep supervision is given, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.shaped_unets import CLASSES, SIDE, count_ops, inference_unet, training_unet, values_of
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.shapes.apply import apply_shape
from u3p_edge.shapes.head import inherit_head
from u3p_edge.shapes.shape import Head, Shape

HEADS = pytest.mark.parametrize("head", [2, 3])


@HEADS
def test_the_mask_is_what_training_supervised_there(head: Head) -> None:
    """The same operations on the same numbers, so every bit is the same."""
    graph = apply_shape(inference_unet(), Shape(head=head), training_unet())
    expected = values_of(training_unet(), f"output_de{head}")[f"output_de{head}"]
    np.testing.assert_array_equal(values_of(graph)["mask"], expected)


@HEADS
def test_the_decoders_above_it_go_and_nothing_else(head: Head) -> None:
    whole, graph = inference_unet(), apply_shape(inference_unet(), Shape(head=head), training_unet())
    gone = {name for name in (node.name for node in whole.nodes) if name not in graph}
    assert gone == {name for name in gone if name.startswith(tuple(f"dec{t}_" for t in range(1, head)))} | {"head1_conv"}
    assert count_ops(graph)["concat"] == 4 - (head - 1)
    upsampled = graph[f"head_of_dec{head}_fuse_relu_up"]
    assert (upsampled.attrs["size"], upsampled.attrs["interpolation"]) == ((2 ** (head - 1),) * 2, "bilinear")


def test_an_encoder_that_only_a_decoder_read_goes_too() -> None:
    """Of the plain topology nothing but the way down is left of the levels above the head; the whole keeps its branches."""
    graph = apply_shape(inference_unet(), Shape(head=3, topology="plain"))
    assert graph.consumers["enc1_relu2"] == ("down1_pool",)
    assert graph.consumers["enc2_relu2"] == ("down2_pool",)


def test_a_folded_network_takes_its_mask_deeper_by_several_pixels_at_once() -> None:
    graph = apply_shape(inference_unet(), Shape(fold=2, head=2), training_unet())
    assert graph.shapes["head_of_dec3_fuse_relu"] == (1, SIDE // 4, SIDE // 4, 4 * CLASSES)
    assert graph.shapes["head_of_dec3_fuse_relu_up"] == (1, SIDE // 2, SIDE // 2, 4 * CLASSES)
    assert graph.shapes["head_of_dec2_fuse_relu_pixels"] == (1, SIDE, SIDE, CLASSES)
    kernel = training_unet()["head3_conv"].weights["kernel"].sum(axis=(0, 1), keepdims=True)
    np.testing.assert_array_equal(graph["head_of_dec3_fuse_relu"].weights["kernel"], np.tile(kernel, 4))


def test_a_head_that_activates_by_itself_does_so_after_the_resize() -> None:
    """As Keras models are often written: the mask is a convolution with a softmax."""
    whole = inference_unet()
    head = replace(whole["head1_conv"], name="mask", attrs={**whole["head1_conv"].attrs, "activation": "softmax"})
    nodes = (*(node for node in whole.nodes if node.name not in ("head1_conv", "mask")), head)
    fused = Graph(nodes, whole.inputs, ("mask",))
    for shape in (Shape(head=2), Shape(fold=2)):
        graph = apply_shape(fused, shape, training_unet())
        assert graph["mask"].op == "activation"
        np.testing.assert_array_equal(values_of(graph)["mask"], values_of(apply_shape(whole, shape, training_unet()))["mask"])
        assert to_keras(graph).output_names == ["mask"]


def test_channels_that_the_old_head_does_not_read_start_at_zero() -> None:
    old = inference_unet()["head1_conv"]
    weights = inherit_head(old, None, old.weights["kernel"].shape[2] + 2)
    np.testing.assert_array_equal(weights["kernel"][:, :, :-2], old.weights["kernel"])
    assert not weights["kernel"][:, :, -2:].any()
    assert inherit_head(old, None, 2)["kernel"].shape == (3, 3, 2, CLASSES)
    of_another_width = replace(training_unet()["head2_conv"], weights={"kernel": np.ones((3, 3, 10, CLASSES), np.float32)})
    np.testing.assert_array_equal(inherit_head(old, of_another_width, 20)["kernel"], old.weights["kernel"])


def test_a_head_for_something_else_is_not_inherited() -> None:
    """Of one channel, as an output for outlines would have, where the mask has three."""
    whole, trained = inference_unet(), training_unet()
    outline = {key: array[..., :1] for key, array in trained["head2_conv"].weights.items()}
    nodes = (replace(node, weights=outline) if node.name == "head2_conv" else node for node in trained.nodes)
    other = Graph(tuple(nodes), trained.inputs, trained.outputs)
    for shape in (Shape(head=2), Shape(fold=2)):
        head = apply_shape(whole, shape, other)["head_of_dec2_fuse_relu"]
        expected = whole["head1_conv"].weights["kernel"]
        if shape.fold == 2:
            expected = np.tile(expected.sum(axis=(0, 1), keepdims=True), 4)
        np.testing.assert_array_equal(head.weights["kernel"], expected)


def test_a_head_deeper_than_there_is_is_refused() -> None:
    folded = apply_shape(inference_unet(), Shape(fold=4))
    with pytest.raises(ModelError, match=r"cannot come from decoder 3, counted from the finest: the network has 2"):
        apply_shape(folded, Shape(head=3))
