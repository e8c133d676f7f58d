"""Folded levels: the stem, the kernel it inherits, the levels that go, the head for several pixels, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.prunable_graphs import conv, norm, op
from tests.support.rewrite_sites import image
from tests.support.shaped_unets import CLASSES, SIDE, WIDTH, count_ops, inference_unet, training_unet, values_of
from u3p_edge.errors import ModelError
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph, Node, substitute
from u3p_edge.shapes.apply import apply_shape
from u3p_edge.shapes.folding import fold_levels
from u3p_edge.shapes.shape import Fold, Shape
from u3p_edge.shapes.stem import put_stem

FOLDS = pytest.mark.parametrize("fold", [2, 4])


@FOLDS
def test_levels_and_branches_go_and_the_rest_stays(fold: Fold) -> None:
    whole, graph = inference_unet(), apply_shape(inference_unet(), Shape(fold=fold), training_unet())
    cut = fold // 2  # levels that go
    left = 4 - cut  # decoders that stay; each loses the branches from the encoder levels that went
    assert count_ops(graph)["concat"] == left
    expected = [5 - cut] * left
    assert [len(node.inputs) for node in graph.nodes if node.op == "concat"] == expected
    fused = [graph[f"dec{t}_fuse_conv"].weights["kernel"].shape[2] for t in range(cut + 1, 5)]
    assert fused == [(5 - cut) * WIDTH] * left
    coarse = {shape[1:3] for name, shape in graph.shapes.items() if len(shape) == 4 and shape[1] > SIDE // fold}
    assert coarse == {(SIDE, SIDE)}
    full = [node.op for node in graph.nodes if graph.shapes[node.name][1] == SIDE]
    assert full == ["input", "depth_to_space", "activation"]
    stem = graph["stem_conv"]
    assert (stem.attrs["strides"], stem.weights["kernel"].shape) == ((fold, fold), (fold, fold, 1, WIDTH * fold // 2))
    shared = [node.name for node in whole.nodes if node.name in graph and "fuse_conv" not in node.name and node.inputs]
    assert all(graph[name].weights == whole[name].weights for name in shared)
    assert sum("conv" in name for name in shared) == 2 * (5 - cut) + left * (5 - cut)  # encoder convolutions, branches


@given(st.sampled_from([2, 4]), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
@settings(deadline=None, max_examples=20)
def test_the_stem_is_space_to_depth_and_a_pointwise_convolution(
    fold: int, given_: int, made: int, rows: int, columns: int
) -> None:
    """Both add the same products; float64 sums of at most 48 terms of magnitude 1 differ by less than 48² units of 2e-16."""
    graph = one_level(fold, given_, made, (rows, columns))
    stem = put_stem(graph, "coarse", fold)["stem_conv"]
    pixels = Graph(
        (
            graph["x"],
            Node("blocks", "space_to_depth", ("x",), {"block": fold}),
            Node(
                "stem_conv", "conv", ("blocks",), {}, {**stem.weights, "kernel": stem.weights["kernel"].reshape(1, 1, -1, made)}
            ),
        ),
        ("x",),
        ("stem_conv",),
    )
    strided = Graph((graph["x"], replace(stem, attrs={**stem.attrs, "activation": "linear"})), ("x",), ("stem_conv",))
    np.testing.assert_allclose(values_of(strided)["stem_conv"], values_of(pixels)["stem_conv"], atol=1e-12)


@given(st.sampled_from([2, 4]), st.integers(1, 3), st.integers(1, 4))
@settings(deadline=None, max_examples=20)
def test_what_looks_at_no_other_block_is_inherited_exactly_with_half_of_what_a_relu_reads(
    fold: int, given_: int, made: int
) -> None:
    """The kernel is kept in float32: weights of magnitude 1 and up to 48 products round to less than 48 * 2⁻²⁴ * 8."""
    graph = one_level(fold, given_, made, (2, 3))
    halved = substitute(graph, "relu", (op("relu", "rescale", "b", scale=0.5),))
    expected, actual = values_of(halved, "coarse"), values_of(put_stem(graph, "coarse", fold), "coarse")
    np.testing.assert_allclose(actual["coarse"], expected["coarse"], atol=3e-5)


def one_level(fold: int, given_: int, made: int, size: tuple[int, int]) -> Graph:
    """Pointwise convolutions with a normalisation and a ReLU between, then poolings down to `size`, then a convolution."""
    nodes = [
        image(size[0] * fold, size[1] * fold, given_),
        conv("a", "x", given_, 3),
        norm("b", "a", 3),
        op("relu", "activation", "b", function="relu"),
        conv("c", "relu", 3, made),
    ]
    pools = [op(f"down{n}", "average_pool", f"down{n - 1}" if n else "c") for n in range(fold // 2)]
    return Graph((*nodes, *pools, conv("coarse", pools[-1].name, made, 2)), ("x",), ("coarse",))


@FOLDS
def test_the_stem_answers_a_constant_image_as_the_linear_levels_do(fold: Fold) -> None:
    """Taps beyond the block are added to those at its border. Up to 2² * 9 * 8 float32 weights of magnitude 1 round to
    less than 1e-4 in all."""
    linear = replace(inference_unet(), nodes=tuple(map(without_maximum, inference_unet().nodes)))
    folded = apply_shape(linear, Shape(fold=fold))
    constant = np.full((1, SIDE, SIDE, 1), 0.7)
    level = fold.bit_length()
    deep = f"down{level - 1}_pool"
    stem = next(name for name in reversed(list(folded.shapes)) if name.startswith("stem_"))
    middle = SIDE // fold // 2
    expected, actual = values_of(linear, deep, image=constant)[deep], values_of(folded, stem, image=constant)[stem]
    np.testing.assert_allclose(actual[0, middle, middle], expected[0, middle, middle], atol=1e-4)


def without_maximum(node: Node) -> Node:
    if node.op == "max_pool":
        return replace(node, op="average_pool")
    is_relu = node.op == "activation" and node.attrs["function"] == "relu"
    return replace(node, op="identity", attrs={}) if is_relu and node.name.startswith("enc") else node


@FOLDS
def test_every_pixel_of_a_block_gets_the_logits_of_the_head_trained_there(fold: Fold) -> None:
    """Taps summed, since the head is pointwise: so it gives the nearest-neighbour upsampling of what that head gives.

    Float64 sums of 20 terms of magnitude 1, in another order."""
    graph = apply_shape(inference_unet(), Shape(fold=fold), training_unet())
    level = fold.bit_length()
    side = training_unet()[f"head{level}_conv"]
    source, pixels = f"dec{level}_fuse_relu", f"head_of_dec{level}_fuse_relu_pixels"
    maps = values_of(graph, source, pixels)
    kernel = side.weights["kernel"].astype(np.float32).sum(axis=(0, 1)).astype(np.float64)
    coarse = maps[source] @ kernel + side.weights["bias"]
    np.testing.assert_allclose(maps[pixels], coarse.repeat(fold, 1).repeat(fold, 2), atol=1e-12)
    assert maps[pixels].shape == (1, SIDE, SIDE, CLASSES)


def test_the_old_head_is_inherited_where_no_other_was_trained() -> None:
    graph = apply_shape(inference_unet(deep_supervision=False), Shape(fold=2))
    old, new = inference_unet(deep_supervision=False)["head1_conv"], graph["head_of_dec2_fuse_relu"]
    np.testing.assert_array_equal(new.weights["kernel"], np.tile(old.weights["kernel"], 4))


@pytest.mark.parametrize(
    "options", [{"down_pattern": "conv"}, {"down_pattern": "normconv", "residual": True}, {"down_pattern": "average"}], ids=str
)
def test_other_ways_down_fold_too(options: dict[str, object]) -> None:
    graph = apply_shape(inference_unet(**options), Shape(fold=4))
    (stem,) = (node for node in graph.nodes if node.attrs.get("strides") == (4, 4) and node.op == "conv")
    assert stem.inputs == ("image",)
    assert graph.shapes["mask"] == (1, SIDE, SIDE, CLASSES)
    assert np.isfinite(values_of(graph)["mask"]).all()


def test_a_folded_graph_without_normalisation_keeps_its_relu() -> None:
    graph = apply_shape(fold_batch_norm(inference_unet()), Shape(fold=2))
    assert graph["stem_conv"].attrs["activation"] == "relu"
    assert graph["enc2_conv1"].inputs == ("stem_conv",)


def test_the_gate_stays() -> None:
    graph = apply_shape(inference_unet(cgm=True), Shape(fold=4, topology="plain"))
    assert graph["mask"].op == "multiply"
    assert count_ops(graph)["global_max_pool"] == 1


def test_what_cannot_be_folded_is_refused_with_the_reason() -> None:
    for shape in (Shape(fold=2), Shape(head=3)):
        with pytest.raises(ModelError, match=r"finest decoder gives a map of \d+x\d+ pixels, not of the image's 32x32"):
            apply_shape(apply_shape(inference_unet(), shape), Shape(fold=2))
    with pytest.raises(ModelError, match=r"folding by 4 leaves no decoder of the network's 2"):
        fold_levels(two_decoders(), 4, two_decoders())
    twice = one_level(2, 1, 3, (2, 2))
    sums = [op("most", "max_pool", "c"), op("sum", "add", "down0", "most"), conv("coarse", "sum", 3, 2)]
    with pytest.raises(ModelError, match="it is not entered by one pooling or convolution"):
        put_stem(replace(twice, nodes=(*twice.nodes[:-1], *sums)), "coarse", 2)


def two_decoders() -> Graph:
    """A UNet 3+ of three levels, so with two decoders."""
    nodes = [image(8, 8, 1), conv("e1", "x", 1, 2), op("p1", "max_pool", "e1"), conv("e2", "p1", 2, 2)]
    nodes += [op("p2", "max_pool", "e2"), conv("e3", "p2", 2, 2)]
    for level, below in ((2, "e3"), (1, "d2")):
        nodes += [op(f"up{level}", "upsample", below), conv(f"low{level}", f"up{level}", 2, 2)]
        nodes += [conv(f"same{level}", f"e{level}", 2, 2), op(f"all{level}", "concat", f"low{level}", f"same{level}")]
        nodes.append(conv(f"d{level}", f"all{level}", 4, 2))
    return Graph((*nodes, conv("y", "d1", 2, 1)), ("x",), ("y",))


def test_a_deep_level_that_reads_a_fine_map_once_more_is_refused() -> None:
    whole = inference_unet()
    again = (
        op("again", "max_pool", "enc1_relu2", pool_size=(4, 4), strides=(4, 4)),
        conv("widened", "again", WIDTH, 2 * WIDTH),
        op("summed", "add", "down2_pool", "widened"),
    )
    graph = substitute(whole, "down2_pool", (whole["down2_pool"], *again))
    with pytest.raises(ModelError, match=r"cannot be folded: '\w+' is needed at a finer level"):
        apply_shape(graph, Shape(fold=2))
