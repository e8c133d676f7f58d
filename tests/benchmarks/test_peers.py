"""The benchmark of peers: real peers side by side on a tiny network, rows that say why they failed, and whose turn it is."""

from __future__ import annotations

import dataclasses
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.lib.environment import RESULTS
from benchmarks.peers import float_tflite, onnxruntime_static, ours_students, tflite_ptq
from benchmarks.peers.comparison import Comparison, PeerResult, Timing, read_comparison, save_comparison
from benchmarks.peers.environments import python_of
from benchmarks.peers.measure import Task, measure_peers
from benchmarks.peers.peer import Material, PeerError
from benchmarks.peers.processes import make_file, variables_of
from benchmarks.peers.registry import PEERS
from benchmarks.peers.report import describe
from benchmarks.peers.rounds import time_workers
from tests.support.peer_tasks import make_task
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.result import DataInfo
from u3p_edge.latency.clock import order_round
from u3p_edge.progress import silent


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return make_task(tmp_path_factory.mktemp("peers"))


@pytest.fixture(scope="module")
def rows(task: Task) -> dict[str, PeerResult]:
    peers = [float_tflite.PEER, onnxruntime_static.PEER, ours_students.PRUNED]
    return {row.key: row for row in measure_peers(peers, task, (1, 2), 6, silent)}


def test_peers_are_measured_side_by_side(rows: dict[str, PeerResult]) -> None:
    reference, integer = rows["float_tflite"], rows["onnxruntime_static"]
    for row in (reference, integer):
        assert not row.failed
        assert [timing.threads for timing in row.timings] == [1, 2]
        assert all(len(timing.elapsed_ms) == len(timing.processor_ms) == 6 for timing in row.timings)
        assert 0 < row.baseline_mb < row.peak_mb
        assert len(row.dice) == 7
        assert row.versions
    # 3.5 kB of kernels: a byte each in int8 and four in float32, beside the description of some 25 operators.
    assert 0 < integer.file_bytes != reference.file_bytes > 3500


def test_a_peer_computes_the_network_it_was_given(rows: dict[str, PeerResult]) -> None:
    """Dice of int8 is that of float up to rounding: on 7 x 1024 pixels of an untrained network a few labels may differ."""
    reference, integer = rows["float_tflite"], rows["onnxruntime_static"]
    np.testing.assert_allclose(integer.scores, reference.scores, atol=0.1)


def test_a_peer_that_fails_is_a_row_with_its_message(rows: dict[str, PeerResult]) -> None:
    row = rows["ours_pruned"]
    assert "pruned_1x is not trained: run `python -m benchmarks.students`" in row.failed
    assert not row.timings


def test_the_message_of_a_peer_that_breaks_is_its_last_line_without_folders(task: Task, tmp_path: Path) -> None:
    broken = Material(tmp_path / "material")
    broken.folder.mkdir()
    broken.onnx.write_bytes(b"no network")
    np.save(broken.folder / "calibration_images.npy", task.test.images)
    with pytest.raises(PeerError) as caught:
        make_file(onnxruntime_static.PEER, python_of(onnxruntime_static.PEER, tmp_path), broken, tmp_path)
    assert "Error" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_reference_that_fails_ends_the_run(task: Task) -> None:
    with pytest.raises(PeerError, match="the reference, failed: pruned_1x is not trained"):
        measure_peers([ours_students.PRUNED], task, (1,), 5, silent)


def test_packages_that_cannot_be_installed_are_the_message(tmp_path: Path) -> None:
    nowhere = dataclasses.replace(float_tflite.PEER, key="none", packages=(f"{tmp_path}/missing.whl",), isolated=True)
    with pytest.raises(PeerError, match=r"^pip: .*missing\.whl"):
        python_of(nowhere, tmp_path)


def test_a_tool_of_a_peer_installs_nothing_into_this_environment(tmp_path: Path) -> None:
    """Some run pip by themselves: MNN's converter does."""
    variables = variables_of(tmp_path / "bin" / "python")
    found = shutil.which("pip", path=variables["PATH"])
    assert found is None or Path(found).parent != Path(sys.executable).parent
    assert variables["PIP_NO_INDEX"] == "1"


@pytest.mark.slow
def test_the_converters_default_quantization_keeps_the_masks(task: Task) -> None:
    reference, integer = measure_peers([float_tflite.PEER, tflite_ptq.PEER], task, (1,), 5, silent)
    assert not integer.failed
    np.testing.assert_allclose(integer.scores, reference.scores, atol=0.1)


class Turns:
    """Stands where a process does, and writes down whose turn it is; it may end after some turns."""

    def __init__(self, name: str, asked: list[str], turns: int = 1000) -> None:
        self.name, self.asked, self.left = name, asked, iter(range(turns))

    def request(self, **_values: Any) -> dict[str, float]:
        if next(self.left, None) is None:
            raise PeerError(f"{self.name} is gone")
        self.asked.append(self.name)
        return {"elapsed_ms": 1.0, "processor_ms": 0.5}


def test_rounds_are_interleaved_and_a_process_that_ends_is_left_out() -> None:
    asked: list[str] = []
    workers: Any = {(name, 1): Turns(name, asked, 3 if name == "b" else 1000) for name in "abc"}
    taken = time_workers(workers, 4)
    order = ["abc"[index] for number in range(4) for index in order_round(number, 3)]
    alive = [name for name, turn in zip(order, _turns_of(order), strict=True) if name != "b" or turn < 2]
    assert asked == ["a", "b", "c", *alive]  # each once before, which tells about how long it takes
    assert taken.timings == {(name, 1): Timing(1, (1.0,) * 4, (0.5,) * 4) for name in "ac"}
    assert str(taken.failed["b", 1]) == "b is gone"


def _turns_of(order: list[str]) -> Iterator[int]:
    for index, name in enumerate(order):
        yield order[:index].count(name)


def result(key: str, ms: float, dice: float, size: int, *, ours: bool = False) -> PeerResult:
    scores = tuple((1.0, dice + 0.01 * number) for number in range(8))
    timings = (Timing(1, (9 * ms,) * 5, (ms,) * 5), Timing(2, (2 * ms,) * 5, (ms / 2,) * 5))
    return PeerResult(
        key,
        key,
        "LiteRT",
        ours,
        versions={"x": "1"},
        file_bytes=size,
        baseline_mb=1.0,
        peak_mb=ms,
        dice=scores,
        timings=timings,
    )


def comparison(*peers: PeerResult) -> Comparison:
    data = DataInfo("discs", "test", 8, 8, "", tuple("abcdefgh"), tuple("abcdefgh"))
    return Comparison("python -m benchmarks.peers discs", describe_environment(), data, peers)


def test_the_report_says_where_a_peer_is_ahead() -> None:
    text = describe(comparison(
        result("float", 40, 0.8, 4000), result("mine", 10, 0.8, 1000, ours=True), result("fast", 5, 0.7, 2000),
        result("exact", 20, 0.85, 500), PeerResult("odd", "odd", "none", False, failed="no wheel | here"),
    ))  # fmt: skip
    said = next(line for line in text.splitlines() if line.startswith("**mine.**"))
    assert "in time: fast (0.50 of its time, 0.50 to 0.50);" in said
    assert "in Dice: exact (5.00 points, 5.00 to 5.00);" in said
    assert "in memory: fast (4.0 MB); in size: exact (0 KB)" in said
    assert re.findall(r"^\| (\w+) \| \d", text, re.MULTILINE) == ["fast", "mine", "exact", "float"]  # fastest first
    assert r"| odd | no wheel \| here |" in text


def test_a_comparison_comes_back_from_its_file(tmp_path: Path) -> None:
    saved = comparison(result("float", 40, 0.8, 4000), PeerResult("odd", "odd", "none", False, failed="no"))
    save_comparison(tmp_path / "result.json", saved)
    assert read_comparison(tmp_path / "result.json") == saved


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/peers_*/result.json")), ids=lambda path: path.parent.name)
def test_a_kept_report_is_that_of_its_result(path: Path) -> None:
    assert path.with_name("report.md").read_text(encoding="utf-8") == describe(read_comparison(path))


def test_every_peer_has_a_key_of_its_own_and_pins_its_packages() -> None:
    assert len({peer.key for peer in PEERS}) == len(PEERS)
    assert all(">=" in package and "<" in package.split(">=")[1] for peer in PEERS for package in peer.packages)
