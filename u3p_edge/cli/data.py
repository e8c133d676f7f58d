"""`u3p-edge data check`: what a data folder holds and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from u3p_edge.data.formats import MAX_PIXELS

if TYPE_CHECKING:
    from rich.console import Console

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

    from rich.console import Console

    from u3p_edge.data.check import check_folder

    report = check_folder(folder, labels, group_column=group, max_pixels=max_pixels)
    if json:
        typer.echo(dumps(dataclasses.asdict(report), indent=2))
    else:
        _show(report, Console())
    if report.problems:
        raise typer.Exit(2)


def _show(report: FolderReport, console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    unit = report.group_column or ("file name" if report.grouped_by_name else "image")
    splits = Table("split", "images", f"groups (by {unit})", title=escape(report.root), title_justify="left")
    for split, count in report.images.items():
        splits.add_row(split, str(count), str(report.groups[split]))
    console.print(splits)
    if report.drawn:
        console.print("No splits in split.csv: these are drawn by a seed.")
    for what, found in (("sizes", report.sizes), ("pixels", report.modes)):
        console.print(f"{what}: " + ", ".join(f"{name} ({count})" for name, count in list(found.items())[:8]))
    classes = Table("class", "share of pixels", "in masks")
    for k, (share, masks) in enumerate(zip(report.fractions, report.present, strict=True)):
        classes.add_row(str(k), f"{share:.2%}", str(masks))
    console.print(classes)
    for note in report.notes:
        console.print(f"[yellow]note:[/] {escape(note)}")
    for problem in report.problems:
        console.print(f"[red]problem:[/] {escape(problem)}", soft_wrap=True)
    count = len(report.problems)
    console.print("[green]No problems.[/]" if not count else f"[red]{count} problem{'s' if count > 1 else ''}.[/]")
