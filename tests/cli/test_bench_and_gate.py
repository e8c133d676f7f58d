"""`bench` measures and saves, `gate` compares and says it by its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from tests.support.sample_results import result
from tests.support.small_artifacts import Zoo, picture, truth
from u3p_edge.benchmark.result_file import read_result, save_result
from u3p_edge.cli.bench import bench, command_line, show
from u3p_edge.cli.gate import gate
from u3p_edge.errors import ArtifactError, ConfigError, DataError, ModelError
from u3p_edge.report.github import VARIABLE

QUICK = ("--threads", "1", "--rounds", "5", "--memory", "0")


def run(command: Callable[..., object], *arguments: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    # Wide enough that rich folds no cell in two.
    return CliRunner(env={"COLUMNS": "240"}).invoke(app, [str(a) for a in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures with truth; two of them are the test split."""
    root = tmp_path / "pictures"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    rows = ["name,patient,split"]
    for seed in range(6):
        Image.fromarray((255 * picture(seed)[:, :, 0]).astype(np.uint8)).save(root / "images" / f"p{seed}.png")
        Image.fromarray(truth(seed)).save(root / "masks" / f"p{seed}.png")
        rows.append(f"p{seed},{seed},{'test' if seed > 3 else 'train'}")
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root


def test_it_writes_a_page_and_figures_for_a_history(zoo: Zoo, tmp_path: Path) -> None:
    page, figures, saved = tmp_path / "r.html", tmp_path / "f.json", tmp_path / "r.json"
    models = [zoo.path(kind) for kind in ("float32.tflite", "int8.tflite")]
    done = run(bench, *models, *QUICK, "--report", page, "--github-benchmark", figures, "--save", saved)
    assert done.exit_code == 0, done.exception
    size = read_result(saved).artifacts[1].bytes
    assert f">{size / 1e6:.2f} MB</td>" in page.read_text()
    values = {entry["name"]: entry["value"] for entry in json.loads(figures.read_text())}
    assert values["model.int8.tflite: size"] == size / 1e6


def test_it_prints_and_saves_and_reports(zoo: Zoo, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "summary.md"))
    saved, report = tmp_path / "new" / "r.json", tmp_path / "r.md"
    models = [zoo.path(kind) for kind in ("int8.tflite", "float32.tflite")]
    done = run(bench, *models, "--data", folder, *QUICK, "--save", saved, "--report", report)
    assert done.exit_code == 0, done.exception
    result = read_result(saved)
    assert result.reference == "model.float32.tflite", "the first float file, though it was named second"
    assert result.data is not None
    assert (result.data.name, result.data.split, result.data.images, result.data.groups) == ("pictures", "test", 2, 2)
    assert "model.int8.tflite" in done.output
    assert "99." in done.output
    assert (tmp_path / "summary.md").read_text().startswith("# u3p-edge bench")
    assert report.read_text().startswith("# u3p-edge bench")
    assert str(tmp_path) not in report.read_text().replace(result.command, "")


@pytest.mark.parametrize(("width", "single_classes"), [(80, False), (200, True)])
def test_the_table_fits_the_terminal(
    width: int, single_classes: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    show(result(dice=0.88, relative=0.5))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    row = next(line for line in lines if "int8.tflite " in line)
    # Every figure in one piece on one line: mean Dice .87 as made up, label agreement, both ratios, memory and size.
    for figure in ("87.00", "99.87 %", "×0.50", "80 MB", "1.00 MB"):
        assert figure in row
    assert row.count("×0.50") == row.count(" ms ") == 2
    assert any("Dice left" in line for line in lines) == single_classes


def test_json_is_all_that_is_printed(zoo: Zoo) -> None:
    done = run(bench, zoo.path("float32.onnx"), *QUICK, "--json")
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout)["reference"] == "model.float32.onnx"


def test_the_reference_can_be_named(zoo: Zoo) -> None:
    models = [zoo.path("float32.tflite"), zoo.path("float32.onnx")]
    done = run(bench, *models, *QUICK, "--reference", "model.float32.onnx", "--json")
    assert json.loads(done.stdout)["reference"] == "model.float32.onnx"
    assert isinstance(run(bench, *models, *QUICK, "--reference", "other").exception, ConfigError)


def test_what_cannot_be_measured_is_named(zoo: Zoo, folder: Path, tmp_path: Path) -> None:
    model = zoo.path("int8.tflite")
    for arguments, kind, said in (
        ([tmp_path / "absent.tflite"], ModelError, "absent.tflite does not exist"),
        ([model, "--data", tmp_path / "nowhere"], DataError, "nowhere"),
        ([model, "--data", folder, "--split", "val"], DataError, "'val'"),
        ([model, "--save", folder / "split.csv" / "r.json"], ArtifactError, "split.csv"),
    ):
        done = run(bench, *arguments, *QUICK)
        assert isinstance(done.exception, kind), done.exception
        assert said in str(done.exception)
    (folder / "masks" / "p5.png").unlink()
    assert isinstance(run(bench, model, "--data", folder, *QUICK).exception, DataError)


def test_the_home_folder_stays_out_of_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert command_line(["/x/u3p-edge", "bench", "/home/somebody/a b.onnx"]) == "u3p-edge bench '~/a b.onnx'"


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    path = tmp_path / "baseline.json"
    save_result(path, result())
    return path


def kept(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "current.json"
    save_result(path, result(**changes))
    return path


def test_gate_passes(baseline: Path, tmp_path: Path) -> None:
    done = run(gate, baseline, kept(tmp_path, seed=5, slowness=3.0))
    assert done.exit_code == 0, done.output
    assert "passed" in done.output


def test_gate_fails_and_says_where(baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "summary.md"))
    current, xml = kept(tmp_path, dice=0.895), tmp_path / "gate.xml"
    done = run(gate, baseline, current, "--junit", xml)
    assert done.exit_code == 1
    assert "mean Dice 89.00 -> 88.50" in done.output
    assert ElementTree.parse(xml).getroot().get("failures") == "1"
    assert "❌ regressed" in (tmp_path / "summary.md").read_text()
    assert run(gate, baseline, current, "--max-drop", "0.6").exit_code == 0
    assert run(gate, baseline, current, "--only", "size", "--only", "memory").exit_code == 0


@pytest.mark.parametrize(
    ("changes", "loose"),
    [
        ({"peak": 100.0}, ("--max-memory", "30")),
        ({"size": 1_200_000}, ("--max-size", "30")),
    ],
)
def test_every_tolerance_is_an_option_in_percent(
    baseline: Path, tmp_path: Path, changes: dict[str, float], loose: tuple[str, str]
) -> None:
    current = kept(tmp_path, **changes)
    assert run(gate, baseline, current).exit_code == 1
    assert run(gate, baseline, current, *loose).exit_code == 0


def test_gate_says_what_it_cannot_compare(baseline: Path, tmp_path: Path) -> None:
    current = kept(tmp_path)
    text = current.read_text().replace("Some CPU", "Another CPU")
    current.write_text(text)
    done = run(gate, baseline, current)
    assert done.exit_code == 3
    assert "processors differ" in done.output
    assert run(gate, baseline, current, "--only", "accuracy").exit_code == 0


def test_bad_input_is_neither_pass_nor_fail(baseline: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text("{}")
    for other in ("absent.json", "odd.json"):
        done = run(gate, baseline, tmp_path / other)
        assert isinstance(done.exception, ArtifactError)
        assert done.exception.exit_code == 2


def test_budgets_and_strictness_are_options(baseline: Path, tmp_path: Path) -> None:
    current, xml = kept(tmp_path), tmp_path / "gate.xml"
    assert run(gate, baseline, current, "--max-ms", "60", "--max-mb", "2", "--max-peak-mb", "90").exit_code == 0
    for budget in (("--max-ms", "10"), ("--max-mb", "0.5"), ("--max-peak-mb", "70")):
        done = run(gate, baseline, current, *budget)
        assert done.exit_code == 1
        assert "is allowed" in done.output
    undecided = kept(tmp_path, peak=87.9)  # between 9.6 and 10.1 % more
    assert run(gate, baseline, undecided).exit_code == 4
    done = run(gate, baseline, undecided, "--strict", "--junit", xml)
    assert done.exit_code == 1
    assert "--strict" in done.output
    assert ElementTree.parse(xml).getroot().get("failures") == "1", "of int8, the float file is as it was"


def test_the_files_of_a_shells_star_are_compared_with_an_exports_report(zoo: Zoo, folder: Path, tmp_path: Path) -> None:
    """The documented way, on a device with one runtime, against a result with both, in an order that puts ONNX first."""
    exported, device = tmp_path / "report.json", tmp_path / "device.json"
    options = ("--data", folder, "--threads", "1", "--rounds", "10", "--memory", "0")
    kinds = ("float32.onnx", "float32.tflite", "int8.onnx", "int8.tflite")
    assert run(bench, *(zoo.path(kind) for kind in kinds), *options, "--save", exported).exit_code == 0
    assert run(bench, zoo.path("float32.tflite"), zoo.path("int8.tflite"), *options, "--save", device).exit_code == 0
    done = run(gate, exported, device, "--only", "accuracy", "--only", "size", "--only", "latency")
    assert done.exit_code == 0, done.output
    assert done.output.count("missing") == 2
    assert "model.int8.onnx" in done.output


def test_bench_goes_on_until_its_ratios_are_certain(zoo: Zoo, tmp_path: Path) -> None:
    saved = tmp_path / "r.json"
    options = ("--threads", "1", "--rounds", "5", "--memory", "0", "--save", saved)
    models = (zoo.path("float32.tflite"), zoo.path("int8.tflite"))
    # So sure it cannot be: the time ends it, and that is said.
    done = run(bench, *models, *options, "--precision", "0.1", "--seconds", "0.5")
    assert done.exit_code == 0, done.output
    assert "is certain to" in done.output
    assert len(read_result(saved).artifacts[0].latencies[0].samples_ms) > 5


def test_a_real_run_passes_its_own_gate(zoo: Zoo, folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "r.json"
    options = ("--data", folder, "--threads", "1", "--rounds", "5", "--memory", "1", "--save", saved)
    assert run(bench, zoo.path("float32.onnx"), zoo.path("int8.onnx"), *options).exit_code == 0
    assert run(gate, saved, saved).exit_code == 0
