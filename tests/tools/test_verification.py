"""A fresh export passes; whatever was changed, removed or added since is named, and what cannot be checked is said."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import u3p_edge as u3p
from tests.support.command_line import Program, make_pictures, refusal, run_process
from tests.support.hasty_measuring import measure_hastily
from tests.support.missing_packages import NOT_ON_A_DEVICE, blocking
from tests.support.recipes import make_recipe
from tests.support.small_artifacts import SHAPE, Zoo
from u3p_edge.config.preprocessing import Normalization, Preprocessing
from u3p_edge.conversion.network_file import read_network, write_network
from u3p_edge.files.atomic import write_json
from u3p_edge.graph.scheme import Quantized
from u3p_edge.manifest import MANIFEST, Artifact, Manifest, describe, read_manifest, write_manifest
from u3p_edge.pipeline.export import export
from u3p_edge.progress import silent
from u3p_edge.tools.verification.check import Verification
from u3p_edge.tools.verification.documents import check_lock, check_sbom
from u3p_edge.tools.verification.images import make_up
from u3p_edge.tools.verification.listed_files import check_files, check_manifest
from u3p_edge.tools.verification.verify import verify

CHECKS = {
    *("manifest", "files", "lineage", "bill of materials", "model card", "report", "lock"),
    *("metadata", "integers", "data", "outputs", "float model", "accuracy"),
}


@pytest.fixture(scope="module")
def exported(keras_file: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo's network, exported with int8 in both formats; tiles make another network of it without any timing."""
    run = tmp_path_factory.mktemp("verified") / "run"
    with measure_hastily():
        export(keras_file, pictures, run, make_recipe(rounds=5, method="ptq", rewrite=False, tiles=2), progress=silent)
    return run


@pytest.fixture
def run(exported: Path, tmp_path: Path) -> Path:
    """The same in a folder of the test's own."""
    return Path(shutil.copytree(exported, tmp_path / "run"))


def failed(result: Verification) -> dict[str, str]:
    """The sentences of the checks that failed, by check."""
    return {check.name: "; ".join(check.details) for check in result.checks if check.outcome == "failed"}


def left_out(result: Verification) -> set[str]:
    return {check.name for check in result.checks if check.outcome == "left out"}


def relist(run: Path, name: str) -> None:
    """Let the manifest list a file as it is now, as somebody would who changes a file and knows of the manifest."""
    manifest = read_manifest(run)

    def listed(files: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
        return tuple(
            dataclasses.replace(describe(run / name, a.format, a.parent, a.uses)) if a.file == name else a for a in files
        )

    artifacts, reports = listed(manifest.artifacts), listed(manifest.reports)
    write_manifest(run, dataclasses.replace(manifest, artifacts=artifacts, reports=reports))


# --- what is right


def test_a_fresh_export_passes_every_check(run: Path, pictures: Path, keras_file: Path) -> None:
    result = u3p.verify(run, pictures, keras_file)
    assert {check.name: check.outcome for check in result.checks} == dict.fromkeys(CHECKS, "passed"), result
    assert result.passed
    assert "4 files agree on 3 real images" in result.get("outputs").details[0]


def test_without_data_and_model_it_says_what_it_left_out(run: Path, tmp_path: Path) -> None:
    result = verify(run)
    assert (failed(result), left_out(result)) == ({}, {"data", "float model", "accuracy"})
    assert "4 made-up images" in result.get("outputs").details[0]
    other = make_pictures(tmp_path / "other", ("train", "val", "test"))
    result = verify(run, other)
    assert (failed(result), left_out(result)) == ({}, {"data", "float model", "accuracy"})
    assert "is not the one that the export was measured on" in result.get("data").details[0]


def test_a_device_checks_what_its_packages_can(run: Path, pictures: Path) -> None:
    code = blocking(NOT_ON_A_DEVICE) + "from u3p_edge.cli.main import main; main()"
    done = run_process("verify", run, "--data", pictures, code=code)
    assert done.code == 0, done.err
    lines = {line[2:20].strip(): line for line in done.out.splitlines()}
    assert set(lines) == CHECKS
    assert lines["integers"].startswith("✓ integers          model.int8.tflite: exactly what network.int8.safetensors gives")
    assert re.search(r"2 files agree on 3 real images; left out: .*ONNX Runtime is not installed", lines["outputs"])
    assert [name for name, line in lines.items() if line.startswith("–")] == ["float model"]


# --- what was changed


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_in_any_file_is_named(run: Path) -> None:
    manifest = read_manifest(run)
    for artifact in (*manifest.artifacts, *manifest.reports):
        before = (run / artifact.file).read_bytes()
        flip(run / artifact.file)
        check = check_files(run, manifest)
        assert check.outcome == "failed"
        assert len(check.details) == 1
        assert check.details[0].startswith(f"{artifact.file} has changed: its sha256 is ")
        (run / artifact.file).write_bytes(before)
    assert check_files(run, manifest).outcome == "passed"


@pytest.mark.parametrize("field", ["key", "recipe", "rewrites", "schema", "artifacts", "origins", "reports"])
def test_a_change_in_the_manifest_itself_is_named(run: Path, field: str) -> None:
    content = json.loads((run / MANIFEST).read_text())
    other = {"schema": 4, "key": "0", "recipe": "{}", "rewrites": [["conv", "winograd"]]}
    content[field] = other[field] if field in other else content[field][1:]
    write_json(run / MANIFEST, content)
    check = check_manifest(run)[1]
    assert check.outcome == "failed"
    assert MANIFEST in check.details[0]


def test_half_a_manifest_is_named(run: Path) -> None:
    path = run / MANIFEST
    path.write_bytes(path.read_bytes()[:100])
    result = verify(run)
    assert [check.name for check in result.checks] == ["manifest"]
    assert "manifest.json is not readable JSON" in failed(result)["manifest"]


def test_a_missing_file_and_one_of_other_origin_are_named(run: Path) -> None:
    (run / "model.int8.onnx").unlink()
    (run / "pruning.json").write_text("{}")
    (run / "notes.txt").write_text("mine")
    result = verify(run)
    assert failed(result)["files"] == "model.int8.onnx is missing; pruning.json is of other origin: no manifest lists it"
    assert "model.int8.onnx cannot be run" in failed(result)["outputs"]


def test_a_damaged_model_is_named_and_not_run(run: Path) -> None:
    path = run / "model.int8.tflite"
    path.write_bytes(path.read_bytes()[:300])
    result = verify(run)
    assert "model.int8.tflite has changed: it has 300 bytes" in failed(result)["files"]
    assert "model.int8.tflite cannot be run" in failed(result)["outputs"]


def test_an_exchanged_model_does_not_pass_although_the_manifest_lists_it(run: Path, zoo: Zoo, pictures: Path) -> None:
    shutil.copy(zoo.path("int8.tflite"), run / "model.int8.tflite")
    relist(run, "model.int8.tflite")
    faults = failed(verify(run, pictures))
    assert "files" not in faults
    documents = {"bill of materials": "sbom.cdx.json", "model card": "model_card.md", "report": "report.json"}
    for name, document in {**documents, "lock": "export.lock.json"}.items():
        assert faults[name] == f"{document} names another sha256 of model.int8.tflite than the manifest"
    assert "model.int8.tflite is not what network.int8.safetensors gives" in faults["integers"]
    assert "model.int8.tflite records another float model" in faults["metadata"]


def test_another_kernel_in_the_integers_does_not_pass(run: Path) -> None:
    path = run / "network.int8.safetensors"
    network = read_network(path.read_bytes())
    assert isinstance(network, Quantized)
    nodes = list(network.graph.nodes)
    index = next(i for i, node in enumerate(nodes) if "kernel" in node.weights)
    weights = {**nodes[index].weights, "kernel": -nodes[index].weights["kernel"]}
    nodes[index] = dataclasses.replace(nodes[index], weights=weights)
    path.write_bytes(write_network(Quantized(dataclasses.replace(network.graph, nodes=tuple(nodes)), network.scheme)))
    relist(run, path.name)
    faults = failed(verify(run))
    assert "model.int8.tflite does not lead over network.int8.safetensors" in faults["lineage"]
    assert faults["integers"] == "; ".join(
        f"model.int8.{kind} is not what network.int8.safetensors gives" for kind in ("tflite", "onnx")
    )


def edit(run: Path, name: str, change: Callable[[str], str]) -> None:
    """Change the text of a file of which the manifest then says that it is right."""
    path = run / name
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before
    relist(run, name)


def test_a_broken_bill_of_materials_is_named(run: Path) -> None:
    edit(run, "sbom.cdx.json", lambda text: text.replace("origin:float-network", "origin:another", 1))
    assert "sbom.cdx.json" in check_sbom(run, read_manifest(run)).details[0]
    edit(run, "sbom.cdx.json", lambda text: text.replace('"CycloneDX"', '"another"'))
    check = check_sbom(run, read_manifest(run))
    assert check.outcome == "failed"
    assert "sbom.cdx.json is not a bill of materials of an export" in check.details[0]


def test_a_card_and_a_report_that_say_something_else_are_named(run: Path, pictures: Path) -> None:
    sha256 = {a.file: a.sha256 for a in read_manifest(run).artifacts}["model.int8.onnx"]
    edit(run, "model_card.md", lambda text: text.replace(sha256, "0" * 64))

    def better(text: str) -> str:
        content = json.loads(text)
        scores = content["artifacts"][0]["accuracy"]
        scores["dice"][1] += 0.01
        return json.dumps(content)

    edit(run, "report.json", better)
    faults = failed(verify(run, pictures))
    assert faults["model card"] == "model_card.md names another sha256 of model.int8.onnx than the manifest"
    # Two classes: a hundredth more of one is 0.5 points more of the mean, five times the tolerance.
    assert re.fullmatch(r"\S+ has a mean Dice of [\d.]+, and report\.json says [\d.]+", faults["accuracy"])


def test_a_lock_of_other_data_or_options_is_named(run: Path) -> None:
    manifest = read_manifest(run)
    digest = next(one.sha256 for one in manifest.origins if one.kind == "training data")
    edit(run, "export.lock.json", lambda text: text.replace(digest, "0" * 64).replace('"method": "ptq"', '"method": "qat"'))
    check = check_lock(run, manifest)
    assert check.details == (
        "export.lock.json has another sha256 of the training data than the manifest",
        "export.lock.json has other options than the manifest",
    )
    edit(run, "export.lock.json", lambda text: text.replace('"schema": 1', '"schema": 9'))
    assert "export.lock.json is no lock of version 1" in check_lock(run, manifest).details[0]


def test_another_float_model_does_not_pass(run: Path, keras_files: dict[str, Path]) -> None:
    faults = failed(verify(run, model=keras_files[".h5"]))
    assert "is not the float model that the manifest leads to" in faults["float model"]


# --- other folders


def test_a_run_of_an_older_program_is_checked_as_far_as_it_goes(run: Path, pictures: Path) -> None:
    content = json.loads((run / MANIFEST).read_text())
    del content["sha256"], content["origins"]
    model = json.loads((run / MANIFEST).read_text())["origins"][0]["sha256"]
    gone = {"sbom.cdx.json", "model_card.md", "export.lock.json"}
    for artifact in (*content["artifacts"], *content["reports"]):
        del artifact["uses"]
    for artifact in content["artifacts"]:
        artifact["parent"] = artifact["parent"] if "int8." in artifact["file"] and artifact["format"] != "network" else model
    content["reports"] = [one for one in content["reports"] if one["file"] not in gone]
    content["schema"] = 2
    write_json(run / MANIFEST, content)
    for name in gone:
        (run / name).unlink()
    result = verify(run, pictures)
    assert failed(result) == {}
    assert left_out(result) == {"lineage", "bill of materials", "model card", "lock", "float model"}
    assert "written by an older program: version 2 of 3" in result.get("manifest").details[0]
    flip(run / "model.float32.onnx")
    assert "model.float32.onnx has changed" in failed(verify(run, pictures))["files"]


def test_the_folder_of_a_training_is_checked_by_its_hashes(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    write_manifest(tmp_path, Manifest((describe(tmp_path / "model.safetensors", "weights-safetensors"),)))
    assert failed(verify(tmp_path)) == {}
    flip(tmp_path / "model.safetensors")
    assert "model.safetensors has changed" in failed(verify(tmp_path))["files"]


def test_the_command_ends_with_an_exit_code_and_writes_json(run: Path, tmp_path: Path, program: Program) -> None:
    saved = tmp_path / "checks.json"
    done = program("verify", run, "--json", saved)
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "✓ manifest          manifest.json is readable"
    written = json.loads(saved.read_text())
    assert (written["run"], written["passed"], len(written["checks"])) == ("run", True, len(CHECKS))
    (run / "report.md").unlink()
    done = program("verify", run, "--json", saved)
    assert done.code == 1
    assert "✗ files             report.md is missing" in done.out
    assert json.loads(saved.read_text())["passed"] is False


def test_what_is_no_run_folder_is_refused(tmp_path: Path, program: Program) -> None:
    assert refusal(program("verify", tmp_path)) == (
        f"{tmp_path} is not a run folder: it has no manifest.json. Give the --out folder of an export."
    )
    assert "none is no folder" in refusal(program("verify", tmp_path / "none"))


@given(st.sampled_from(["percentile", "zscore", "range", "none", "meanstd"]), st.sampled_from([1, 3]))
def test_made_up_images_are_in_the_range_of_real_ones(normalization: Normalization, channels: int) -> None:
    mean, std = ((value,) * channels if normalization == "meanstd" else () for value in (100.0, 50.0))
    images = make_up(Preprocessing(*SHAPE[:2], channels, normalization=normalization, mean=mean, std=std))
    assert (images.shape, images.dtype) == ((4, *SHAPE[:2], channels), np.float32)
    low, high = {"none": (0, 255), "zscore": (-4, 4), "meanstd": (-2, 3.1)}.get(normalization, (0, 1))
    assert low <= images.min() < images.max() <= high
    assert images.std() > 0.1 * (high - low)
