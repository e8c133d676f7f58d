"""`u3p-edge gate`: is this run worse than the one kept as baseline? The exit code says."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from u3p_edge.cli.terminal import print_table, say, shown

if TYPE_CHECKING:
    from rich.text import Text

    from u3p_edge.benchmark.compare import Verdict

WORDS = {"passed": ("passed", "green"), "regressed": ("regressed", "bold red"), "incomparable": ("not comparable", "yellow")}
"""How the terminal says an outcome, and in which style; the emoji of the reports are of another width on each terminal."""


class What(str, Enum):
    """What can be compared."""

    accuracy = "accuracy"
    latency = "latency"
    memory = "memory"
    size = "size"


def gate(
    baseline: Annotated[Path, typer.Argument(help="Result kept from an earlier `u3p-edge bench --save`.")],
    current: Annotated[Path, typer.Argument(help="Result of now.")],
    max_slowdown: Annotated[float, typer.Option(min=0, help="Percent by which the latency ratio to float may grow.")] = 10.0,
    max_drop: Annotated[float, typer.Option(min=0, help="Points by which the mean Dice may fall.")] = 0.1,
    max_memory: Annotated[float, typer.Option(min=0, help="Percent by which the peak memory may grow.")] = 10.0,
    max_size: Annotated[float, typer.Option(min=0, help="Percent by which the file may grow.")] = 2.0,
    only: Annotated[
        list[What] | None,
        typer.Option(help="Compare this alone; repeat for several. E.g. accuracy and size, where machines differ."),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write the verdict as JUnit XML.")] = None,
) -> None:
    """Compare two benchmark results, file by file.

    Latency is the ratio to the float model of the same run, never an absolute time.

    It fails only when the whole 95 % interval of its change, from the raw samples, lies beyond the tolerance.

    Exit code 0: passed. 1: regressed. 3: not comparable (other machine, images, classes or files). 2: bad input.

        u3p-edge gate baseline.json current.json --max-slowdown 5
    """
    from u3p_edge.artifact import write_text
    from u3p_edge.benchmark import compare
    from u3p_edge.benchmark.result import read_result
    from u3p_edge.report import verdict as said
    from u3p_edge.report.github import append_summary

    limits = compare.Tolerances(max_slowdown / 100, max_drop, max_memory / 100, max_size / 100)
    what = tuple(entry for entry in compare.EVERYTHING if not only or entry in {o.value for o in only})
    verdict = compare.gate(read_result(baseline), read_result(current), limits, what)
    if junit:
        write_text(junit, said.junit(verdict))
    append_summary(said.render_verdict(verdict))
    _show(verdict)
    raise typer.Exit(verdict.exit_code)


def _show(verdict: Verdict) -> None:
    rows: list[list[str | Text]] = [
        [check.artifact, check.what, shown(*WORDS[check.outcome]), check.reason] for check in verdict.checks
    ]
    header = ["file", "what", "outcome", "why"]
    print_table(header, rows, words=header)
    say(*WORDS[verdict.outcome])
