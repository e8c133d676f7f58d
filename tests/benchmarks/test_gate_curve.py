"""The curve of the gate's errors: drawn from rounds whose truth is known, and as it is kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.gate_curve import GATES, PLANTED, draw_curve, draw_gates, draw_measurement, render, slow_down
from docs.gen.results import RESULTS
from tests.support.simulated_rounds import draw_rounds
from u3p_edge.benchmark.checks import Outcome
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.paired_timing import GateTiming
from u3p_edge.benchmark.slowdown import estimate_slowdown
from u3p_edge.files.atomic import read_json

KEPT = sorted(RESULTS.glob("*/gate_curve/result.json"))


def simulated(count: int, spread: float) -> npt.NDArray[np.float64]:
    rounds = draw_rounds(3, count, spread=spread, drift=0.0)
    return np.array([rounds.baseline_ms, rounds.again_ms, rounds.current_ms]).T


def test_gates_of_a_file_against_itself_are_drawn_with_every_planted_slow_down() -> None:
    counts = draw_gates(simulated(200, 0.01), gates=8)
    assert tuple(counts) == PLANTED
    assert all(sum(one.values()) == 8 for one in counts.values())
    # Times of 1 % give ratios of 1.4 %, whose median over 100 rounds has an error of 0.2 %: eight of these are below 2 %.
    assert counts[1.0] == Counter(passed=8)
    assert counts[1.10] == Counter(regressed=8)


def test_a_planted_slow_down_moves_the_interval_as_slower_samples_would() -> None:
    rounds = draw_rounds(1, 40)
    slower = type(rounds)(rounds.baseline_ms, rounds.again_ms, tuple(1.05 * ms for ms in rounds.current_ms))
    actual, expected = slow_down(estimate_slowdown(rounds), 1.05).change, estimate_slowdown(slower).change
    # Sums of a few logarithms in float64, each off by 2^-53 of itself.
    assert (actual.estimate, actual.low, actual.high) == pytest.approx(
        (expected.estimate, expected.low, expected.high), rel=1e-12
    )


def test_a_measurement_ends_where_it_is_precise_or_with_the_rounds() -> None:
    rng = np.random.default_rng(0)
    precise, open_end = draw_measurement(simulated(200, 0.005), rng), draw_measurement(simulated(100, 0.5), rng)
    assert precise.in_time
    assert precise.uncertainty <= GateTiming().precision
    assert (open_end.in_time, open_end.blocks) == (False, 50)


def test_the_report_and_the_picture_show_each_recording() -> None:
    passing: Counter[Outcome] = Counter({"passed": GATES})
    rows = dict.fromkeys(PLANTED, passing)
    recording = {"segments": [[[1.0, 1.0, 1.0]]], "live": [], "load_average": [0.5, 0.7], "loops": 0}
    text = render({"idle": recording}, {"idle": rows}, describe_environment())
    assert "| idle | +5% | 0 (0.0%) | 0 (0.0%) | 500 (100.0%) |" in text
    assert draw_curve({"idle": rows}).startswith(b"\x89PNG")


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.parts[-3])
def test_kept_gates_hardly_ever_give_a_false_alarm_find_a_slow_down_and_never_pass_it(path: Path) -> None:
    value = read_json(path)
    assert value["outcomes"]
    for name, rows in value["outcomes"].items():
        assert all(sum(counts.values()) == value["gates"] >= 500 for counts in rows.values()), name
        assert rows["1.0"].get("regressed", 0) <= 2
        assert rows["1.05"].get("passed", 0) == rows["1.1"].get("passed", 0) == 0
        assert rows["1.05"].get("regressed", 0) >= 0.95 * value["gates"]
        assert rows["1.1"].get("regressed", 0) >= 0.99 * value["gates"]
