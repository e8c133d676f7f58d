"""An ONNX file of a stranger where models are read: exported to verified int8 files, rewritten, inspected, from Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import u3p_edge as u3p
from tests.support.command_line import QUICK, Program, refusal
from tests.support.onnx_files import FileBuilder
from tests.support.onnx_networks import TorchExport, save_unet
from tests.support.paths import REPOSITORY
from tests.support.small_artifacts import SHAPE, truth
from u3p_edge.errors import ConfigError
from u3p_edge.pipeline.source import read_source
from u3p_edge.recipes.recipe import ModelOptions

SIZE = "x".join(map(str, SHAPE[:2]))
GREYS = (0.15, 0.45, 0.8)
"""Of the classes of `small_artifacts.picture`."""


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of open size that tells the classes of `picture` apart by brightness, in logits, as PyTorch would write it.

    The logit of a class of brightness g is -s (x - g)^2 without its x^2, which is the same for all: s (2 g x - g^2).
    """
    file = TorchExport("batch", 1, "height", "width")
    mean = file.add("Conv", "image", file.constant(np.full((1, 1, 3, 3), 1 / 9)), pads=[1, 1, 1, 1])
    wide = file.up_to(file.pool(file.add("Relu", mean)), mean)
    x = file.add("Concat", mean, wide, axis=1)
    weight = [[[[s * 2 * g]] for s in (90.0, 10.0)] for g in GREYS]
    y = file.add("Conv", x, file.constant(weight), file.constant([-100.0 * g * g for g in GREYS]), output="logits")
    return file.save(tmp_path_factory.mktemp("onnx") / "segmenter.onnx", y)


def test_an_onnx_file_becomes_a_verified_int8_file(program: Program, segmenter: Path, pictures: Path, tmp_path: Path) -> None:
    options = ("--int8", "--ptq", "--size", SIZE, "--formats", "tflite", "--no-rewrite", *QUICK)
    ended = program("export", segmenter, "--data", pictures, "--out", tmp_path / "run", *options)
    assert ended.code == 0, ended.err
    assert "The model gave logits; softmax was added to it." in (tmp_path / "run" / "report.md").read_text()
    session = u3p.open_session(tmp_path / "run" / "model.int8.tflite")
    labels = session.predict(pictures / "images" / "p11.png")
    # The mean over 3x3 pixels errs along the outlines of the ellipse and the bar, some 60 + 70 of 48 * 64 pixels, 4.2 %, and
    # a little further where the pooled map has a say of a tenth.
    assert (labels == truth(11)).mean() > 0.93


def test_a_wrong_normalisation_is_refused_as_for_a_keras_file(
    program: Program, segmenter: Path, pictures: Path, tmp_path: Path
) -> None:
    ended = program(
        "export", segmenter, "--data", pictures, "--out", tmp_path / "run", "--size", SIZE, "--normalize", "none", *QUICK
    )
    assert "were normalised in another way in training" in refusal(ended)


def test_it_is_rewritten_and_inspected(program: Program, segmenter: Path, tmp_path: Path) -> None:
    ended = program("inspect", segmenter, "--size", SIZE, "--json")
    assert ended.code == 0, ended.err
    height, width, _ = SHAPE
    assert json.loads(ended.out)["macs"] == height * width * (9 * 1 + 2 * 3)
    ended = program("rewrite", segmenter, "--size", SIZE, "--out", tmp_path / "rewrites.json")
    assert ended.code == 0, ended.err
    assert json.loads((tmp_path / "rewrites.json").read_text()) is not None


@pytest.mark.parametrize("command", ["export", "inspect", "rewrite"])
def test_an_open_size_is_asked_for_in_every_command(program: Program, segmenter: Path, tmp_path: Path, command: str) -> None:
    ended = program(command, segmenter, *(("--out", tmp_path / "run") if command != "inspect" else ()))
    assert "'image' has no fixed size" in refusal(ended)
    assert "--size 256x256" in ended.err
    assert "is not HEIGHTxWIDTH" in refusal(program(command, segmenter, "--size", "48"))


def test_options_that_say_nothing_of_an_onnx_file(program: Program, segmenter: Path, tmp_path: Path) -> None:
    assert "--trust is for a Keras file" in refusal(program("export", segmenter, "--trust", "--out", tmp_path / "run"))
    assert "--size is for a Keras or ONNX file" in refusal(program("export", "--size", SIZE, "--out", tmp_path / "run"))
    with pytest.raises(ConfigError, match="multiples of 16"):
        ModelOptions(size=(30, 32))


def test_from_onnx_gives_an_inference_graph(tmp_path: Path) -> None:
    path = save_unet(tmp_path / "unet.onnx", ("height", "width"), classes=1)
    graph = u3p.from_onnx(path, (16, 32))
    assert (graph.inputs, graph.outputs, graph.shapes["mask"]) == (("image",), ("mask",), (1, 16, 32, 1))
    images = np.random.default_rng(0).uniform(0, 1, (2, 16, 32, 1)).astype(np.float32)
    written = u3p.write_tflite(u3p.quantize(graph, images), tmp_path / "model.tflite")
    assert u3p.open_session(written).run(images[0]).shape == (16, 32, 1)
    assert u3p.from_keras(u3p.load(path, ModelOptions(size=(16, 32)))) == graph


def test_from_onnx_needs_no_tensorflow(tmp_path: Path) -> None:
    path = save_unet(tmp_path / "unet.onnx")
    code = f"import sys; sys.modules['tensorflow'] = None; import u3p_edge as u3p; print(u3p.from_onnx({str(path)!r}).outputs)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "('mask',)"


def test_other_weights_in_a_data_file_are_another_model(tmp_path: Path) -> None:
    """An export takes what it finished before for the same model only."""
    import onnx
    from onnx import external_data_helper

    file = FileBuilder(1, 1, 16, 16)
    model = file.model(file.add("Conv", "image", file.random(1, 1, 3, 3), pads=[1, 1, 1, 1]))
    external_data_helper.convert_model_to_external_data(model, location="weights", size_threshold=0)
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    before = read_source(path)
    (tmp_path / "weights").write_bytes(np.ones((tmp_path / "weights").stat().st_size // 4, np.float32).tobytes())
    after = read_source(path)
    assert before.sha256 != after.sha256
    assert before.graph != after.graph
