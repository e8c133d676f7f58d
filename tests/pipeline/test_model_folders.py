"""An export as a folder for the Hub and as a MONAI bundle: their own readers take them, and no patient is in them."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard, ModelCardData
from jsonschema import Draft201909Validator

from tests.support.command_line import Program, refusal
from tests.support.export_folders import FILES, GROUP, write_export
from tests.support.sample_results import result
from tests.support.timed_files import METADATA, SIZE
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.manifest import sha256_of
from u3p_edge.pipeline.model_folders import write_hub_folder, write_monai_bundle
from u3p_edge.provenance.model_card import read_card_hashes
from u3p_edge.provenance.monai_bundle import bundle_inference, bundle_metadata
from u3p_edge.runtime import open_session

TEXT, TABLE = {"type": "string"}, {"type": "object"}
TENSOR = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("type", "format", "dtype"), TEXT),
        "num_channels": {"type": "integer"},
        "spatial_shape": {"type": "array", "items": {"type": ["string", "integer"]}},
        "value_range": {"type": "array", "items": {"type": "number"}},
        "is_patch_data": {"type": "boolean"},
        "channel_def": TABLE,
    },
    "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range"],
}
PORTS = {"type": "object", "additionalProperties": TENSOR, "minProperties": 1}
TEXTS = (
    "schema",
    "version",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "task",
    "description",
    "authors",
    "copyright",
)
TABLES = ("required_packages_version", "optional_packages_version", "network_data_format")
SCHEMA = {
    "type": "object",
    "properties": {
        **dict.fromkeys(TEXTS, TEXT),
        **dict.fromkeys(TABLES, TABLE),
        "network_data_format": {
            "type": "object",
            "properties": {"inputs": PORTS, "outputs": PORTS},
            "required": ["inputs", "outputs"],
        },
    },
    "required": [*TEXTS, *TABLES],
}
"""What MONAI's published schema of metadata.json requires, in fewer words; its own check reads it from the network."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_export(tmp_path / "run")
    return tmp_path / "run"


def texts(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


def test_the_hubs_own_reader_takes_the_card_and_the_files_are_those_of_the_run(run: Path, tmp_path: Path) -> None:
    hub = tmp_path / "new" / "hub"
    names = write_hub_folder(run, hub, license="mit")
    assert sorted(names) == sorted(path.name for path in hub.iterdir())
    card = ModelCard.load(hub / "README.md")
    assert isinstance(card.data, ModelCardData)
    assert (card.data.license, card.data.library_name) == ("mit", "u3p_edge")
    assert {one.metric_name for one in card.data.eval_results or ()} >= {"Mean Dice"}
    listed = read_card_hashes((hub / "README.md").read_text())
    assert listed == {name: sha256_of(hub / name) for name in FILES}
    assert "u3p-edge verify" not in card.text, "it would miss the reports"
    assert GROUP in texts(run)
    assert GROUP not in texts(hub)
    assert str(tmp_path) not in texts(hub)


def test_with_reports_the_folder_is_the_run_and_a_readme(run: Path, tmp_path: Path) -> None:
    write_hub_folder(run, tmp_path / "hub", reports=True)
    added = {path.name for path in (tmp_path / "hub").iterdir()} - {path.name for path in run.iterdir()}
    assert added == {"README.md", ".gitattributes"}
    assert "u3p-edge verify" in (tmp_path / "hub" / "README.md").read_text()


def test_the_metadata_of_a_bundle_has_the_form_that_monai_requires(run: Path, tmp_path: Path) -> None:
    names = write_monai_bundle(run, tmp_path / "bundle", authors="A. Nother", license="mit")
    assert all((tmp_path / "bundle" / name).is_file() for name in names)
    value: dict[str, Any] = json.loads((tmp_path / "bundle" / "configs" / "metadata.json").read_text())
    assert list(Draft201909Validator(SCHEMA).iter_errors(value)) == []
    session = open_session(tmp_path / "bundle" / "models" / "model.onnx")
    assert session.format == "onnx-int8"
    height, width, channels = session.input_shape
    image, pred = value["network_data_format"]["inputs"]["image"], value["network_data_format"]["outputs"]["pred"]
    assert (image["num_channels"], image["spatial_shape"]) == (channels, [height, width])
    assert tuple(pred["channel_def"].values()) == session.metadata.class_names
    assert (value["authors"], value["copyright"], value["eval_metrics"]) == ("A. Nother", "mit", {"mean_dice": 0.89})
    assert GROUP not in texts(tmp_path / "bundle")


def test_every_reference_of_the_inference_leads_to_an_entry() -> None:
    config = bundle_inference(METADATA)
    used = set(re.findall(r"@(\w+)", json.dumps(config)))
    assert used <= set(config)
    assert "network_def" in used


def test_monai_accepts_the_network_and_gives_what_the_session_gives(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = pytest.importorskip("monai.bundle", reason="MONAI is not installed")
    write_monai_bundle(run, tmp_path / "bundle")
    monkeypatch.chdir(tmp_path / "bundle")
    monkeypatch.syspath_prepend(tmp_path / "bundle")
    bundle.verify_net_in_out(
        net_id="network_def", meta_file="configs/metadata.json", config_file="configs/inference.json", device="cpu"
    )
    torch = pytest.importorskip("torch")
    network = sys.modules["scripts.u3p"].Network("models/model.onnx")
    image = np.random.default_rng(0).random((SIZE, SIZE, 1), np.float32)
    expected = open_session(run / "model.int8.onnx").run(image)
    actual = network(torch.from_numpy(image).movedim(-1, 0)[None])
    assert np.array_equal(actual[0].movedim(0, -1).numpy(), expected)


def test_what_cannot_be_published_is_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    with pytest.raises(ArtifactError, match="full is not an empty folder"):
        write_hub_folder(run, tmp_path / "full")
    (run / "model.int8.onnx").write_bytes(b"changed")
    with pytest.raises(ArtifactError, match=r"model\.int8\.onnx is not as the export left it"):
        write_monai_bundle(run, tmp_path / "bundle")
    with pytest.raises(ArtifactError, match="is no run folder of an export"):
        write_hub_folder(tmp_path / "full", tmp_path / "hub")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "run"]
    assert (tmp_path / "full" / "mine.txt").read_text() == "kept"


def test_a_network_of_labels_is_no_bundle() -> None:
    with pytest.raises(ConfigError, match="--output probabilities"):
        bundle_metadata("unet", dataclasses.replace(METADATA, output="labels"), result().artifacts[0])


def test_the_command_writes_both_and_needs_one(run: Path, tmp_path: Path, program: Program) -> None:
    done = program("publish", run, "--hf", tmp_path / "hub", "--monai", tmp_path / "bundle")
    assert done.code == 0, done.err
    assert (tmp_path / "hub" / "README.md").is_file()
    assert (tmp_path / "bundle" / "models" / "model.onnx").is_file()
    assert "--hf FOLDER or --monai FOLDER" in refusal(program("publish", run))
    assert "--authors is for a MONAI bundle" in refusal(program("publish", run, "--hf", tmp_path / "b", "--authors", "A"))
