"""`u3p-edge bench`: accuracy, latency and memory of exported files, side by side. Needs no TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from u3p_edge.cli.effect import refuse
from u3p_edge.cli.recipe_options import parse_options, takes_options
from u3p_edge.cli.terminal import WIDE, console, make_table, plain_text, print_list, print_table, say
from u3p_edge.config.limits import MAX_MEMORY_MB, MAX_THREADS
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.recipes.recipe import LABEL_OPTIONS, LabelOptions

if TYPE_CHECKING:
    from u3p_edge.benchmark.result import RunResult


@takes_options(LABEL_OPTIONS)
def bench(
    context: typer.Context,
    models: Annotated[list[Path], typer.Argument(help=".tflite and .onnx files made by `u3p-edge export`, of one task.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Data folder (images/, masks/) to score Dice and IoU on; without it, speed and memory alone."),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the data folder: train, val or test.")] = "test",
    max_pixels: Annotated[int, typer.Option(min=1, help="With --data: height x width that an image may have.")] = MAX_PIXELS,
    reference: Annotated[
        str,
        typer.Option(
            help="File that ratios and label agreement refer to; reference.float32.tflite or another float32 file if not given."
        ),
    ] = "",
    threads: Annotated[
        list[int] | None,
        typer.Option(min=1, max=MAX_THREADS, help="Threads to time at; repeat for several. 1 and all cores if not given."),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=5, help="Timed rounds, each over all files in turn; the fewest with --precision.")
    ] = 20,
    precision: Annotated[
        float | None,
        typer.Option(min=0.1, help="More rounds until each ratio is certain to so many percent, or --seconds are over."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0, help="Begin no further round after this long, at each number of threads.")
    ] = 60,
    memory: Annotated[
        int, typer.Option(min=0, help="Fresh processes a file for its peak memory and its cold start; 0 for none.")
    ] = 3,
    operators: Annotated[bool, typer.Option("--operators", help="Also time every operator of the TFLite files alone.")] = False,
    max_memory_mb: Annotated[
        int,
        typer.Option(min=1, help="Refuse a file that would take more memory; a small one can ask for gigabytes."),
    ] = MAX_MEMORY_MB,
    save: Annotated[
        Path | None, typer.Option(help="Write the result, with its raw samples, as JSON for `u3p-edge gate`.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the report as Markdown, or as one page of HTML where the name ends in .html.")
    ] = None,
    github_benchmark: Annotated[
        Path | None, typer.Option(help="Write the figures as JSON for github-action-benchmark (customSmallerIsBetter).")
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help="Folder to write the figures of this commit to, for `u3p-edge history`.")
    ] = None,
    commit: Annotated[
        str, typer.Option(help="With --history: name of the commit; the one that is checked out here if not given.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of tables.")] = False,
    **labels: Any,
) -> None:
    """Measure exported files side by side: rounds are interleaved, so a busy machine slows all alike.

    At two threads on two cores it also times how these reach each other, since a virtual machine's host moves them apart.

    In GitHub Actions the report is also appended to the step's summary.

        u3p-edge bench model.float32.tflite model.int8.tflite --data FOLDER --save result.json
    """
    from u3p_edge.benchmark.commit import find_commit
    from u3p_edge.benchmark.history import record
    from u3p_edge.benchmark.result_file import to_json
    from u3p_edge.benchmark.suite import Settings, choose_threads
    from u3p_edge.cli.progress import stages
    from u3p_edge.data.options import DataOptions
    from u3p_edge.pipeline.bench import bench as run_bench
    from u3p_edge.pipeline.bench import uncertain_ratios
    from u3p_edge.run_folder import check_output_file, check_output_folder

    if data is None:
        refuse(
            context,
            ("split", *LABEL_OPTIONS, "max_pixels"),
            "is about a data folder, and there is none",
            "Add --data FOLDER.",
        )
    if history is None:
        refuse(context, ("commit",), "names the commit of a history, and there is none", "Add --history FOLDER.")
    else:
        check_output_folder(history)
    measured = None if history is None else find_commit(Path(), commit)
    given = LabelOptions(**parse_options(LABEL_OPTIONS, labels))
    options = DataOptions(group_column=given.group_column, rule=given.rule(), max_pixels=max_pixels)
    counts = tuple(sorted(set(threads))) if threads else choose_threads()
    share = None if precision is None else precision / 100
    settings = Settings(
        threads=counts,
        rounds=rounds,
        seconds=seconds,
        precision=share,
        memory_repeats=memory,
        max_memory_mb=max_memory_mb,
        operators=operators,
    )
    for path in filter(None, (save, report, github_benchmark)):
        check_output_file(path)
    # Predictions of each file, each number of threads, whole frames, memory, operators.
    with stages(len(models) * (data is not None) + len(counts) + 1 + (memory > 0) + operators) as progress:
        result = run_bench(
            models,
            data=data,
            split=split,
            options=options,
            settings=settings,
            reference=reference,
            command=command_line(sys.argv),
            progress=progress,
        )
    _write(result, save=save, report=report, github_benchmark=github_benchmark)
    if history is not None and measured is not None:
        record(history, result, measured)
    if share is not None:
        for sentence in uncertain_ratios(result, share):
            say(f"{sentence} Give more --seconds than {seconds:g}, or a quieter machine.", stderr=True)
    if json:
        print(to_json(result))
    else:
        show(result)


def _write(result: RunResult, *, save: Path | None, report: Path | None, github_benchmark: Path | None) -> None:
    """Write what was asked for, and the step's summary in GitHub Actions."""
    from u3p_edge.benchmark.result_file import save_result
    from u3p_edge.files.atomic import write_text
    from u3p_edge.report.github import append_summary
    from u3p_edge.report.github_benchmark import render_github_benchmark
    from u3p_edge.report.html import render_html
    from u3p_edge.report.markdown import render

    title = "u3p-edge bench"
    if save:
        save_result(save, result)
    text = render(result, title=title)
    if report:
        write_text(report, render_html(result, title=title) if report.suffix == ".html" else text)
    if github_benchmark:
        write_text(github_benchmark, render_github_benchmark(result))
    append_summary(text)


def show(result: RunResult, notes: Sequence[str] = ()) -> None:
    """Print the report's first line, the summary table, as wide as the terminal allows, and findings and notes."""
    from u3p_edge.report import markdown
    from u3p_edge.report.findings import list_findings
    from u3p_edge.report.frames import frame_table, frame_title
    from u3p_edge.report.headline import headline

    out = console()
    if first := headline(result):
        out.print(plain_text(first.replace("**", "")))
    whole = make_table(markdown.summary_header(result), markdown.summary_rows(result))
    fits = out.measure(whole, options=out.options.update_width(WIDE)).maximum <= out.width
    out.print(whole if fits else make_table(markdown.short_header(result), markdown.short_rows(result)))
    if title := frame_title(result):
        print_table(*frame_table(result), title=title)
    print_list([f"× is the time of {result.reference}.", *list_findings(result, notes)])


def command_line(argv: list[str]) -> str:
    """What was typed, without the home folder, whose name is often its owner's."""
    import shlex

    typed = shlex.join(["u3p-edge", *argv[1:]])
    try:
        home = Path.home()
    except RuntimeError:  # no variable and no entry among the users names one
        return typed
    return typed.replace(str(home), "~") if home.is_absolute() and home.parent != home else typed
