"""`u3p-edge export` from end to end: what it leaves, and what each option does."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import QUICK, Program, left_in, run_process
from tests.support.exported_files import CHOICE, MODELS, NETWORK, REFERENCE, REPORTS, REWRITES
from tests.support.recipes import make_recipe
from tests.support.small_artifacts import SHAPE, picture, truth
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.load import Arrays
from u3p_edge.manifest import is_whole, read_manifest, sha256_of
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.export import export
from u3p_edge.pipeline.staging import PREFIX
from u3p_edge.pipeline.validation import file_scores, mean_dice
from u3p_edge.progress import silent
from u3p_edge.provenance.materials import list_materials
from u3p_edge.provenance.model_card import read_card_hashes
from u3p_edge.provenance.sbom import read_sbom
from u3p_edge.report.github import VARIABLE
from u3p_edge.runtime import open_session

FIRST_STAGE = "Convert float32 to TFLite"


@dataclasses.dataclass(frozen=True)
class Done:
    """A run folder, the model it came from, and the step summary of the run that filled it."""

    run: Path
    source: Path
    data: Path
    summary: str

    @property
    def arguments(self) -> tuple[object, ...]:
        return ("export", self.source, "--int8", "--data", self.data, "--out", self.run, *QUICK)


@pytest.fixture(scope="module")
def done(keras_file: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The main job on the zoo's network."""
    folder = tmp_path_factory.mktemp("main")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(folder / "summary.md"))
        export(keras_file, pictures, folder / "run", make_recipe(rounds=5), progress=silent, command="u3p-edge export")
    return Done(folder / "run", keras_file, pictures, (folder / "summary.md").read_text())


@pytest.fixture
def copied(done: Done, tmp_path: Path) -> Done:
    """The same in a folder of the test's own."""
    return dataclasses.replace(done, run=Path(shutil.copytree(done.run, tmp_path / "run")))


def no_models_in(folder: Path) -> bool:
    return not [path for path in folder.iterdir() if path.name.startswith(("model", "manifest", PREFIX))]


# --- what it leaves


def test_the_run_folder_holds_what_it_should(done: Done) -> None:
    assert left_in(done.run) == sorted(["manifest.json", *MODELS, NETWORK, CHOICE, REWRITES, *REPORTS])
    with Image.open(done.run / "samples.png") as shown:
        assert shown.width > 5 * SHAPE[1], "input, truth, two masks and their difference side by side"


def test_the_manifest_is_true(done: Done) -> None:
    manifest = read_manifest(done.run)
    assert sorted(a.file for a in manifest.artifacts) == sorted([*MODELS, NETWORK])
    assert sorted(a.file for a in manifest.reports) == sorted([*REPORTS, CHOICE, REWRITES])
    assert all(is_whole(report, done.run) for report in manifest.reports)
    assert (manifest.pending, manifest.claims) == ((), ())
    origins = {one.kind: one for one in manifest.origins}
    assert origins["float model"].sha256 == origins["float network"].parent == sha256_of(done.source)
    for artifact in manifest.artifacts:
        path = done.run / artifact.file
        assert (artifact.sha256, artifact.bytes) == (sha256_of(path), path.stat().st_size)
        assert artifact.format == ("network" if artifact.file == NETWORK else open_session(path).format)
        source = origins["float model" if artifact.file == REFERENCE else "float network"].sha256
        assert artifact.parent == (sha256_of(done.run / NETWORK) if artifact.format.endswith("int8") else source)
        shaped_by = (origins["training data"].sha256, origins["validation data"].sha256)
        assert artifact.uses == (shaped_by if artifact.file == NETWORK else ())
    assert json.loads(manifest.recipe)["measurement"]["rounds"] == 5
    recorded = json.loads((done.run / REWRITES).read_text())["rewrites"]
    assert manifest.rewrites == tuple((choice["site"], choice["chosen"]) for choice in recorded)
    assert manifest.rewrites


def test_every_file_says_what_it_is_and_where_it_comes_from(done: Done) -> None:
    for name in MODELS:
        metadata = open_session(done.run / name).metadata
        assert metadata.lineage == (("float model", sha256_of(done.source)),)
        assert metadata.preprocessing == Preprocessing(*SHAPE)
        assert (metadata.labels, metadata.version != "") == (3, True)


def test_the_result_and_the_report_say_the_same(done: Done) -> None:
    result = read_result(done.run / "report.json")
    assert sorted(a.name for a in result.artifacts) == MODELS
    assert result.reference == REFERENCE
    assert result.data is not None
    assert (result.data.split, result.data.images) == ("test", 3)
    text = (done.run / "report.md").read_text()
    for artifact in result.artifacts:
        assert artifact.accuracy is not None
        assert artifact.memory is not None
        assert artifact.latencies
        # Three easy pictures, and int8 probabilities in steps of 1/256: more than 2 % of other pixels would be a fault.
        assert artifact.accuracy.agreement > 0.98
        assert artifact.accuracy.mean_dice is not None
        assert f"{100 * artifact.accuracy.mean_dice:.2f}" in text
        assert artifact.sha256 in text
    assert "](samples.png)" in text
    assert "## Dice against latency\n\n![" in text
    assert "](pareto.svg)" in text
    drawn = (done.run / "pareto.svg").read_text()
    assert {name.removeprefix("model.") for name in MODELS} == set(re.findall(r'id="point (.*?)"', drawn))
    assert "Validation Dice (float " in text


def test_the_documents_name_every_model_file_and_nothing_of_this_machine(done: Done) -> None:
    hashes = {artifact.file: artifact.sha256 for artifact in read_manifest(done.run).artifacts}
    card, sbom = done.run / "model_card.md", done.run / "sbom.cdx.json"
    assert read_card_hashes(card.read_text()) == hashes
    assert read_sbom(sbom) == list_materials(read_manifest(done.run))
    for text in (card.read_text(), sbom.read_text()):
        assert "pictures" in text
        assert not [part for part in (str(done.data.parent), str(done.run)) if part in text]
    shown = open_session(done.run / "model.int8.tflite").run(picture(1))
    assert f"int8 [1, {SHAPE[0]}, {SHAPE[1]}, {shown.shape[2]}]" in card.read_text()


def test_github_shows_the_report(done: Done) -> None:
    assert done.summary.strip() == (done.run / "report.md").read_text().strip()


def test_a_device_predicts_from_it_without_tensorflow(done: Done, tmp_path: Path) -> None:
    image = tmp_path / "scan.png"
    Image.fromarray((255 * picture(30)[:, :, 0]).astype(np.uint8)).save(image)
    block = "import sys; sys.modules.update(dict.fromkeys(('tensorflow', 'tf_keras', 'keras', 'onnx', 'scipy', 'filelock')))\n"
    for name in ("model.int8.tflite", "model.int8.onnx"):
        out = tmp_path / name
        code = f"{block}from u3p_edge.cli.main import main; main()"
        ended = run_process("predict", done.run / name, image, "--out", out, code=code)
        assert ended.code == 0, ended.err
        with Image.open(out / "scan.png") as mask:
            assert (np.asarray(mask) == truth(30)).mean() > 0.9


# --- again


def test_the_same_export_is_not_done_twice(program: Program, copied: Done) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in copied.run.iterdir()}
    again = program(*copied.arguments)
    assert again.code == 0, again.err
    assert "held this very export already" in again.out
    assert {path.name: path.stat().st_mtime_ns for path in copied.run.iterdir()} == before


@pytest.mark.slow  # tests/test_crash_consistency.py kills an export at its file operations
def test_what_is_not_whole_is_done_again_and_nothing_stale_stays(program: Program, copied: Done) -> None:
    (copied.run / "mine.txt").write_text("kept")
    arguments = (*copied.arguments, "--no-int8", "--formats", "tflite")
    models = ["model.float32.tflite", REFERENCE]
    expected = sorted(["manifest.json", "mine.txt", *models, REWRITES, *REPORTS])

    def made_again(*more: object) -> bool:
        ended = program(*arguments, *more)
        assert ended.code == 0, ended.err
        assert sorted(path.name for path in copied.run.iterdir()) == expected, "no int8 or ONNX file of the export before"
        assert sorted(a.file for a in read_manifest(copied.run).artifacts) == models
        return FIRST_STAGE in ended.err

    assert made_again(), "another export than the one that lay there"
    assert not made_again()
    (copied.run / "report.md").unlink()
    assert made_again()
    (copied.run / "model.float32.tflite").write_bytes(b"TFL3")
    assert made_again()
    assert made_again("--force")
    models, expected = ["model.float32.tflite"], sorted(["manifest.json", "mine.txt", "model.float32.tflite", *REPORTS])
    assert made_again("--no-rewrite")


def test_a_dry_run_says_the_plan_and_writes_nothing(program: Program, done: Done, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = program("export", done.source, "--int8", "--data", done.data, "--out", out, "--dry-run")
    assert ended.code == 0
    assert "48x64x1" in ended.out
    assert "6 train, 3 val, 3 test images" in ended.out
    assert not out.exists()


def test_what_fails_verification_is_not_left(program: Program, done: Done, tmp_path: Path) -> None:
    failed = program(*dataclasses.replace(done, run=tmp_path).arguments, "--min-sqnr", 200)
    assert failed.code == 1
    last = failed.err.strip().splitlines()[-1]
    assert last.startswith("u3p-edge: verification failed, so no file was left under its final name: model.int8.tflite: its")
    assert "model.int8.onnx: its signal" in last
    assert "Traceback" not in failed.err
    assert list(tmp_path.iterdir()) == []


# --- options


def test_formats_numbers_and_float_ports(program: Program, done: Done, tmp_path: Path) -> None:
    options = ("--formats", "tflite", "--float16", "--float-io", "--ptq", "--no-rewrite")
    ended = program(*dataclasses.replace(done, run=tmp_path).arguments, *options)
    assert ended.code == 0, ended.err
    models = ["model.float16.tflite", "model.float32.tflite", "model.int8.tflite"]
    assert left_in(tmp_path) == sorted(["manifest.json", *models, NETWORK, CHOICE, *REPORTS])
    sizes = [(tmp_path / name).stat().st_size for name in models]
    assert max(sizes) == sizes[1]
    from ai_edge_litert.interpreter import Interpreter

    for folder, wanted in ((tmp_path, np.float32), (done.run, np.int8)):
        interpreter = Interpreter(str(folder / "model.int8.tflite"))
        ports = (*interpreter.get_input_details(), *interpreter.get_output_details())
        assert [port["dtype"] for port in ports] == [wanted, wanted]


@pytest.mark.slow  # test_lock.py trains in an export, and test_int8_choice.py has the choice
def test_training_is_never_worse_than_post_training(program: Program, done: Done, splits: ExportData, tmp_path: Path) -> None:
    ended = program(*dataclasses.replace(done, run=tmp_path).arguments, "--qat-epochs", 1, "--formats", "tflite")
    assert ended.code == 0, ended.err
    assert "Train under fake quantization" in ended.err
    note = next(line for line in (tmp_path / "report.md").read_text().splitlines() if "Validation Dice" in line)
    assert "quantization-aware training" in note
    val = percentile(splits.val)
    trained, post = (mean_dice(file_scores(folder / "model.int8.tflite", val, silent)) for folder in (tmp_path, done.run))
    assert "kept: post-training" in (done.run / "report.md").read_text()
    assert trained >= post


def percentile(arrays: Arrays) -> Arrays:
    """The pictures as an export of a Keras file prepares them; they lie in 0..1 already."""
    from u3p_edge.data.preprocess import preprocess

    images = np.stack([preprocess(image, Preprocessing(*SHAPE)) for image in arrays.images])
    return dataclasses.replace(arrays, images=images)


def test_a_training_runs_manifest_entries_stay(done: Done, copied: Done) -> None:
    from u3p_edge.files.atomic import write_bytes
    from u3p_edge.manifest import describe, write_manifest

    write_bytes(copied.run / "model.safetensors", b"weights")
    own = describe(copied.run / "model.safetensors", "safetensors")
    write_manifest(copied.run, read_manifest(copied.run).with_artifact(own))
    recipe = make_recipe(int8=False, formats=("tflite",), rewrite=False, rounds=5)
    export(done.source, done.data, copied.run, recipe, progress=silent)
    assert [a.file for a in read_manifest(copied.run).artifacts] == ["model.safetensors", "model.float32.tflite"]
