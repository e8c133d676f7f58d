"""What a report says below its first table, section by section; `markdown` and `html` give it their form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from u3p_edge.benchmark.result import Accuracy, RunResult
from u3p_edge.benchmark.statistics import quartiles
from u3p_edge.report.conditions import describe_rounds
from u3p_edge.report.distances import describe_distances, distance_table
from u3p_edge.report.frames import frame_table, frame_title
from u3p_edge.report.headline import choose_int8
from u3p_edge.report.latencies import LATENCIES, latency_table
from u3p_edge.report.loss import POINTS_LOST, loss_of
from u3p_edge.report.operators import OPERATORS, operator_table
from u3p_edge.report.start import COLD_START, NO_ENERGY, start_table
from u3p_edge.report.worst import WORST, worst_table


@dataclass(frozen=True)
class Section:
    """A part of a report, all of it plain text.

    Args:
        heading: its title.
        text: what it shows; may be empty.
        header, rows: a table, the first column of it names; empty for none.
        picture: name of a picture file beside the report; empty for none.
        alt: what the picture shows, for readers who cannot see it.
    """

    heading: str
    text: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    picture: str = ""
    alt: str = ""


def list_timings(result: RunResult) -> list[Section]:
    """Return the sections on whole frames and on latency, those that the result has."""
    sections = []
    if caption := frame_title(result):
        sections.append(Section("A whole frame", f"{caption}.", *frame_table(result)))
    if (rows := latency_table(result))[1]:
        sections.append(Section("Latency", LATENCIES.format(reference=result.reference), *rows))
    return sections


def list_details(result: RunResult, *, samples: str = "", worst: str = "") -> list[Section]:
    """Return the sections that follow, those that the result has.

    Args:
        result: result of one run.
        samples: name of the picture of samples; empty for none.
        worst: likewise, of the worst groups.
    """
    sections = []
    if samples:
        sections.append(Section("Samples", picture=samples, alt="input, truth, masks and their difference"))
    if (rows := worst_table(result))[1]:
        file = choose_int8(result) or result.get(result.reference)
        text = WORST.format(file=file.name if file else "")
        sections.append(Section("Worst groups", text, *rows, picture=worst, alt="the worst image of each of them"))
    if any(a.accuracy for a in result.artifacts):
        sections.append(Section("Classes", "", *_class_table(result)))
    if any(a.accuracy and a.accuracy.distances for a in result.artifacts):
        sections.append(Section("Outlines", describe_distances(result), *distance_table(result)))
    if (rows := operator_table(result))[1]:
        sections.append(Section("Operators", OPERATORS, *rows))
    if (rows := start_table(result))[1]:
        sections.append(Section("Cold start", COLD_START, *rows))
    return sections


def describe_columns(result: RunResult) -> str:
    """Return what the columns of the first table mean."""
    sentences = []
    if any(a.accuracy for a in result.artifacts):
        sentences.append(
            "Dice and IoU in points of 100, pooled over the images of a group, then averaged over groups; means are over the "
            "foreground classes. “Labels as float” is the share of pixels with the float model's label."
        )
    if has_losses(result):
        sentences.append(POINTS_LOST)
    if result.threads:
        sentences.append(
            "Latency is the network alone: median (first to third quartile), and × its median ratio to "
            f"{result.reference} of the same round; the rounds of all files are interleaved in one run."
        )
    if any(a.memory for a in result.artifacts):
        sentences.append("Peak memory is that of a fresh process with Python that loads and runs the file at 1 thread.")
    return " ".join([*sentences, "MB is 10⁶ bytes."])


def describe_circumstances(result: RunResult) -> list[str]:
    """Return machine, versions, data and rounds, one sentence each."""
    e, d = result.environment, result.data
    features = f" ({', '.join(e.features)})" if e.features else ""
    memory = f", {e.memory_mb / 1000:.1f} GB" if e.memory_mb else ""
    sentences = [
        f"Machine: {e.cpu}{features}, {e.cores} core{'s' if e.cores != 1 else ''}{memory}, {e.machine}, {e.system}.",
        f"Versions: Python {e.python}, {', '.join(f'{name} {version}' for name, version in e.libraries)}.",
    ]
    if d is not None:
        groups = "" if d.groups == d.images else f" in {d.groups} group{'s' if d.groups != 1 else ''}"
        sentences.append(f"Data: {d.name}, split {d.split}, {d.images} images{groups}, sha256 {d.sha256[:12]}.")
    if rounds := describe_rounds(result):
        sentences.append(rounds)
    if result.conditions and not any(a.energy for a in result.artifacts):
        sentences.append(NO_ENERGY)
    baselines = [quartiles(a.memory.baseline_mb).estimate for a in result.artifacts if a.memory]
    if baselines:
        low, high = min(baselines), max(baselines)
        sentences.append(f"Of the peak memory, Python and the runtime without a model take {low:.0f} to {high:.0f} MB.")
    return sentences


def has_losses(result: RunResult) -> bool:
    """Return whether any file has a loss of Dice against the reference."""
    return any(loss_of(result, a) for a in result.artifacts)


def to_points(score: float | None) -> str:
    """Return a score of 0..1 in points of 100; "–" for none."""
    return "–" if score is None else f"{100 * score:.2f}"


def _class_table(result: RunResult) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of Dice and IoU of every class, background included."""
    rows = []
    for a in result.artifacts:
        if a.accuracy:
            rows.append([a.name, *(_pair(a.accuracy, i) for i in range(len(result.class_names)))])
    return ["Dice / IoU", *result.class_names], rows


def _pair(accuracy: Accuracy, index: int) -> str:
    return f"{to_points(accuracy.dice[index])} / {to_points(accuracy.iou[index])}"
