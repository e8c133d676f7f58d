"""The tables of a study: its finalists, their differences at equal times, what the bars ask, and all that was trained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.lib.environment import describe_machine
from benchmarks.lib.networks import MB
from benchmarks.students.finish import FLOAT, INT8, Comparison, Measurement, int8_val
from benchmarks.students.quantize import Int8Student
from benchmarks.students.trained import Trained
from u3p_edge.benchmark.paired import estimate_loss
from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.statistics import Interval, quartiles, ratio
from u3p_edge.metrics import Scores, mean_over_foreground
from u3p_edge.recipes.recipe import QUANTIZATION_DROP
from u3p_edge.report.markdown import table

EQUAL = 0.5
"""Points of Dice that the interval of a loss may reach for two networks to count as equally good."""

Measurements = Mapping[str, Measurement]


def describe_study(
    title: str,
    result: RunResult,
    comparisons: Sequence[Comparison],
    measured: Measurements,
    trained: Sequence[Trained],
    files: Mapping[str, Sequence[Int8Student]],
) -> str:
    """Return the report of one data set."""
    data = result.data
    assert data is not None, "it was measured on data"
    seeds = sorted({seed for student in trained for seed in student.seeds})
    intro = (
        f"Dice is the mean over the foreground classes on the {data.split} split: {data.groups} patients or images that no "
        "choice has seen. Finalists are chosen by the validation Dice of their int8 files. Intervals are 95 % bootstraps over "
        f"patients, paired, of the mean over seeds ({', '.join(map(str, seeds))}). Every student learnt from the reference. "
        "All files are timed in one run, interleaved, at one thread. Networks are int8 by post-training quantization, or by "
        f"quantization-aware training where that lost more than {QUANTIZATION_DROP:g} points and training scored better; they "
        "are neither rewritten nor tiled."
    )
    machine = f"{describe_machine(result.environment)}, {', '.join(result.environment.features)}"
    parts = [
        f"# Students of a UNet 3+: {title}", intro,
        "## Finalists", _finalists(measured),
        "## At equal times", _differences(comparisons, measured),
        "## At equal Dice", _equal_dice(comparisons, measured),
        "## All students", _all_trained(trained, files),
        f"{machine}. Command: `{result.command}`.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def worst_tenth(dice: Scores) -> float:
    """Return the mean Dice, in percent, of the tenth of patients with the lowest mean over foreground classes.

    Args:
        dice: of every patient and class, background first, float64 [patients, classes]; NaN for a class in neither mask.

    >>> worst_tenth(np.array([[1.0, 0.5]] + 10 * [[1.0, 0.9]]))
    70.0
    """
    means = np.sort(np.nanmean(dice[:, 1:], axis=1))
    return 100 * float(np.mean(means[: math.ceil(len(means) / 10)]))


def is_equal(loss: Interval) -> bool:
    """Return whether the interval of a loss reaches at most `EQUAL` points."""
    return loss.high <= EQUAL


def _finalists(measured: Measurements) -> str:
    header = ("network", "Dice", "worst tenth", "points lost (95 %)", "ms", "times faster (95 %)", "file, KB", "memory, MB")
    reference, rows = measured[FLOAT], []
    for name, one in measured.items():
        memory, gain = one.artifact.memory, ratio(reference.samples_ms, one.samples_ms)
        peak = math.nan if memory is None else float(np.median(np.subtract(memory.peak_mb, memory.baseline_mb)))
        loss = _lost(reference, one)
        rows.append((
            name.removesuffix(".tflite"), _percent(one.dice), f"{worst_tenth(one.dice):.2f}", _points(loss),
            f"{quartiles(one.samples_ms).estimate:.2f}", f"{gain.estimate:.1f} ({gain.low:.1f} to {gain.high:.1f})",
            f"{one.artifact.bytes / 1000:.0f}", f"{peak:.1f}",
        ))  # fmt: skip
    return _table(header, rows)


def _differences(comparisons: Sequence[Comparison], measured: Measurements) -> str:
    """Return how far the best pruned shape of each budget is ahead of the others, and how much of their time it takes."""
    header = (
        "budget", "best of the shapes", "against", "points ahead (95 %)", "by seed", "worst tenth ahead",
        "share of its time (95 %)",
    )  # fmt: skip
    rows = []
    for one in comparisons:
        best = measured[one.best]
        roles = {one.control: "best control", one.plain: "plain UNet", one.pruned: "pruned alone"}
        for name in dict.fromkeys((one.control, one.plain, one.pruned)):
            if name is None or name == one.best:
                continue
            other = measured[name]
            share = ratio(best.samples_ms, other.samples_ms)
            rows.append((
                one.budget, one.best, f"{name} ({roles[name]})", _points(_lost(best, other)), _by_seed(best, other),
                f"{worst_tenth(best.dice) - worst_tenth(other.dice):+.2f}",
                f"{share.estimate:.2f} ({share.low:.2f} to {share.high:.2f})",
            ))  # fmt: skip
    return _table(header, rows)


def _equal_dice(comparisons: Sequence[Comparison], measured: Measurements) -> str:
    """Return the fastest finalist that is as good as another network, and how many times faster it is."""
    controls = {name for one in comparisons for name in (one.control, one.plain)}
    students = [name for name in measured if name not in (FLOAT, INT8)]
    header = ("as good as", "fastest of", "network", "points lost (95 %)", "times faster (95 %)")
    rows = []
    for base in (FLOAT, next((one.plain for one in comparisons), None)):
        for of, names in {
            "shapes": [n for n in students if n not in controls],
            "controls": [n for n in students if n in controls],
        }.items():
            if base is None:
                continue
            equal = [name for name in names if name != base and is_equal(_lost(measured[base], measured[name]))]
            fastest = min(equal, key=lambda name: quartiles(measured[name].samples_ms).estimate, default=None)
            row = (base.removesuffix(".tflite"), of)
            if fastest is None:
                rows.append((*row, "none", "", ""))
                continue
            gain = ratio(measured[base].samples_ms, measured[fastest].samples_ms)
            faster = f"{gain.estimate:.2f} ({gain.low:.2f} to {gain.high:.2f})"
            rows.append((*row, fastest, _points(_lost(measured[base], measured[fastest])), faster))
    return _table(header, rows)


def _all_trained(trained: Sequence[Trained], files: Mapping[str, Sequence[Int8Student]]) -> str:
    """Return the validation scores of all students, by which finalists were chosen, and the test scores in float32."""
    header = (
        "network", "what it is", "predicted ms", "million MAC", "thousand parameters", "validation, float32",
        "validation, int8", "int8 by", "test, float32",
    )  # fmt: skip
    rows = [
        (
            one.name, one.made, f"{one.predicted_ms:.2f}", f"{one.macs / MB:.0f}", f"{one.parameters / 1000:.0f}",
            f"{one.val:.2f}", f"{int8_val(files[one.name]):.2f}", ", ".join(each.method for each in files[one.name]),
            f"{one.test:.2f}",
        )
        for one in trained
    ]  # fmt: skip
    return _table(header, rows)


def _by_seed(best: Measurement, other: Measurement) -> str:
    """Return the points that one network is ahead of another one, for each seed; empty where there is one."""
    if len(best.seeds) != len(other.seeds) or len(best.seeds) == 1:
        return ""
    pairs = zip(best.seeds, other.seeds, strict=True)
    return ", ".join(f"{100 * float(mean_over_foreground(a) - mean_over_foreground(b)):+.2f}" for a, b in pairs)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table(tuple(header), [tuple(row) for row in rows])


def _lost(reference: Measurement, other: Measurement) -> Interval:
    loss = estimate_loss(reference.dice, other.dice)
    assert loss is not None, "some patient has a foreground class"
    return loss


def _points(value: Interval) -> str:
    return f"{value.estimate:+.2f} ({value.low:+.2f} to {value.high:+.2f})"


def _percent(dice: Scores) -> str:
    return f"{100 * float(mean_over_foreground(dice)):.2f}"
