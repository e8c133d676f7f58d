"""The public names of the package: complete, lazy, typed; and every stage called from a script."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import u3p_edge as u3p
from tests.support.paths import REPOSITORY

PACKAGE = REPOSITORY / "u3p_edge"
API_MODULES = ("session", "network", "measurement")

SCRIPT = """
import u3p_edge as u3p

def export_all(folder: str) -> list[str]:
    result: u3p.ExportResult = u3p.export("run", data=folder, out="exported", recipe="balanced", speedup=20)
    return [artifact.name for artifact in result.result.artifacts]

def by_stage(images: "object") -> int:
    model = u3p.load("run")
    network = u3p.quantize(u3p.rewrite(u3p.from_keras(model)), images)  # error: not an array
    u3p.write_tflite(network, "model.tflite", model.metadata)
    return u3p.open_session("model.tflite").predict("scan.png")  # error: labels, not a number
"""


def test_all_names_every_public_function_of_the_api_and_each_can_be_imported() -> None:
    functions = set()
    for name in API_MODULES:
        module = importlib.import_module(f"u3p_edge.api.{name}")
        functions |= {
            member
            for member, value in vars(module).items()
            if not member.startswith("_") and getattr(value, "__module__", "") == module.__name__
        }
    assert functions <= set(u3p.__all__)
    runs = {"train", "prune", "export", "predict", "bench", "gate", "inspect", "check_data"}
    assert {"load", "rewrite", "quantize", "write_tflite", "write_onnx", "open_session"} <= functions
    assert runs <= set(u3p.__all__)
    assert [name for name in u3p.__all__ if getattr(u3p, name) is None] == []


def test_every_public_name_says_what_it_is() -> None:
    assert [name for name in u3p.__all__ if not inspect.getdoc(getattr(u3p, name))] == []


def test_a_public_name_stays_what_it_is_when_modules_are_imported() -> None:
    """The import of a module of that name would put the module in its place."""
    assert {module.name for module in pkgutil.iter_modules([str(PACKAGE)])}.isdisjoint(u3p.__all__)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, u3p_edge; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert not {"tensorflow", "tf_keras", "numpy", "scipy", "onnx", "typer", "PIL"} & set(done.stdout.split())


def test_a_script_of_a_user_is_checked_with_the_types_of_the_package(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--config-file",
        str(REPOSITORY / "pyproject.toml"),
    ]
    done = subprocess.run([*command, str(script)], cwd=REPOSITORY, check=False, capture_output=True, text=True)
    wrong = [number for number, line in enumerate(SCRIPT.splitlines(), 1) if "# error" in line]
    result = [int(line.split(":")[1]) for line in done.stdout.splitlines() if "script.py" in line and ": error:" in line]
    assert result == wrong, done.stdout


def test_nothing_prints_or_reads_the_terminal_below_the_command_line() -> None:
    # The child process that measures memory answers its parent; the other keeps LiteRT's own messages off standard error.
    allowed = {PACKAGE / "benchmark" / "memory_probe.py", PACKAGE / "runtime" / "tflite.py"}
    result = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.is_relative_to(PACKAGE / "cli") or path in allowed:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "input"):
                result.append(f"{path.name}:{node.lineno}")
            if (
                isinstance(node, ast.Attribute)
                and node.attr in ("stdout", "stderr", "stdin")
                and ast.unparse(node.value) == "sys"
            ):
                result.append(f"{path.name}:{node.lineno}")
    assert result == []


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of bright discs on noise, 32x32: 8 to train on, 4 to validate on."""
    root = tmp_path_factory.mktemp("scans")
    (root / "images").mkdir()
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    rows = ["file,split"]
    for number in range(12):
        disc = (y - rng.integers(10, 22)) ** 2 + (x - rng.integers(10, 22)) ** 2 < 49
        image = np.where(disc, 170, 60) + rng.normal(0, 12, (32, 32))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{number}.png")
        Image.fromarray((disc * 255).astype(np.uint8)).save(root / "masks" / f"{number}.png")
        rows.append(f"{number},{'train' if number < 8 else 'val'}")
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def run(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("train") / "run"
    u3p.train(
        scans,
        out,
        base_width=4,
        size=(32, 32),
        epochs=6,
        batch_size=2,
        learning_rate=1e-2,
        augment=False,
        deep_supervision=False,
    )
    return out


@pytest.fixture(scope="module")
def written(run: Path, scans: Path) -> Path:
    """The folder of files that the stages wrote, called one by one as the documentation shows."""
    model = u3p.load(run)
    images = u3p.calibration_images(scans, model.metadata, 6)
    assert images.shape == (6, 32, 32, 1), "of the 8 images to train on"
    graph = u3p.rewrite(u3p.from_keras(model), target="tflite-int8")
    network = u3p.quantize(graph, calibration=images)
    for number, value in (("float32", graph), ("int8", network)):
        u3p.write_tflite(value, run / f"model.{number}.tflite", model.metadata)
        u3p.write_onnx(value, run / f"model.{number}.onnx", model.metadata)
    return run


@pytest.mark.parametrize("name", ["model.int8.tflite", "model.int8.onnx", "model.float32.tflite", "model.float32.onnx"])
def test_a_network_written_stage_by_stage_predicts_like_the_float_model(written: Path, scans: Path, name: str) -> None:
    image, truth = scans / "images" / "10.png", np.asarray(Image.open(scans / "masks" / "10.png")) > 0
    mask = u3p.open_session(written / name).predict(image)
    assert mask.shape == (32, 32)
    # A disc of radius 7 on 32x32: one ring of its outline is a fifth of its area, so Dice of a mask one pixel off is above 0.8.
    assert 2 * np.sum((mask > 0) & truth) / (np.sum(mask > 0) + np.sum(truth)) > 0.8


def test_a_file_without_metadata_of_its_own_gets_the_defaults_of_training(run: Path, tmp_path: Path) -> None:
    model = u3p.load(run)
    path = u3p.write_tflite(u3p.from_keras(model.model), tmp_path / "plain.tflite")
    metadata = u3p.open_session(path).metadata
    assert metadata == u3p.default_metadata_of(model.graph)
    assert metadata.preprocessing == model.metadata.preprocessing
    assert metadata.channels_out == 1


def test_results_are_measured_and_compared_from_a_script(written: Path, scans: Path) -> None:
    files = [written / "model.float32.tflite", written / "model.int8.tflite"]
    result = u3p.bench(files, scans, split="val", settings=u3p.Settings(rounds=5, memory_repeats=1))
    assert [artifact.accuracy is not None for artifact in result.artifacts] == [True, True]
    verdict = u3p.gate(result, result)
    assert verdict.outcome in ("passed", "inconclusive")  # five rounds may be too few to decide on a busy machine
    assert all(check.outcome == "passed" for check in verdict.checks if check.what == "accuracy")


def test_an_option_of_a_recipe_is_a_keyword_and_an_unknown_one_is_refused(scans: Path, tmp_path: Path) -> None:
    assert u3p.build_recipe("balanced", max_drop=0.3).max_drop == 0.3
    with pytest.raises(u3p.U3pEdgeError, match="no option 'speedupp'"):
        u3p.export(data=scans, out=tmp_path / "out", speedupp=3)
    assert not (tmp_path / "out").exists()


def test_masks_of_a_folder_are_written(written: Path, scans: Path, tmp_path: Path) -> None:
    done = u3p.predict(written / "model.int8.tflite", [scans / "images"], tmp_path / "masks")
    assert len(done.predicted) == 12
    assert len(list((tmp_path / "masks").iterdir())) == 12


def test_data_and_models_can_be_looked_into(written: Path, scans: Path) -> None:
    assert u3p.check_data(scans).problems == ()
    assert u3p.inspect(written / "model.int8.tflite").number == "int8"
