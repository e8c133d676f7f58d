"""`inspect` shows cost, memory, XNNPACK's refusals and times, of TFLite files without TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.command_line import Program, refusal
from tests.support.small_artifacts import SHAPE, Zoo
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.latency import per_op
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.models.config import preset
from u3p_edge.models.store import save_model
from u3p_edge.models.unet3plus import build

HEIGHT, WIDTH, _ = SHAPE
PIXELS = HEIGHT * WIDTH
# The zoo's network: 3x3 to 8 channels, 3x3 at half the size, a 1x1 head over both.
MACS = 9 * 8 * PIXELS + 9 * 8 * 8 * (PIXELS // 4) + 16 * 3 * PIXELS


@pytest.fixture(autouse=True)
def small_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak of a small convolution is found sooner; nothing here looks at how high it is."""
    monkeypatch.setattr(per_op, "PEAK_LAYERS", ((1, 64, 16),))


def figures(program: Program, *arguments: object) -> Any:
    done = program("inspect", *arguments, "--json")
    assert done.code == 0, done
    return json.loads(done.out)


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A UNet 3+ as `train` leaves it; beside it, `unet.tflite`, its float32 file."""
    config = preset("article", input_shape=(32, 32, 1), base_width=4, deep_supervision=False)
    folder, model = tmp_path_factory.mktemp("run"), build(config)
    save_model(folder, model, config, default_metadata(Preprocessing(32, 32, 1), labels=2))
    (folder / "unet.tflite").write_bytes(write_tflite(fold_batch_norm(inference_graph(from_keras(model)).graph)))
    return folder


@pytest.mark.parametrize("kind", ["int8.tflite", "float32.tflite", "float-io.tflite"])
def test_a_tflite_file_is_counted(kind: str, program: Program, zoo: Zoo) -> None:
    found = figures(program, zoo.path(kind))
    size = 4 if kind == "float32.tflite" else 1
    assert found["number"] == ("float32" if size == 4 else "int8")
    assert found["macs"] == MACS
    kernels = 9 * 8 + 9 * 8 * 8 + 16 * 3
    biases = 8 + 8 + 3
    assert found["parameters"] == kernels + biases
    assert sum(node["weight_bytes"] for node in found["nodes"]) == kernels * size + biases * 4
    joined = next(node for node in found["nodes"] if node["op"] == "CONCATENATION")
    assert joined["activation_bytes"] == 16 * PIXELS * size
    # At the concatenation its two operands and its result are alive: 8 + 8 + 16 channels.
    assert found["memory"]["peak_node"] == joined["node"]
    assert found["memory"]["peak_bytes"] == 32 * PIXELS * size
    assert found["stages"] == {}
    assert found["profile"] is None


def test_an_export_is_inspected_by_its_network(program: Program, zoo: Zoo) -> None:
    file, network = (figures(program, path) for path in (zoo.path("int8.tflite"), zoo.folder))
    assert network.pop("name") == "network.int8.safetensors"
    assert file.pop("name") == "model.int8.tflite"
    assert network == file


def test_the_int8_softmax_is_what_xnnpack_refuses(program: Program, zoo: Zoo) -> None:
    assert [op["op"] for op in figures(program, zoo.path("int8.tflite"))["slow"]] == ["SOFTMAX"]
    assert figures(program, zoo.path("float32.tflite"))["slow"] == []


def test_a_lone_relu_is_shown_with_the_reason(program: Program, tmp_path: Path) -> None:
    kernel = np.ones((3, 3, 1, 4), np.float32)
    nodes = (
        Node("image", "input", (), {"shape": (None, 8, 8, 1)}),
        Node("wide", "conv", ("image",), {"padding": "same"}, {"kernel": kernel}),
        Node("up", "upsample", ("wide",), {"interpolation": "bilinear"}),
        Node("mask", "activation", ("up",), {"function": "relu"}),
    )
    made = make_dummy_quantized(Graph(nodes, ("image",), ("mask",)))
    path = tmp_path / "lone.tflite"
    path.write_bytes(write_tflite(made))
    done = program("inspect", path)
    assert done.code == 0
    assert "1 operator (RELU)" in done.out
    assert "TFLite's own kernels" in done.out


def test_a_unet3plus_is_shown_by_stage(program: Program, unet: Path) -> None:
    found = figures(program, unet / "unet.tflite")
    assert list(found["stages"]) == ["encoder", *(f"decoder {level}" for level in (4, 3, 2, 1)), "heads"]
    assert sum(stage["macs"] for stage in found["stages"].values()) == found["macs"]
    tables = {limit: program("inspect", unet / "unet.tflite", *limit).out for limit in ((), ("--limit", 5))}
    before = {limit: text.split("alive at the peak")[0] for limit, text in tables.items()}
    assert all("decoder 1" in text for text in before.values())
    assert ["dec1_fuse_conv" in text for text in before.values()] == [False, True], "nodes are listed when asked for"


def test_a_run_folder_as_integers_is_its_file_with_smaller_numbers(program: Program, unet: Path) -> None:
    file, found = figures(program, unet / "unet.tflite"), figures(program, unet, "--int8", "--profile")
    assert (file["number"], found["number"]) == ("float32", "int8")
    assert found["stages"].keys() == file["stages"].keys()
    for whole, quarter in zip(file["nodes"], found["nodes"], strict=True):
        assert (quarter["op"], quarter["macs"]) == (whole["op"], whole["macs"])
        assert whole["activation_bytes"] == 4 * quarter["activation_bytes"]
    rows = found["profile"]["rows"]
    assert {row["node"] for row in rows} <= {node["node"] for node in found["nodes"]}
    assert sum(row["macs"] for row in rows) == found["macs"]
    assert all(row["ms"] > 0 for row in rows)


def test_profile_names_a_files_operators_as_its_nodes(program: Program, zoo: Zoo) -> None:
    found = figures(program, zoo.path("int8.tflite"), "--profile", "--threads", 2)
    assert [row["node"] for row in found["profile"]["rows"]] == [node["node"] for node in found["nodes"]]
    assert found["profile"]["threads"] == 2
    done = program("inspect", zoo.path("int8.tflite"), "--profile", "--limit", 2)
    table = done.out.split("operator gives")[-1]
    assert len([line for line in table.splitlines() if " % " in line]) == 2


def test_keras_files_are_read(program: Program, keras_files: dict[str, Path]) -> None:
    for path in keras_files.values():
        assert figures(program, path)["macs"] == MACS


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.onnx", b"x", "not an ONNX file"),
        ("absent.tflite", None, "absent.tflite does not exist"),
        ("empty.tflite", b"", "empty.tflite is empty"),
        ("other.tflite", b"something else entirely", "not a TFLite model"),
        ("notes.txt", b"x", "notes.txt"),
    ],
)
def test_what_cannot_be_inspected_is_named(
    name: str, content: bytes | None, said: str, program: Program, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert said in refusal(program("inspect", tmp_path / name))
