"""How often `u3p-edge gate` gives a false alarm, and how often it finds a slow-down of known size.

    python -m benchmarks.gate_curve --record idle
    python -m benchmarks.gate_curve --record busy --loops 2
    python -m benchmarks.gate_curve

With `--record` one file, an int8 UNet 3+ with random weights, is timed as the gate times two: three times in each round, as A,
A' and B, for `--seconds`, loaded anew every `SEGMENT` seconds. `--loops` other programs compute meanwhile. Then `--live` whole
gates run on the file against itself.

Without `--record` the kept recordings are drawn from. Each of `GATES` gates takes rounds in a row, from a random one on, until
they are as precise as the gate asks for, and half of the recording at most. The second measurement is of the other half. The
three samples change their parts at random. A slow-down is planted by multiplying the times of B, so that its size is known.

Kept in benchmarks/results/<processor>/gate_curve/: the recordings, result.json, report.md and gate_curve.png.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.lib.busy import busy_loops
from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.environment import describe_machine, results_folder
from u3p_edge.benchmark.checks import Outcome, Tolerances
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.paired_timing import CHECKED, GateTiming, time_pair, wants_precision
from u3p_edge.benchmark.result import Environment
from u3p_edge.benchmark.slowdown import (
    BLOCK,
    PairedRounds,
    Slowdown,
    check_slowdown,
    confirm_slowdown,
    estimate_slowdown,
)
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.config.plain import from_dict
from u3p_edge.files.atomic import read_json, write_bytes, write_json, write_text

WIDTH, SIZE = 4, 64
SEGMENT = 10.0
"""Seconds between two times that the file is loaded anew."""

GATES = 500
PLANTED = (1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.07, 1.10, 1.20)
"""Times of B as ratios to their own."""

LIMIT, TIMING = 1 + Tolerances().slowdown, GateTiming()
OUTCOMES: tuple[Outcome, ...] = ("regressed", "inconclusive", "passed")
MARKS: Mapping[Outcome, tuple[str, str]] = {"regressed": ("#d55e00", "o"), "passed": ("#0072b2", "s")}
"""Colours that the colour-blind tell apart (Okabe and Ito 2008), and markers."""

DIGITS = 5
"""Decimals of a millisecond that are kept: 10 nanoseconds."""


def main() -> None:
    """Record, or draw gates from what was recorded and write the report."""
    parser = make_parser(__doc__)
    parser.add_argument("--record", metavar="NAME", help="record under this name, e.g. idle or busy")
    parser.add_argument("--loops", type=int, default=0, help="other programs that compute beside a recording")
    parser.add_argument("--seconds", type=float, default=120, help="length of a recording")
    parser.add_argument("--live", type=int, default=30, help="whole gates that run after a recording")
    arguments = parser.parse_args()
    folder = results_folder("gate_curve")
    if arguments.record:
        record(folder, arguments)
    else:
        report(folder)


def record(folder: Path, arguments: argparse.Namespace) -> None:
    """Record rounds and run live gates; write both as JSON."""
    with tempfile.TemporaryDirectory() as temporary, busy_loops(arguments.loops):
        path = write_model(Path(temporary))
        loads = [os.getloadavg()[0]]
        segments = list(_segments(path, arguments.seconds))
        loads.append(os.getloadavg()[0])
        live = [_live_gate(path) for _ in range(arguments.live)]
        loads.append(os.getloadavg()[0])
    value = {
        "command": typed_command("gate_curve"),
        "environment": dataclasses.asdict(describe_environment()),
        "loops": arguments.loops,
        "load_average": [round(load, 2) for load in loads],
        "live": live,
        "segments": segments,
    }
    write_json(folder / f"{arguments.record}.json", value)
    print(f"{sum(map(len, segments))} rounds, load {loads}, live gates: {dict(Counter(gate['outcome'] for gate in live))}")


def write_model(folder: Path) -> Path:
    """Write the file that is timed."""
    from benchmarks.lib.networks import network  # loads TensorFlow
    from u3p_edge.conversion.tflite.writer import write_tflite
    from u3p_edge.latency.dummy_quantized import make_dummy_quantized

    graph, metadata = network(WIDTH, SIZE)
    path = folder / "model.int8.tflite"
    write_bytes(path, write_tflite(make_dummy_quantized(graph), metadata))
    return path


def _segments(path: Path, seconds: float) -> Iterator[list[list[float]]]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        taken = time_pair(path, path, 1, precision=None, seconds=SEGMENT)
        times = np.array([taken.baseline_ms, taken.again_ms, taken.current_ms]).T
        yield times[: len(times) // BLOCK * BLOCK].round(DIGITS).tolist()


def _live_gate(path: Path) -> dict[str, Any]:
    def measure() -> PairedRounds:
        return time_pair(path, path, 1, precision=TIMING.precision, seconds=TIMING.seconds / 2)

    start = time.monotonic()
    check = check_slowdown(measure, path.name, 1, LIMIT)
    return {"outcome": check.outcome, "reason": check.reason, "seconds": round(time.monotonic() - start, 2)}


def report(folder: Path) -> None:
    """Draw gates from every kept recording; write result.json, report.md and gate_curve.png."""
    recordings = {path.stem: read_json(path) for path in sorted(folder.glob("*.json")) if path.stem != "result"}
    if not recordings:
        raise SystemExit(f"{folder} has no recording: run with --record idle first")
    outcomes = {name: draw_gates(np.concatenate(value["segments"])) for name, value in recordings.items()}
    environment = from_dict(Environment, next(iter(recordings.values()))["environment"])
    kept = {name: {str(planted): dict(counts) for planted, counts in rows.items()} for name, rows in outcomes.items()}
    write_json(
        folder / "result.json",
        {
            "command": typed_command("gate_curve"),
            "environment": dataclasses.asdict(environment),
            "gates": GATES,
            "limit": LIMIT,
            "precision": TIMING.precision,
            "outcomes": kept,
        },
    )
    text = render(recordings, outcomes, environment)
    write_text(folder / "report.md", text)
    write_bytes(folder / "gate_curve.png", draw_curve(outcomes))
    print(text)


def draw_gates(rounds: npt.NDArray[np.float64], gates: int = GATES, seed: int = 0) -> dict[float, Counter[Outcome]]:
    """Return the outcomes of gates drawn from a recording, by the slow-down that is planted.

    Args:
        rounds: milliseconds, float64 [rounds, 3]; behind the last round comes the first.
        gates: number of gates; each is repeated with every slow-down.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    counts: dict[float, Counter[Outcome]] = {planted: Counter() for planted in PLANTED}
    for _ in range(gates):
        half = len(rounds) // (2 * BLOCK) * BLOCK
        turned = np.roll(rounds, BLOCK * int(rng.integers(len(rounds) // BLOCK)), axis=0)
        first, second = (draw_measurement(part, rng) for part in (turned[:half], turned[half : 2 * half]))
        for planted in PLANTED:
            outcome = confirm_slowdown(slow_down(first, planted), partial(slow_down, second, planted), LIMIT)
            counts[planted][outcome] += 1
    return counts


def draw_measurement(rounds: npt.NDArray[np.float64], rng: np.random.Generator) -> Slowdown:
    """Return what the first of these rounds show, as many as are as precise as the gate asks for.

    Args:
        rounds: milliseconds, float64 [rounds, 3].
        rng: draws which of the three is A, A' and B.
    """
    mixed = rounds[:, rng.permutation(3)]
    ends = sorted(count for count in CHECKED if count <= len(mixed))
    done = next((n for n in ends if not wants_precision(list(map(tuple, mixed[:n])), TIMING.precision)), None)
    first, again, current = (tuple(map(float, column)) for column in mixed[: done or len(mixed)].T)
    return estimate_slowdown(PairedRounds(first, again, current, in_time=done is not None))


def slow_down(shown: Slowdown, planted: float) -> Slowdown:
    """Return what the rounds would have shown if each time of B had been multiplied: intervals of logarithms just move."""
    change = shown.change
    return dataclasses.replace(shown, change=Interval(*(planted * x for x in (change.estimate, change.low, change.high))))


def render(
    recordings: Mapping[str, Any], outcomes: Mapping[str, Mapping[float, Counter[Outcome]]], environment: Environment
) -> str:
    """Return the report in Markdown."""
    lines = [
        "# How often the gate is wrong", "",
        f"{GATES} gates drawn from each recording; at most x{LIMIT:.2f} is allowed, to {TIMING.precision:.0%}.", "",
        "| recording | planted slow-down | regressed | inconclusive | passed |", "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name, rows in outcomes.items():
        for planted, counts in rows.items():
            cells = " | ".join(f"{counts[o]} ({counts[o] / GATES:.1%})" for o in OUTCOMES)
            lines.append(f"| {name} | {planted - 1:+.0%} | {cells} |")
    lines += [
        "", "What was recorded, and whole gates of the file against itself that ran after it:", "",
        "| recording | other programs | load average | segments | rounds | ms | live gates | regressed | inconclusive | passed "
        "| seconds of a gate, median and most |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name, value in recordings.items():
        segments, live = value["segments"], value["live"]
        counts, seconds = Counter(gate["outcome"] for gate in live), [gate["seconds"] for gate in live] or [0.0]
        load = " to ".join(f"{load:.1f}" for load in (min(value["load_average"]), max(value["load_average"])))
        lines.append(
            f"| {name} | {value['loops']} | {load} | {len(segments)} | {sum(map(len, segments))} "
            f"| {np.median(np.concatenate(segments)):.2f} | {len(live)} | {counts['regressed']} | {counts['inconclusive']} "
            f"| {counts['passed']} | {np.median(seconds):.1f}, {max(seconds):.1f} |"
        )
    return (
        "\n".join([*lines, "", f"Machine: {describe_machine(environment)}. Command: `{typed_command('gate_curve')}`."]) + "\n"
    )


def draw_curve(outcomes: Mapping[str, Mapping[float, Counter[Outcome]]]) -> bytes:
    """Return a picture: the share of gates that say regressed, and that pass, against the planted slow-down."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for (name, rows), style in zip(outcomes.items(), ("-", "--", ":", "-."), strict=False):
        slower = [100 * (planted - 1) for planted in rows]
        for outcome, (colour, marker) in MARKS.items():
            shares = [100 * counts[outcome] / GATES for counts in rows.values()]
            axes.plot(slower, shares, style, color=colour, marker=marker, label=f"{outcome}, {name}")
    axes.axvline(100 * (LIMIT - 1), color="#888888", linewidth=1)
    axes.set(xlabel="planted slow-down, percent", ylabel="percent of gates", ylim=(-3, 103))
    axes.legend(frameon=False)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120, metadata={"Software": None})
    return data.getvalue()


if __name__ == "__main__":
    main()
