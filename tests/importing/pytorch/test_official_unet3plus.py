"""The authors' checkpoints become run folders that compute what PyTorch computes; other weights are refused by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import u3p_edge as u3p
from tests.support.command_line import QUICK, Program, refusal
from tests.support.slow import mark_slow
from tests.support.small_artifacts import SHAPE
from tests.support.torch_files import TORCH_FILES, torch_values
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.graph.reference import run
from u3p_edge.importing.pytorch.checkpoint import read_checkpoint
from u3p_edge.models.config import preset
from u3p_edge.models.official_names import read_official
from u3p_edge.models.store import load_model
from u3p_edge.recipes.recipe import ModelOptions

SIZE = (16, 32)
EPS = float(np.finfo(np.float32).eps)

TERMS, LAYERS = 9 * 32 + 1, 10 + 2 * 4 + 1
"""Products in the longest sum of a network of width 2, and convolutions in a row: two a scale, two a decoder, the head. Every
convolution errs by at most TERMS roundings of values whose probabilities are at most 1."""
TOLERANCE = TERMS * LAYERS * EPS


def weights_of(name: str) -> dict[str, np.ndarray]:
    return dict(read_checkpoint(TORCH_FILES / name))


@dataclass(frozen=True)
class Case:
    """A kept checkpoint as a run folder, with the image and what PyTorch computes of it."""

    done: u3p.ImportedModel
    model: Any
    image: np.ndarray
    outputs: list[np.ndarray]


FILES = {"plain": "plain.pth", "supervised": "supervised_wrapped.pth", "gated": "gated_parallel_half.pt"}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """Reads a kept checkpoint once."""
    return functools.cache(lambda name: case(TORCH_FILES / FILES[name], name, tmp_path_factory.mktemp(name)))


def case(path: Path, name: str, run: Path) -> Case:
    options = ModelOptions(size=SIZE, normalization="zscore", class_names=("rest", "organ"))
    done = u3p.import_checkpoint(path, run, options)
    return Case(done, load_model(run)[0], *torch_values(name))


EXPECTED: Mapping[str, Mapping[str, object]] = {
    "plain": {"base_width": 2, "input_shape": (*SIZE, 1), "head_kernel": 3},
    "supervised": {"base_width": 1, "input_shape": (*SIZE, 3), "deep_supervision": True},
    "gated": {"base_width": 1, "input_shape": (*SIZE, 1), "deep_supervision": True, "cgm": True},
}


@pytest.mark.parametrize("name", mark_slow(EXPECTED, ["supervised"]))  # the gated one is supervised too
def test_a_run_folder_computes_what_pytorch_computes(cases: Callable[[str], Case], name: str) -> None:
    case = cases(name)
    assert case.done.config == preset("paper", **EXPECTED[name])
    assert case.done.metadata.class_names == ("rest", "organ")
    assert case.done.metadata.preprocessing.normalization == "zscore"
    results = case.model(case.image)
    results = results if isinstance(results, list) else [results]
    assert len(results) == len(case.outputs) == len(case.done.config.output_names)
    for result, output in zip(results, case.outputs, strict=True):
        np.testing.assert_allclose(result, output, rtol=0, atol=TOLERANCE)
        assert output.std() > 10 * TOLERANCE, "a flat map compares nothing"


def test_the_gate_multiplies_the_activated_mask(cases: Callable[[str], Case]) -> None:
    """Unit 1 of the authors' module says that the organ is there."""
    case = cases("gated")
    graph = inference_graph(from_keras(case.model)).graph
    expected = case.outputs[0] * case.outputs[-1][:, None, None, 1:]
    np.testing.assert_allclose(run(graph, {"image": case.image})["mask"], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.slow  # from a run folder on it is as every other network
def test_a_checkpoint_becomes_an_int8_file(cases: Callable[[str], Case], tmp_path: Path) -> None:
    case = cases("plain")
    network = u3p.quantize(u3p.from_keras(case.model), calibration=case.image)
    path = u3p.write_tflite(network, tmp_path / "model.tflite", case.done.metadata)
    result, (expected,) = u3p.open_session(path).run(case.image[0]), case.outputs
    noise = np.mean((result - expected[0]) ** 2)
    # The map varies; an int8 file that mixed up two branches would not follow it at all.
    assert expected.var() > 10 * noise, (expected.var(), noise)


@pytest.mark.slow  # `tests/importing/test_onnx_sources.py` exports
def test_export_takes_the_run_folder(program: Program, pictures: Path, tmp_path: Path) -> None:
    run, out, size = tmp_path / "run", tmp_path / "out", "x".join(map(str, SHAPE[:2]))
    done = program("import", TORCH_FILES / "plain.pth", "--out", run, "--size", size, "--normalize", "range")
    assert done.code == 0, done.err
    assert "width 2, 1 mask channel: 27,445 numbers" in done.out
    arguments = ("--int8", "--ptq", "--data", pictures, "--map", "2:1", "--min-sqnr", -20, *QUICK)
    refused = refusal(program("export", run, "--out", out, *arguments))
    assert "no better than a constant" in refused or "normalised in another way" in refused
    ended = program("export", run, "--out", out, "--accept", *arguments)
    assert ended.code == 0, ended.err
    assert u3p.open_session(out / "model.int8.tflite").metadata.lineage[0][0] == "PyTorch checkpoint"


def test_a_damaged_checkpoint_names_what_is_wrong() -> None:
    weights = weights_of("plain.pth")
    changes: dict[str, tuple[dict[str, np.ndarray], str]] = {
        "missing": ({k: v for k, v in weights.items() if k != "bn2d_1.running_var"}, r"it lacks 'bn2d_1\.running_var'"),
        "foreign": ({**weights, "final.weight": np.zeros(1, np.float32)}, r"foreign weights 'final\.weight'"),
        "shape": (
            {**weights, "conv2d_1.weight": weights["conv2d_1.weight"][:-1]},
            r"'conv2d_1\.weight' is float32 \[9, 10, 3, 3\]; a UNet 3\+ of this width has float32 \[10, 10, 3, 3\]",
        ),
        "type": (
            {**weights, "bn1d_1.bias": weights["bn1d_1.bias"].astype(np.int64)},
            r"'bn1d_1\.bias' is int64 \[10\]",
        ),
        "other": ({"enc.weight": np.zeros((3, 3), np.float32)}, r"no kernel 'conv1\.conv1\.0\.weight' .but 'enc\.weight'"),
    }  # fmt: skip
    for changed, message in changes.values():
        with pytest.raises(ModelError, match=message + ".*Export the model as ONNX"):
            read_official(changed, SIZE)


def test_a_gate_of_two_units_for_several_classes_is_refused() -> None:
    weights = weights_of("gated_parallel_half.pt")
    several = {k: np.repeat(v, 3, axis=0) if k.startswith("outconv") else v for k, v in weights.items()}
    with pytest.raises(ModelError, match="two units for 3 classes"):
        read_official(several, SIZE)
    without = {k: v for k, v in several.items() if not k.startswith("cls")}
    config, named = read_official(without, SIZE)
    assert (config.classes, config.activation) == (3, "softmax")
    assert named["head5_conv/kernel"].shape == (3, 3, 16, 3)


def test_a_network_without_biases() -> None:
    def is_bias(name: str) -> bool:
        return name.endswith((".0.bias", "_conv.bias")) or (name.startswith("conv") and name.endswith("d_1.bias"))

    weights = {name: array for name, array in weights_of("plain.pth").items() if not is_bias(name)}
    config, named = read_official(weights, SIZE)
    assert not config.conv_bias
    assert "dec1_fuse_conv/bias" not in named
    assert "head1_conv/bias" in named


def test_what_import_refuses(program: Program, tmp_path: Path) -> None:
    checkpoint, out = TORCH_FILES / "plain.pth", tmp_path / "run"
    with pytest.raises(ConfigError, match=r"do not say the size of their images.*--size 320x320"):
        u3p.import_checkpoint(checkpoint, out, ModelOptions())
    with pytest.raises(ConfigError, match="3 class names were given for a model of 2 classes"):
        u3p.import_checkpoint(checkpoint, out, ModelOptions(size=SIZE, class_names=("a", "b", "c")))
    assert "names 'torch.nn.modules.activation.ReLU'" in refusal(
        program("import", TORCH_FILES / "whole_model.pth", "--out", out, "--size", "16x32")
    )
    assert not out.exists()
    out.mkdir()
    (out / "model.json").write_text("{}")
    assert "no manifest of this program names it" in refusal(program("import", checkpoint, "--out", out, "--size", "16x32"))
