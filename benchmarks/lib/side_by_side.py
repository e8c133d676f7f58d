"""The trained reference of a data set, and the comparison of networks that were made from it, side by side in one run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from benchmarks.lib.commands import run_program
from benchmarks.lib.controls import Case
from benchmarks.lib.environment import BENCHMARKS
from benchmarks.lib.networks import MB
from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.statistics import Interval, quartiles, ratio
from u3p_edge.benchmark.suite import EvaluationData, Measured, Settings, measure
from u3p_edge.files.atomic import make_folder
from u3p_edge.pipeline.data import read_export_data
from u3p_edge.pipeline.source import read_source
from u3p_edge.progress import Progress
from u3p_edge.training.recipe import read_train_recipe

REFERENCE = "reference.float32.tflite"


def train_case(data: Path, runs: Path, against: str) -> Case:
    """Train the reference of a data set, if that is not done yet."""
    recipe = BENCHMARKS / "recipes" / "base16" / f"{data.name}.toml"
    folder = runs / data.name
    run_program("train", data, "--out", folder / "train", "--recipe", recipe)
    return Case(data, folder, read_train_recipe(recipe), against)


def compare(
    one: Case, made: Mapping[str, Path], rounds: int, command: str, progress: Progress
) -> tuple[Measured, dict[str, Interval]]:
    """Measure all int8 files and the float reference in one run, on the validation split; also return what each loses."""
    folder = one.runs / "compared"
    make_folder(folder)
    shutil.copyfile(made["exact"] / REFERENCE, folder / REFERENCE)
    for name, run in made.items():
        shutil.copyfile(run / "model.int8.tflite", folder / f"{name}.int8.tflite")
    source = read_source(one.trained)
    data = read_export_data(one.data, source.metadata, progress)
    paths = [folder / REFERENCE, *(folder / f"{name}.int8.tflite" for name in made)]
    measured = measure(
        paths, reference=REFERENCE, data=EvaluationData(one.data.name, "val", data.val), command=command,
        settings=Settings(threads=(1,), rounds=rounds), progress=progress,
    )  # fmt: skip
    return measured, find_losses(measured.result)


def find_losses(result: RunResult) -> dict[str, Interval]:
    """Return the points of Dice that each file loses against the first, by its name."""
    before = result.artifacts[0].accuracy
    assert before is not None, "it was measured on data"
    return {a.name: loss for a in result.artifacts if a.accuracy and (loss := a.accuracy.loss_against(before))}


def table(result: RunResult, losses: Mapping[str, Interval]) -> str:
    """Return a table with one row for each network."""
    rows = [
        "| network | Dice | points lost (95 %) | ms | times faster (95 %) | file, MB | of float |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    first = result.artifacts[0]
    for a in result.artifacts:
        ms, loss = a.latencies[0].samples_ms, losses[a.name]
        gain = ratio(first.latencies[0].samples_ms, ms)
        dice = 0.0 if a.accuracy is None else 100 * (a.accuracy.mean_dice or 0.0)
        rows.append(
            f"| {a.name.removesuffix('.tflite')} | {dice:.2f} | {loss.estimate:+.2f} ({loss.low:+.2f} to {loss.high:+.2f}) "
            f"| {quartiles(ms).estimate:.2f} | {gain.estimate:.1f} ({gain.low:.1f}–{gain.high:.1f}) "
            f"| {a.bytes / MB:.3f} | 1/{first.bytes / a.bytes:.0f} |"
        )
    return "\n".join(rows)
