"""Results are strict values with an exact JSON form."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.paths import REPOSITORY
from tests.support.sample_results import result
from u3p_edge.benchmark.result import Accuracy, Distances, Latency, Memory, RunResult
from u3p_edge.benchmark.result_file import read_result, save_result
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.atomic import read_json


@settings(max_examples=30, deadline=None)  # the machine is shared
@given(
    relative=st.floats(1e-3, 1e3),
    dice=st.floats(0.2, 1),
    peak=st.floats(1, 1e5),
    size=st.integers(0, 10**9),
    bare=st.booleans(),
)
def test_json_brings_it_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, relative: float, dice: float, peak: float, size: int, bare: bool
) -> None:
    value = result(relative=relative, dice=dice, peak=peak, size=size)
    if bare:
        artifacts = tuple(dataclasses.replace(a, memory=None, accuracy=None, latencies=()) for a in value.artifacts)
        value = dataclasses.replace(value, artifacts=artifacts, data=None)
    path = tmp_path_factory.mktemp("result") / "result.json"
    save_result(path, value)
    assert read_result(path) == value


def test_covariates_are_one_a_sample_or_none(tmp_path: Path) -> None:
    value = result()
    timed = Latency(2, (1.0, 2.0), (110.0, 300.0))
    only = dataclasses.replace(value.artifacts[0], latencies=(timed,))
    save_result(tmp_path / "result.json", dataclasses.replace(value, artifacts=(only,)))
    assert read_result(tmp_path / "result.json").artifacts[0].latencies == (timed,)
    with pytest.raises(ConfigError, match="for each sample, or none"):
        Latency(2, (1.0, 2.0), (110.0,))
    with pytest.raises(ConfigError, match="NaN"):
        Latency(2, (1.0,), (float("nan"),))


def test_a_result_of_version_1_is_read(tmp_path: Path) -> None:
    value, path = result(), tmp_path / "result.json"
    only = dataclasses.replace(value.artifacts[0], latencies=(Latency(2, (1.0, 2.0), (110.0, 300.0)),))
    value = dataclasses.replace(value, artifacts=(only,))
    save_result(path, value)
    text = path.read_text()
    assert '"schema": 4' in text
    path.write_text(text.replace('"schema": 4', '"schema": 1').replace('"covariate"', '"handoff_ns"'))
    assert read_result(path) == value
    path.write_text(path.read_text().replace('"latencies"', '"lateness"'))
    with pytest.raises(ArtifactError, match="is not a benchmark result"):
        read_result(path)


def test_every_kept_result_is_read() -> None:
    files = [*REPOSITORY.glob("benchmarks/results/*/*/report.json"), *REPOSITORY.glob("benchmarks/results/*/*/result.json")]
    kept = [path for path in files if "artifacts" in read_json(path)]  # others are of benchmarks with records of their own
    assert len(kept) > 5
    assert all(read_result(path).threads for path in kept)


def test_distances_are_kept_and_a_result_without_them_is_still_read(tmp_path: Path) -> None:
    value, path = result(), tmp_path / "result.json"
    first = value.artifacts[0]
    assert first.accuracy is not None
    row = (None, 1.5, None)
    measured = dataclasses.replace(first.accuracy, distances=Distances(row, row, (row, row), (row, row)))
    artifacts = (dataclasses.replace(first, accuracy=measured), *value.artifacts[1:])
    save_result(path, dataclasses.replace(value, artifacts=artifacts))
    assert read_result(path).artifacts == artifacts
    older = json.loads(path.read_text())
    for entry in older["artifacts"]:
        del entry["accuracy"]["distances"]
    path.write_text(json.dumps(older))
    assert read_result(path) == value


def edited(path: Path, **changes: object) -> Path:
    save_result(path, result())
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 99}, "schema 99"),
        ({"extra": 1}, "no option 'extra'"),
        ({"artifacts": []}, "the reference one of them"),
        ({"reference": "absent"}, "the reference one of them"),
        ({"command": 3}, "command must be str"),
    ],
)
def test_another_form_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ArtifactError, match=rf"odd\.json is not a benchmark result.*{message}"):
        read_result(edited(tmp_path / "odd.json", **changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_no_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"odd\.json"):
        read_result(tmp_path / "odd.json")


def test_values_that_are_no_measurements_are_refused() -> None:
    nan = float("nan")
    for make in (
        lambda: Latency(1, (1.0, nan)),
        lambda: Latency(1, ()),
        lambda: Latency(1, (1.0, 0.0)),
        lambda: Memory((1.0,), ()),
        lambda: Memory((nan,), (1.0,)),
        lambda: Accuracy((nan,), (None,), 1.0),
    ):
        with pytest.raises(ConfigError):
            make()


def test_unpaired_rounds_are_refused() -> None:
    value = result()
    first, second = value.artifacts
    shorter = dataclasses.replace(second, latencies=(Latency(1, (1.0,) * 7),))
    with pytest.raises(ConfigError, match="same number of rounds at 1 thread"):
        dataclasses.replace(value, artifacts=(first, shorter))


def test_means_are_over_foreground_classes_that_exist() -> None:
    accuracy = Accuracy((0.5, 0.8, None, 0.6), (0.5, 0.4, None, 0.2), 1.0)
    assert accuracy.mean_dice == pytest.approx(0.7)
    assert accuracy.mean_iou == pytest.approx(0.3)


def test_reading_results_needs_no_runtime_and_no_tensorflow() -> None:
    code = (
        "import sys, u3p_edge.benchmark.result, u3p_edge.benchmark.compare;"
        "print({'tensorflow', 'tf_keras', 'ai_edge_litert', 'onnxruntime', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "set()"


def test_a_result_is_a_value() -> None:
    assert isinstance(result(), RunResult)
    assert result() == result()
