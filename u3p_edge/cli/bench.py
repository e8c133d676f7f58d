"""`u3p-edge bench`: accuracy, latency and memory of exported files, side by side. Needs no TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from u3p_edge.benchmark.result import RunResult
    from u3p_edge.benchmark.suite import EvaluationData


def bench(
    models: Annotated[list[Path], typer.Argument(help=".tflite and .onnx files made by `u3p-edge export`, of one task.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Data folder (images/, masks/) to score Dice and IoU on; without it, speed and memory alone."),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the data folder: train, val or test.")] = "test",
    reference: Annotated[
        str, typer.Option(help="File that ratios and label agreement refer to; the first float32 one if not given.")
    ] = "",
    threads: Annotated[
        list[int] | None, typer.Option(min=1, help="Threads to time at; repeat for several. 1 and all cores if not given.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=5, help="Timed rounds, each over all files in turn.")] = 20,
    seconds: Annotated[
        float, typer.Option(min=0, help="Begin no further round after this long, at each number of threads.")
    ] = 60,
    memory: Annotated[int, typer.Option(min=0, help="Fresh processes a file to measure peak memory in; 0 for none.")] = 3,
    save: Annotated[
        Path | None, typer.Option(help="Write the result, with its raw samples, as JSON for `u3p-edge gate`.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report as Markdown.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of tables.")] = False,
) -> None:
    """Measure exported files side by side: rounds are interleaved, so a busy machine slows all alike.

    At two threads on two cores it also times how these reach each other, since a virtual machine's host moves them apart.

    In GitHub Actions the report is also appended to the step's summary.

        u3p-edge bench model.float32.tflite model.int8.tflite --data FOLDER --save result.json
    """
    from u3p_edge.artifact import make_folder, write_text
    from u3p_edge.benchmark.result import save_result, to_json
    from u3p_edge.benchmark.suite import Settings, default_threads, measure
    from u3p_edge.cli.progress import stages
    from u3p_edge.report.github import append_summary
    from u3p_edge.report.markdown import render

    counts = tuple(sorted(set(threads))) if threads else default_threads()
    settings = Settings(threads=counts, rounds=rounds, seconds=seconds, memory_repeats=memory)
    for path in filter(None, (save, report)):
        make_folder(path.parent)  # minutes of measuring should not end at a folder that cannot be made
    with stages() as begin:
        measured = measure(
            models,
            reference=reference,
            data=None if data is None else _load(data, split, models[0]),
            settings=settings,
            command=command_line(sys.argv),
            progress=begin,
        )
    if save:
        save_result(save, measured.result)
    text = render(measured.result, title="u3p-edge bench")
    if report:
        write_text(report, text)
    append_summary(text)
    if json:
        typer.echo(to_json(measured.result))
    else:
        show(measured.result)


def show(result: RunResult) -> None:
    """Print the summary table, as wide as the terminal allows, and findings on the terminal."""
    from rich.console import Console

    from u3p_edge.report import markdown

    console = Console()
    whole = _table(markdown.summary_header(result), markdown.summary_rows(result))
    fits = console.measure(whole, options=console.options.update_width(1000)).maximum <= console.width
    console.print(whole if fits else _table(markdown.short_header(result), markdown.short_rows(result)))
    print_list([f"× is the time of {result.reference}.", *markdown.findings(result)])


def _table(header: list[str], rows: list[list[str]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for place, title in enumerate(header):
        # A name may take two lines; a figure in two lines is two figures.
        table.add_column(escape(title), justify="right" if place else "left", overflow="fold", no_wrap=place > 0)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def print_list(sentences: Sequence[str]) -> None:
    """One item each, its further lines indented."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    grid = Table.grid(padding=(0, 1))
    for sentence in sentences:
        grid.add_row("•", escape(sentence.replace("**", "")))
    Console().print(grid)


def command_line(argv: list[str]) -> str:
    """What was typed, without the home folder, whose name is often its owner's."""
    import shlex

    home = str(Path.home())
    return shlex.join(["u3p-edge", *argv[1:]]).replace(home, "~") if home != "/" else shlex.join(["u3p-edge", *argv[1:]])


def _load(folder: Path, split: str, model: Path) -> EvaluationData:
    """The images of a split, preprocessed as the first model says; `measure` holds the others to the same."""
    from u3p_edge.benchmark.suite import EvaluationData
    from u3p_edge.data.folder import read_folder
    from u3p_edge.data.load import load
    from u3p_edge.runtime import open_session

    metadata = open_session(model).metadata
    samples = read_folder(folder).split(split)
    return EvaluationData(folder.resolve().name, split, load(samples, metadata.preprocessing, metadata.labels))
