"""Every operator that is read gives what ONNX Runtime gives for it, in the graph's layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.onnx_files import EPS, FileBuilder, assert_same_numbers, ops, run_file, run_graph
from u3p_edge.importing.onnx.operators import OPERATORS
from u3p_edge.importing.onnx.reader import read_onnx

File = FileBuilder
SHAPE = (2, 4, 6, 8)


def image(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(7).normal(0, 3, shape).astype(np.float32)


def ints(file: File, *values: int) -> str:
    return file.constant(values, np.int64)


def squeezed(file: File) -> str:
    """Squeeze and excitation (Hu et al. 2018, arXiv:1709.01507): the channels of a map, scaled by themselves."""
    x = file.add("Flatten", file.add("GlobalAveragePool", "image"), axis=1)
    x = file.add("Relu", file.add("Gemm", x, file.random(3, 4), file.random(3), transB=1, alpha=0.5, beta=2.0))
    x = file.add("Sigmoid", file.add("Add", file.add("MatMul", x, file.random(3, 4)), file.random(4)))
    return file.add("Mul", "image", file.add("Unsqueeze", x, ints(file, 2, 3)))


def normed(file: File) -> str:
    variance = file.constant(file.rng.uniform(0, 2, 4) * [1, 1, 1, 0])
    return file.add("BatchNormalization", "image", file.random(4), file.random(4), file.random(4), variance, epsilon=1e-5)


def attended(file: File) -> str:
    """Additive attention of two maps, as Attention U-Net has it: it ends in a map of one channel that scales all."""
    weight = file.add("Sigmoid", file.add("Conv", "image", file.random(1, 4, 1, 1)))
    return file.add("Mul", file.add("Tanh", "image"), weight)


def halves(file: File) -> str:
    file.add("Split", "image", ints(file, 1, 3), output="a", count=2, axis=1)
    return file.add("Concat", file.nodes[-1].output[1], "a", axis=1)


def flat(file: File) -> str:
    x = file.add("Reshape", file.add("Relu", "image"), ints(file, 0, 0, -1))
    x = file.add("Softmax", file.add("Transpose", x, perm=[0, 2, 1]), axis=-1)
    return file.add("Reshape", file.add("Transpose", x, perm=[0, 2, 1]), ints(file, -1, 4, 6, 8))


def dense_pixels(file: File) -> str:
    """A dense layer over the channels of every pixel."""
    x = file.add("MatMul", file.add("Transpose", "image", perm=[0, 2, 3, 1]), file.random(4, 5))
    return file.add("Transpose", file.add("LayerNormalization", x, file.random(5), file.random(5), axis=-1), perm=[0, 3, 1, 2])


def alone(op: str) -> Callable[[File], str]:
    return lambda f: f.add(op, "image")


def resized(**options: Any) -> Callable[[File], str]:
    return lambda f: f.add("Resize", "image", "", f.constant([1, 1, 2, 3]), **options)


CASES: dict[str, tuple[Callable[[File], str], set[str]]] = {
    "Add": (lambda f: f.add("Add", "image", f.random(1, 4, 1, 1)), {"depthwise_conv"}),
    "Sub": (lambda f: f.add("Sub", f.constant(1.0), "image"), {"depthwise_conv"}),
    "Mul": (lambda f: f.add("Mul", f.add("Relu", "image"), "image"), {"relu", "multiply"}),
    "Div": (lambda f: f.add("Div", "image", f.random(4, 1, 1, mean=5)), {"depthwise_conv"}),
    "Max": (lambda f: f.add("Max", "image", f.add("Tanh", "image")), {"activation", "maximum"}),
    "Min": (lambda f: f.add("Min", "image", f.add("Tanh", "image")), {"activation", "minimum"}),
    "Add into a convolution": (
        lambda f: f.add("Add", f.add("Mul", f.add("Conv", "image", f.random(3, 4, 3, 3)), f.random(3, 1, 1)), f.random(1)),
        {"conv"},
    ),
    "Mul of a depthwise convolution": (
        lambda f: f.add("Mul", f.add("Conv", "image", f.random(8, 1, 3, 3), f.random(8), group=4), f.random(8, 1, 1)),
        {"depthwise_conv"},
    ),
    **{name: (alone(name), {"activation"}) for name in ("Sigmoid", "Tanh", "Selu", "Softplus", "Softsign")},
    "Exp": (lambda f: f.add("Exp", f.add("Tanh", "image")), {"activation"}),
    "Relu": (lambda f: f.add("Relu", "image"), {"relu"}),
    "LeakyRelu": (lambda f: f.add("LeakyRelu", "image", alpha=0.2), {"leaky_relu"}),
    "Elu": (lambda f: f.add("Elu", "image"), {"elu"}),
    "PRelu": (lambda f: f.add("PRelu", "image", f.random(4, 1, 1)), {"prelu"}),
    "Clip": (lambda f: f.add("Clip", "image", f.constant(0.0), f.constant(6.0)), {"relu"}),
    "Clip elsewhere": (lambda f: f.add("Clip", "image", f.constant(-1.0), f.constant(2.5)), {"relu", "depthwise_conv"}),
    "HardSigmoid": (lambda f: f.add("HardSigmoid", "image", alpha=1 / 6), {"relu", "depthwise_conv"}),
    "HardSwish": (lambda f: f.add("HardSwish", "image"), {"relu", "depthwise_conv", "multiply"}),
    "Softmax": (lambda f: f.add("Softmax", "image", axis=1), {"activation"}),
    "BatchNormalization": (normed, {"batch_norm"}),
    "InstanceNormalization": (
        lambda f: f.add("InstanceNormalization", "image", f.random(4), f.random(4)),
        {"group_norm"},
    ),
    "LayerNormalization": (dense_pixels, {"conv", "layer_norm"}),
    "GlobalAveragePool": (squeezed, {"global_average_pool", "reshape", "dense", "relu", "activation", "multiply"}),
    "GlobalMaxPool": (lambda f: f.add("GlobalMaxPool", "image"), {"global_max_pool"}),
    "ReduceMean": (lambda f: f.add("ReduceMean", "image", axes=[2, 3], keepdims=0), {"global_average_pool"}),
    "ReduceMax": (lambda f: f.add("ReduceMax", "image", axes=[-1, -2]), {"global_max_pool"}),
    "attention": (attended, {"conv", "activation", "multiply"}),
    "nearest": (resized(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"), {"upsample"}),
    "nearest by half pixels": (resized(mode="nearest"), {"upsample"}),
    "linear": (resized(mode="linear", coordinate_transformation_mode="pytorch_half_pixel"), {"upsample"}),
    "Concat": (halves, {"crop", "concat"}),
    "Slice": (lambda f: f.add("Slice", "image", ints(f, 1, -4), ints(f, 3, 2**62), ints(f, 1, 3)), {"crop"}),
    "Pad": (lambda f: f.add("Pad", "image", ints(f, 0, 0, 1, 0, 0, 0, 2, 3)), {"pad"}),
    "Pad that cuts": (lambda f: f.add("Pad", "image", ints(f, 0, 0, -1, 0, 0, 0, 2, -3)), {"pad", "crop"}),
    "Transpose": (flat, {"relu", "reshape", "activation"}),
    "Squeeze": (lambda f: f.add("Squeeze", f.add("GlobalMaxPool", "image"), ints(f, 2, 3)), {"global_max_pool", "reshape"}),
    "Expand": (lambda f: f.add("Expand", f.add("Relu", "image"), ints(f, 1, 1, 8)), {"relu"}),
    "DepthToSpace": (lambda f: f.add("DepthToSpace", "image", blocksize=2), {"depth_to_space"}),
    "SpaceToDepth": (lambda f: f.add("SpaceToDepth", "image", blocksize=2), {"space_to_depth"}),
    "Identity": (lambda f: f.add("Identity", f.add("Dropout", f.add("Cast", f.add("Relu", "image"), to=1))), {"relu"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_operator(tmp_path: Path, name: str) -> None:
    make, expected = CASES[name]
    file = FileBuilder(*SHAPE)
    # The longest sum here has 4 * 9 terms; the exponential of a softmax and its like err by some eps, counted as 12 more.
    graph = assert_same_numbers(file.save(tmp_path / "m.onnx", make(file)), image(), terms=36 + 12, layers=4)
    assert set(ops(graph)) == {"input", *expected}


@pytest.mark.parametrize(("name", "opset"), [("Gelu", 20), ("Mish", 18)])
def test_an_activation_of_a_newer_opset(tmp_path: Path, name: str, opset: int) -> None:
    file = FileBuilder(*SHAPE, opset=opset)
    assert_same_numbers(file.save(tmp_path / "m.onnx", file.add(name, "image")), image(), terms=16)


def test_a_group_normalization_of_opset_21(tmp_path: Path) -> None:
    file = FileBuilder(*SHAPE, opset=21)
    y = file.add("GroupNormalization", "image", file.random(4), file.random(4), num_groups=2, epsilon=1e-3)
    # A mean of 2 * 48 values of at most 4 deviations, which cancels once.
    graph = assert_same_numbers(file.save(tmp_path / "m.onnx", y), image(), terms=96, layers=4)
    assert ops(graph) == ["input", "group_norm"]
    file = FileBuilder(*SHAPE, opset=18)
    y = file.add("GroupNormalization", "image", file.random(2), file.random(2), num_groups=2)
    with pytest.raises(Exception, match=r"\(GroupNormalization\).*deprecated.*18"):
        read_onnx(file.save(tmp_path / "old.onnx", y))


def add_group_norm(file: FileBuilder, x: str, groups: int, scale: str, shift: str) -> str:
    """As PyTorch writes GroupNorm before opset 21: groups are channels of a map of one axis, and the weights come after."""
    ones, zeros = file.constant(np.ones(groups)), file.constant(np.zeros(groups))
    joined = file.add("Reshape", x, ints(file, 0, groups, -1))
    back = file.add("Reshape", file.add("InstanceNormalization", joined, ones, zeros), file.add("Shape", x))
    return file.add("Add", file.add("Mul", back, scale), shift)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_group_normalization_as_pytorch_writes_it(tmp_path: Path, groups: int) -> None:
    file = FileBuilder(*SHAPE)
    x = file.add("Conv", "image", file.random(4, 4, 1, 1))
    y = add_group_norm(file, x, groups, file.random(4, 1, 1), file.random(4, 1, 1))
    # A mean of at most 4 * 48 values of at most 4 deviations, which cancels once.
    graph = assert_same_numbers(file.save(tmp_path / "m.onnx", file.add("Relu", y)), image(), terms=192, layers=4)
    assert ops(graph) == ["input", "conv", "group_norm", "relu"]
    (norm,) = (node for node in graph.nodes if node.op == "group_norm")
    assert norm.attrs["groups"] == groups


def test_weights_of_groups_are_those_of_their_channels(tmp_path: Path) -> None:
    """As no exporter writes it: an instance normalisation whose weights are not 1 and 0."""
    file = FileBuilder(*SHAPE)
    joined = file.add("Reshape", "image", ints(file, 2, 2, -1))
    normed = file.add("InstanceNormalization", joined, file.random(2), file.random(2), epsilon=1e-2)
    path = file.save(tmp_path / "m.onnx", file.add("Reshape", normed, ints(file, *SHAPE)))
    assert ops(assert_same_numbers(path, image(), terms=96, layers=4)) == ["input", "group_norm"]


def test_every_operator_of_the_table_is_tried_somewhere() -> None:
    elsewhere = {
        "GroupNormalization",
        "Conv",
        "ConvTranspose",
        "MaxPool",
        "AveragePool",
        "Gelu",
        "Mish",
        "Swish",
    }  # Swish: ONNX Runtime has none yet
    used = elsewhere.copy()
    for make, _ in CASES.values():
        file = FileBuilder(*SHAPE)
        make(file)
        used |= {node.op_type for node in file.nodes}
    assert set(OPERATORS) <= used


def test_swish_is_x_times_its_sigmoid(tmp_path: Path) -> None:
    file = FileBuilder(*SHAPE, opset=24)
    graph = read_onnx(file.save(tmp_path / "m.onnx", file.add("Swish", "image")))
    x = image((1, 6, 8, 4))
    (result,) = run_graph(graph, x)
    np.testing.assert_allclose(result, x / (1 + np.exp(-x.astype(np.float64))), rtol=0, atol=8 * EPS * np.abs(x).max())


def test_an_old_softmax_over_all_axes_but_the_first_is_not_one_over_channels(tmp_path: Path) -> None:
    """Until opset 12 a softmax counted all axes from its own as one. PyTorch wrote it over the last axis of a transpose."""
    file = FileBuilder(*SHAPE, opset=11)
    x = file.add("Softmax", file.add("Transpose", "image", perm=[0, 2, 3, 1]), axis=3)
    path = file.save(tmp_path / "m.onnx", file.add("Transpose", x, perm=[0, 3, 1, 2]))
    assert ops(assert_same_numbers(path, image(), terms=16)) == ["input", "activation"]
    file = FileBuilder(*SHAPE, opset=11)
    path = file.save(tmp_path / "n.onnx", file.add("Softmax", "image", axis=1))
    with pytest.raises(Exception, match=r"\(Softmax\).*another axis than the channels"):
        read_onnx(path)


@pytest.mark.parametrize("last", [False, True])
def test_the_layout_follows_from_what_a_convolution_takes_for_channels(tmp_path: Path, last: bool) -> None:
    """Also where 3 pixels and 3 channels could be either."""
    file = FileBuilder(1, 3, 3, 3)
    x = file.add("Add", file.add("Transpose", "image", perm=[0, 3, 1, 2]) if last else "image", file.random(3, 1, 1))
    x = file.add("Conv", x, file.random(2, 3, 1, 1))
    path = file.save(tmp_path / "m.onnx", file.add("Transpose", x, perm=[0, 2, 3, 1]) if last else x)
    values = image((1, 3, 3, 3))
    graph = read_onnx(path)
    (expected,), (result,) = run_file(path, values), run_graph(graph, values if last else values.transpose(0, 2, 3, 1))
    expected = expected if last else expected.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(result, expected, rtol=0, atol=8 * EPS * np.abs(expected).max())


def test_names_are_those_of_the_file_without_its_marks(tmp_path: Path) -> None:
    file = FileBuilder(1, 1, 8, 8)
    x = file.add("Relu", file.add("Conv", "image", file.random(2, 1, 1, 1), output="/down.0/conv/Conv_output_0"))
    graph = read_onnx(file.save(tmp_path / "m.onnx", file.add("Sigmoid", x, output="mask:0")))
    assert [node.name for node in graph.nodes] == ["image", "down.0.conv.Conv", "relu1.Relu", "mask_0"]
