"""report.md: what a run lost and gained, in sentences and tables, from a `RunResult` alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from u3p_edge.benchmark.result import Accuracy, ArtifactResult, RunResult
from u3p_edge.benchmark.statistics import quartiles, ratio
from u3p_edge.report.findings import list_findings
from u3p_edge.report.headline import headline
from u3p_edge.report.loss import loss_cell
from u3p_edge.report.sections import (
    Section,
    describe_circumstances,
    describe_columns,
    has_losses,
    list_details,
    list_timings,
    to_points,
)
from u3p_edge.text import thread_count, three_digits, to_code, to_markdown, to_terminal


def render(
    result: RunResult,
    *,
    title: str = "u3p_edge report",
    notes: Sequence[str] = (),
    samples: str = "",
    worst: str = "",
    sections: Mapping[str, str] = MappingProxyType({}),
    first: str = "",
) -> str:
    """Return the report as GitHub-flavoured Markdown.

    Args:
        result: result of one run.
        title: first heading.
        notes: sentences on how the files came about, one list item each; those with bold words go first.
        samples: relative path of a picture to show; empty for none.
        worst: likewise, of the worst groups.
        sections: further sections, Markdown text by heading.
        first: the first line; empty for `headline`.
    """
    parts = [
        f"# {to_markdown(title)}",
        sentence(first or headline(result)),
        _list([sentence(text) for text in list_findings(result, notes)]),
        table(summary_header(result), summary_rows(result)),
        to_markdown(describe_columns(result)),
    ]
    parts += [_section(section) for section in list_timings(result)]
    for heading, text in sections.items():
        parts += [f"## {heading}", text]
    parts += [_section(section) for section in list_details(result, samples=samples, worst=worst)]
    parts += ["## Where and how", _list([*map(sentence, describe_circumstances(result)), *_identities(result)])]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary_header(result: RunResult) -> list[str]:
    """Return the titles of the columns of `summary_rows`."""
    return [title for title, _ in _columns(result)]


def summary_rows(result: RunResult) -> list[list[str]]:
    """Return one row per artifact: Dice in points, label agreement, median latency with spread and ratio, memory, size."""
    return [[cell(artifact) for _, cell in _columns(result)] for artifact in result.artifacts]


def short_header(result: RunResult) -> list[str]:
    """Return the titles of the columns of `short_rows`, each with two lines at most."""
    return [title for title, _ in _short_columns(result)]


def short_rows(result: RunResult) -> list[list[str]]:
    """Return `summary_rows` shortened to 80 characters: short names, no single classes, no spread of the latencies."""
    return [[cell(artifact) for _, cell in _short_columns(result)] for artifact in result.artifacts]


Column = tuple[str, Callable[[ArtifactResult], str]]


def _columns(result: RunResult) -> list[Column]:
    """Return a column with its title for each value that was measured; a value that was never measured has no column."""
    columns: list[Column] = [("file", lambda a: a.name)]
    if any(a.accuracy for a in result.artifacts):
        columns += _score_columns(result)
    columns += [(f"latency, {thread_count(n)}", partial(_latency, result, n)) for n in result.threads]
    if any(a.memory for a in result.artifacts):
        columns.append(("peak memory", _memory))
    return [*columns, ("size", _size)]


def _memory(a: ArtifactResult) -> str:
    return f"{quartiles(a.memory.peak_mb).estimate:.0f} MB" if a.memory else "–"


def _size(a: ArtifactResult) -> str:
    return f"{a.bytes / 1e6:.2f} MB"


def _short_columns(result: RunResult) -> list[Column]:
    columns: list[Column] = [("file", lambda a: a.name.removeprefix("model."))]
    if any(a.accuracy for a in result.artifacts):
        columns.append(("mean\nDice", lambda a: to_points(a.accuracy.mean_dice) if a.accuracy else "–"))
        columns.append(("labels\nas float", lambda a: f"{100 * a.accuracy.agreement:.2f} %" if a.accuracy else "–"))
    columns += [(f"latency,\n{thread_count(n)}", partial(_short_latency, result, n)) for n in result.threads]
    if any(a.memory for a in result.artifacts):
        columns.append(("peak\nmemory", _memory))
    return [*columns, ("size", _size)]


def _score_columns(result: RunResult) -> list[Column]:
    def column(title: str, cell: Callable[[Accuracy], str]) -> Column:
        return title, lambda a: cell(a.accuracy) if a.accuracy else "–"

    def dice_of(index: int) -> Callable[[Accuracy], str]:
        return lambda accuracy: to_points(accuracy.dice[index])

    # With one foreground class its Dice is the mean.
    classes = list(enumerate(result.class_names))[1:] if len(result.class_names) > 2 else []
    return [
        # On a terminal a title may have two lines, but a class name from an untrusted file must not.
        *(column(f"Dice {to_terminal(name)}", dice_of(index)) for index, name in classes),
        column("mean Dice", lambda accuracy: to_points(accuracy.mean_dice)),
        *([("points lost (95 %)", partial(loss_cell, result))] if has_losses(result) else []),
        column("mean IoU", lambda accuracy: to_points(accuracy.mean_iou)),
        column("labels as float", lambda accuracy: f"{100 * accuracy.agreement:.2f} %"),
    ]


def _latency(result: RunResult, threads: int, a: ArtifactResult) -> str:
    entry, reference = a.latency(threads), result.reference_latency(threads)
    if entry is None:
        return "–"
    ms = quartiles(entry.samples_ms)
    text = f"{three_digits(ms.estimate)} ms ({three_digits(ms.low)}–{three_digits(ms.high)})"
    if a.name == result.reference or reference is None:
        return text
    return f"{text}, ×{ratio(entry.samples_ms, reference.samples_ms).estimate:.2f}"


def _short_latency(result: RunResult, threads: int, a: ArtifactResult) -> str:
    """Return e.g. "0.38 ms ×0.36", without brackets of varying width, so that the figures line up in a column."""
    entry, reference = a.latency(threads), result.reference_latency(threads)
    if entry is None:
        return "–"
    median = f"{three_digits(quartiles(entry.samples_ms).estimate)} ms"
    return median if reference is None else f"{median} ×{ratio(entry.samples_ms, reference.samples_ms).estimate:.2f}"


def _identities(result: RunResult) -> list[str]:
    """Return the sha256 of every file, and the command, in Markdown."""
    files = [f"{to_markdown(a.name)}: sha256 {to_code(a.sha256)}." for a in result.artifacts]
    return [*files, f"Command: {to_code(result.command)}."] if result.command else files


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, the first column left-aligned, the others right-aligned; the cells are plain text."""
    aligned = ["---", *(["---:"] * (len(header) - 1))]
    lines = [[to_markdown(cell) for cell in header], aligned, *([to_markdown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sentence(text: str) -> str:
    """Return a sentence of a report in Markdown: text between two `**` is bold, all else is plain text."""
    parts = text.split("**")
    if len(parts) % 2 == 0:
        return to_markdown(text)
    return "".join(f"**{to_markdown(part)}**" if index % 2 else _spaced(part) for index, part in enumerate(parts))


def _spaced(text: str) -> str:
    """Return plain text in Markdown, with a space at each end that has one."""
    line = to_markdown(text)
    return f"{' ' if text[:1] == ' ' else ''}{line}{' ' if text[-1:] == ' ' and line else ''}"


def _section(section: Section) -> str:
    parts = [f"## {section.heading}", to_markdown(section.text)]
    parts += [table(section.header, section.rows)] if section.rows else []
    parts += [f"![{section.alt}]({section.picture})"] if section.picture else []
    return "\n\n".join(part for part in parts if part)


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
