"""`u3p-edge gate`: is this run worse than the one kept as baseline? The exit code says."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from u3p_edge.cli.terminal import plain_text, print_list, print_table, say
from u3p_edge.config.limits import MAX_THREADS

if TYPE_CHECKING:
    from rich.text import Text

    from u3p_edge.benchmark.checks import Verdict

WORDS = {
    "passed": ("passed", "green"),
    "regressed": ("regressed", "bold red"),
    "inconclusive": ("inconclusive", "yellow"),
    "incomparable": ("not comparable", "yellow"),
    "missing": ("missing", "yellow"),
}
"""How the terminal says an outcome, and in which style; the emoji of the reports are of another width on each terminal."""


class What(str, Enum):
    """What can be compared."""

    accuracy = "accuracy"
    latency = "latency"
    memory = "memory"
    size = "size"
    structure = "structure"
    sha256 = "sha256"


class Format(str, Enum):
    """How the verdict is printed."""

    table = "table"
    github = "github"


def gate(
    baseline: Annotated[
        Path, typer.Argument(help="Run folder, folder of model files, report.json, or result of `u3p-edge bench --save`.")
    ],
    current: Annotated[Path, typer.Argument(help="The same of now.")],
    max_slowdown: Annotated[float, typer.Option(min=0, help="Percent by which the latency may grow.")] = 2.0,
    max_drop: Annotated[float, typer.Option(min=0, help="Points by which the mean Dice may fall.")] = 0.1,
    max_memory: Annotated[float, typer.Option(min=0, help="Percent by which the peak memory may grow.")] = 10.0,
    max_size: Annotated[float, typer.Option(min=0, help="Percent by which the file may grow.")] = 2.0,
    max_structure: Annotated[
        float, typer.Option(min=0, help="Percent by which multiply-accumulates, arena and operators may grow.")
    ] = 0.0,
    only: Annotated[
        list[What] | None,
        typer.Option(help="Compare this alone; repeat for several. E.g. accuracy and size, where machines differ."),
    ] = None,
    file: Annotated[
        list[str] | None, typer.Option(help="Compare the files of such names alone, e.g. '*int8*'; repeat for several.")
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(min=1, max=MAX_THREADS, help="Threads to time files at; repeat for several. 1 if not given."),
    ] = None,
    precision: Annotated[
        float, typer.Option(min=0.01, max=99, help="Time each file until its ratio is certain to so many percent.")
    ] = 1.0,
    seconds: Annotated[float, typer.Option(min=0.1, max=300, help="Seconds for timing all files, in equal shares.")] = 240.0,
    max_ms: Annotated[
        float | None, typer.Option(min=0, help="Milliseconds that a file may take now, at the fewest threads timed.")
    ] = None,
    max_mb: Annotated[float | None, typer.Option(min=0, help="Megabytes (10^6 bytes) that a file may have now.")] = None,
    max_peak_mb: Annotated[
        float | None, typer.Option(min=0, help="Megabytes of peak memory that a process with a file may need now.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail, with exit code 1, on what is inconclusive or missing, too.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="Also write the verdict as JUnit XML.")] = None,
    report: Annotated[Path | None, typer.Option(help="Also write the verdict as Markdown.")] = None,
    format: Annotated[Format, typer.Option(help="A table, or with annotations for GitHub Actions.")] = Format.table,
) -> None:
    """Compare two runs, file by file: those of one name, or else of one role, e.g. the int8 TFLite file.

    Latency is measured now: where both files lie in the folders, or beside the results, they take turns in one run. A file
    regressed where the whole 95 % interval of its time, as a ratio to the baseline's, lies beyond --max-slowdown, where the
    ratio is above what the baseline's file differs from itself, and where a second round of measurements finds it again. It
    passed where the whole interval lies within. Between the two it is inconclusive. Times of two earlier runs are not compared.

    What is counted is compared as it is: Dice on the same images, size, multiply-accumulates, arena, operators, and the bytes
    of two exports from one lock.

    The budgets --max-ms, --max-mb and --max-peak-mb are for the int8 files, or for those that --file names.

    Exit code 0: passed. 1: regressed. 3: not comparable (other machine, images or classes). 4: inconclusive. 2: bad input. A
    file that one run lacks is listed as missing, and does not decide.

        u3p-edge gate baseline exported --max-slowdown 5
        u3p-edge gate baseline.json current.json --file '*int8*' --max-ms 12 --strict
    """
    from u3p_edge.benchmark.ceilings import Ceilings
    from u3p_edge.benchmark.checks import EVERYTHING, Tolerances
    from u3p_edge.benchmark.compare import Scope
    from u3p_edge.benchmark.paired_timing import GateTiming
    from u3p_edge.cli.progress import stages
    from u3p_edge.files.atomic import write_text
    from u3p_edge.pipeline.gate import gate as run_gate
    from u3p_edge.report import verdict as reports
    from u3p_edge.report.github import append_summary, render_annotations

    limits = Tolerances(max_slowdown / 100, max_drop, max_memory / 100, max_size / 100, max_structure / 100)
    what = tuple(entry for entry in EVERYTHING if not only or entry in {o.value for o in only})
    scope = Scope(what, tuple(file or ()), tuple(threads or ()))
    ceilings, timing = Ceilings(max_ms, max_mb, max_peak_mb), GateTiming(precision / 100, seconds)
    with stages() as progress:
        verdict = run_gate(baseline, current, limits, scope=scope, ceilings=ceilings, timing=timing, progress=progress)
    if junit:
        write_text(junit, reports.render_junit(verdict, strict=strict))
    rendered = reports.render_verdict(verdict, strict=strict)
    if report:
        write_text(report, rendered)
    append_summary(rendered)
    _show(verdict)
    if format is Format.github:
        print(render_annotations(verdict), end="")
    word, style = WORDS[verdict.outcome]
    say(word + reports.why_strict(verdict, strict=strict), style)
    raise typer.Exit(verdict.exit_code(strict=strict))


def _show(verdict: Verdict) -> None:
    rows: list[list[str | Text]] = [
        [check.artifact, check.title, plain_text(*WORDS[check.outcome]), check.reason] for check in verdict.checks
    ]
    header = ["file", "what", "outcome", "why"]
    print_table(header, rows, words=header)
    print_list(verdict.notes)
