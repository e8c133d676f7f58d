"""`u3p-edge data check`: what a data folder holds and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from u3p_edge.cli.terminal import print_table, say
from u3p_edge.data.formats import MAX_PIXELS

if TYPE_CHECKING:
    from u3p_edge.data.check import FolderReport

data_app = typer.Typer(help="Look at data folders.", no_args_is_help=True)


@data_app.callback()
def _data() -> None:
    """Look at data folders."""


@data_app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Holds images/, masks/ and perhaps split.csv.")],
    labels: Annotated[
        int | None,
        typer.Option(min=2, max=255, help="Number of classes, background included; found in the masks if not given."),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column of split.csv that is never split across sets, e.g. patient.")
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Height x width that an image may have; a small file can ask for gigabytes of memory.")
    ] = MAX_PIXELS,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Report counts, sizes, class balance and every broken or mismatched pair by name; exit code 2 if there are any.

    u3p-edge data check scans --group patient
    """
    import dataclasses
    from json import dumps

    from u3p_edge.data.check import check_folder

    report = check_folder(folder, labels, group_column=group, max_pixels=max_pixels)
    if json:
        print(dumps(dataclasses.asdict(report), indent=2))
    else:
        _show(report)
    if report.problems:
        raise typer.Exit(2)


def _show(report: FolderReport) -> None:
    unit = report.group_column or ("file name" if report.grouped_by_name else "image")
    splits = [[split, str(count), str(report.groups[split])] for split, count in report.images.items()]
    print_table(["split", "images", f"groups (by {unit})"], splits, title=report.root)
    if report.drawn:
        say("No splits in split.csv: these are drawn by a seed.")
    for what, found in (("sizes", report.sizes), ("pixels", report.modes)):
        say(f"{what}: " + ", ".join(f"{name} ({count})" for name, count in list(found.items())[:8]))
    shares = enumerate(zip(report.fractions, report.present, strict=True))
    print_table(["class", "share of pixels", "in masks"], [[str(k), f"{share:.2%}", str(n)] for k, (share, n) in shares])
    for note in report.notes:
        say(f"note: {note}", "yellow")
    for problem in report.problems:
        say(f"problem: {problem}", "red")
    count = len(report.problems)
    say(f"{count} problem{'s' if count > 1 else ''}." if count else "No problems.", "red" if count else "green")
