"""What cannot be read is refused in one sentence that names the node and what to do; a stranger's file reaches nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from tests.support.onnx_files import FileBuilder, load, run_graph, to_nhwc
from tests.support.onnx_networks import save_unet
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.importing.onnx.constants import LARGEST
from u3p_edge.importing.onnx.reader import read_onnx


def built(
    path: Path, change: Callable[[FileBuilder], str], shape: tuple[int | str, ...] = (1, 4, 8, 8), opset: int = 17
) -> Path:
    file = FileBuilder(*shape, opset=opset)
    return file.save(path, change(file))


def resized(file: FileBuilder, *, factor: float = 2, **grid: Any) -> str:
    return file.add("Resize", "image", "", file.constant([1, 1, factor, factor]), **grid)


def convolved(file: FileBuilder) -> str:
    weight = file.add("Reshape", "image", file.constant([4, 4, 4, 4], np.int64))
    return file.add("Conv", "image", weight)


def grown(file: FileBuilder) -> str:
    """A constant of 2^40 elements, each half of which is read from a file of a few bytes."""
    x = file.constant(np.ones(1024))
    for _ in range(30):
        x = file.add("Concat", x, x, axis=0)
    return file.add("Add", "image", x)


def filled(file: FileBuilder) -> str:
    return file.add("Add", "image", file.add("ConstantOfShape", file.constant([2**20, 2**20], np.int64)))


def trained(file: FileBuilder) -> str:
    return file.add("BatchNormalization", "image", *(file.constant(np.ones(4)) for _ in range(4)), training_mode=1, count=3)


def grouped(file: FileBuilder, *target: int) -> str:
    """A map whose channels are joined in groups and normalised."""
    joined = file.add("Reshape", "image", file.constant(target, np.int64))
    return file.add("InstanceNormalization", joined, *(file.constant(np.ones(target[1])) for _ in range(2)))


REFUSED: dict[str, tuple[Callable[[FileBuilder], str], str]] = {
    "an operator that no graph has": (lambda f: f.add("Det", "image"), r"'/det0/Det' \(Det\)"),
    "labels in place of a mask": (lambda f: f.add("ArgMax", "image", axis=1), r"\(ArgMax\).*its logits"),
    "integers": (lambda f: f.add("QuantizeLinear", "image", f.constant(0.1)), r"\(QuantizeLinear\).*float32 file"),
    "an operator of another maker": (lambda f: f.add("Gelu", "image", domain="com.microsoft"), r"\(Gelu\).*no form"),
    "a weight that is computed": (convolved, r"\(Reshape\).*flattened"),
    "corners aligned": (
        lambda f: resized(f, mode="linear", coordinate_transformation_mode="align_corners"), r"\(Resize\).*align_corners=False",
    ),
    "a cubic": (lambda f: resized(f, mode="cubic"), r"\(Resize\).*cubic"),
    "a fraction": (lambda f: resized(f, factor=1.5), r"\(Resize\).*whole factors"),
    "reflected borders": (
        lambda f: f.add("Pad", "image", f.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64), mode="reflect"), r"\(Pad\).*reflect",
    ),
    "pixels and channels mixed": (
        lambda f: f.add("Reshape", "image", f.constant([1, 8, 8, 4], np.int64)), r"\(Reshape\).*mixes",
    ),
    "groups that are not equal": (
        lambda f: f.add("Reshape", grouped(f, 1, 64, 4), f.add("Shape", "image")), r"\(Reshape\).*mixes",
    ),
    "groups read by another operator": (lambda f: f.add("Relu", grouped(f, 1, 2, -1)), r"\(Relu\).*joined in groups"),
    "groups that become another map": (
        lambda f: f.add("Reshape", grouped(f, 1, 2, -1), f.constant([1, 2, 16, 8], np.int64)),
        r"\(Reshape\).*normalised groups to \[1, 2, 16, 8\], and their map was \[1, 4, 8, 8\]",
    ),
    "groups that are an output": (lambda f: grouped(f, 1, 2, -1), r"its output .*channels are joined in groups"),
    "an axis added twice": (
        lambda f: f.add("Unsqueeze", "image", f.constant([2, 2], np.int64)), r"\(Unsqueeze\).*adds an axis twice",
    ),
    "every second pixel": (
        lambda f: f.add("Slice", "image", *(f.constant([n], np.int64) for n in (0, 8, 2, 2))), r"\(Slice\).*every so many-th",
    ),
    "a number a pixel": (lambda f: f.add("Add", "image", f.random(8, 8)), r"\(Add\).*\[8, 8\].*one number a channel"),
    "training": (trained, r"\(BatchNormalization\).*model.eval"),
    "a constant that doubles": (grown, rf"constant of \d+ elements.*{LARGEST}"),
    "a constant of any size": (filled, rf"constant of {2**40} elements"),
    "strides of nothing": (lambda f: f.add("Conv", "image", f.random(4, 4, 3, 3), strides=[0, 0]), r"\(Conv\).*strides"),
    "a stride for three axes": (lambda f: f.add("Conv", "image", f.random(4, 4, 3, 3), strides=[1, 1, 1]), r"\(Conv\)"),
    "an attribute of another type": (lambda f: f.add("Conv", "image", f.random(4, 4, 3, 3), group=1.5), r"\(Conv\).*group"),
    "a window larger than the map": (lambda f: f.add("MaxPool", "image", kernel_shape=[9, 9]), r"\(MaxPool\).*does not fit"),
    "a map larger than memory": (lambda f: resized(f, factor=4096.0), r"\(Resize\).*more than \d+ MB"),
    "double precision": (lambda f: f.add("Cast", "image", to=11), r"\(Cast\).*float32"),
    "a value that nobody computes": (lambda f: f.add("Relu", "other"), r"'other', which nothing before it gives"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_an_operator_is_refused_by_its_name(tmp_path: Path, what: str) -> None:
    change, message = REFUSED[what]
    path = built(tmp_path / "model.onnx", change)
    with pytest.raises(ModelError, match=message) as caught:
        read_onnx(path)
    assert str(path) in str(caught.value)


def test_a_weight_that_the_network_computes(tmp_path: Path) -> None:
    file = FileBuilder(4, 4, 3, 3)
    path = file.save(tmp_path / "m.onnx", file.add("Conv", "image", file.add("Relu", "image"), pads=[1, 1, 1, 1]))
    with pytest.raises(ModelError, match=r"\(Conv\): its input 1 is computed by the network, not a constant"):
        read_onnx(path)


def test_an_open_size_is_asked_for(tmp_path: Path) -> None:
    path = save_unet(tmp_path / "m.onnx", ("height", "width"))
    with pytest.raises(ModelError, match=r"'image' has no fixed size.*--size 256x256"):
        read_onnx(path)
    with pytest.raises(ConfigError, match="0x32 pixels cannot be"):
        read_onnx(path, (0, 32))
    with pytest.raises(ConfigError, match="for images of 32x48, not 64x64"):
        read_onnx(save_unet(tmp_path / "n.onnx"), (64, 64))


@pytest.mark.parametrize("opset", [10, 10_000])
def test_an_opset_that_is_not_read(tmp_path: Path, opset: int) -> None:
    with pytest.raises(ModelError, match=f"its opset is {opset}, and 11 to .*opset_version=17"):
        read_onnx(built(tmp_path / "m.onnx", lambda file: file.add("Relu", "image"), opset=opset))


def test_a_file_cut_short_anywhere(tmp_path: Path) -> None:
    whole, path = save_unet(tmp_path / "m.onnx").read_bytes(), tmp_path / "cut.onnx"
    for length in range(0, len(whole), len(whole) // 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"cut\.onnx"):
            read_onnx(path)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_onnx(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match="not an ONNX file"):
        read_onnx(tmp_path / "text.onnx")


# --- weights in a data file, as PyTorch writes them


def save_apart(folder: Path, location: str = "model.onnx.data") -> Path:
    """A UNet whose weights lie in a file of their own."""
    folder.mkdir(exist_ok=True)
    model = load(save_unet(folder / "whole.onnx"))
    external_data_helper.convert_model_to_external_data(model, location=location, size_threshold=16)
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return path


def relocate(path: Path, **entries: str) -> Path:
    """The file with other entries for where its first weight lies."""
    model = onnx.load(str(path), load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = entries.get(entry.key, entry.value)
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    path = save_apart(tmp_path / "apart")
    assert path.stat().st_size < (path.parent / "whole.onnx").stat().st_size
    image = to_nhwc(np.random.default_rng(0).uniform(0, 1, (1, 1, 32, 48)).astype(np.float32))
    (apart,), (whole,) = (run_graph(read_onnx(path.parent / name), image) for name in ("model.onnx", "whole.onnx"))
    np.testing.assert_array_equal(apart, whole)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "below/../../secret", "link", "missing", "", "..", "a\\b"])
def test_weights_elsewhere_are_not_read(tmp_path: Path, location: str) -> None:
    path = save_apart(tmp_path / "apart")
    (tmp_path / "secret").write_bytes(bytes(10_000))
    (path.parent / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match="no such file beside the model"):
        read_onnx(relocate(path, location=location))


@pytest.mark.parametrize("offset", ["-4", "1" * 30, "x", "100000000"])
def test_weights_beyond_their_file_are_not_read(tmp_path: Path, offset: str) -> None:
    with pytest.raises(ModelError, match=r"is damaged|too small"):
        read_onnx(relocate(save_apart(tmp_path / "apart"), offset=offset))


def test_weights_that_all_claim_the_whole_file(tmp_path: Path) -> None:
    """A thousand weights of a file of 4 MB would take 4 GB."""
    (tmp_path / "data").write_bytes(bytes(4 * 2**20))
    file = FileBuilder(1, 4, 8, 8)
    model = file.model(file.add("Relu", "image"))
    for index in range(1000):
        tensor = TensorProto(name=f"w{index}", data_type=TensorProto.FLOAT, dims=[2**20], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="data")
        model.graph.initializer.append(tensor)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="too small for the weight 'w1'"):
        read_onnx(path)


# --- what the file itself may hold


def with_function(model: Any) -> None:
    model.functions.append(helper.make_function("local", "F", ["x"], ["y"], [], model.opset_import))


def with_branch(model: Any) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("If", ["image"], ["other"], then_branch=body, else_branch=body))


def with_bytes(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


def with_half(model: Any) -> None:
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))


def with_vector(model: Any) -> None:
    del model.graph.input[0].type.tensor_type.shape.dim[2:]


def with_open_channels(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "channels"


def with_output_of_weights(model: Any) -> None:
    name = model.graph.initializer[0].name
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_function, "functions"),
        (with_branch, "'If' holds a nested graph"),
        (with_bytes, "'image' is uint8, not float32"),
        (with_half, "weights are float16, not float32"),
        (with_vector, "'image' has 2 axes"),
        (with_open_channels, "no fixed number of channels"),
        (with_output_of_weights, "is not computed from the image"),
    ],
)
def test_what_a_file_may_not_hold(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    path = save_unet(tmp_path / "m.onnx")
    model = load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=message):
        read_onnx(path)
