"""`u3p-edge data`: what a data folder holds and what is wrong with it, and folders made of other programs' data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from u3p_edge.cli.command import Command
from u3p_edge.cli.data_import import import_scans
from u3p_edge.cli.help import help_of
from u3p_edge.cli.recipe_options import parse_options, takes_options
from u3p_edge.cli.terminal import print_table, say
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.recipes.recipe import LABEL_OPTIONS, LabelOptions

if TYPE_CHECKING:
    from u3p_edge.data.check import FolderReport

SHOWN = 20
"""Problems that are printed unless all are asked for."""

data_app = typer.Typer(help="Look at data folders, and make them.", no_args_is_help=True, rich_markup_mode=None)


@data_app.callback()
def _data() -> None:
    """Look at data folders, and make them."""


@data_app.command("check", cls=Command)
@takes_options(LABEL_OPTIONS)
def check(
    folder: Annotated[Path, typer.Argument(help="Holds images/, masks/ and perhaps split.csv.")],
    labels: Annotated[
        int | None,
        typer.Option(min=2, max=255, help="Number of classes, background included; inferred from the masks if not given."),
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Height x width that an image may have; a small file can ask for gigabytes of memory.")
    ] = MAX_PIXELS,
    show_all: Annotated[bool, typer.Option("--all", help="Print every problem, however many.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    **options: Any,
) -> None:
    """Report counts, sizes, class balance and every broken or mismatched pair by name; exit code 2 if there are any.

    u3p-edge data check scans --group patient
    """
    import dataclasses
    from json import dumps

    from u3p_edge.cli.progress import stages
    from u3p_edge.data.check import check_data

    given = LabelOptions(**parse_options(LABEL_OPTIONS, options))
    with stages() as progress:
        progress("Check images and masks", 0)
        report = check_data(folder, labels, group_column=given.group_column, max_pixels=max_pixels, rule=given.rule())
    if json:
        print(dumps(dataclasses.asdict(report), indent=2))
    else:
        _show(report, None if show_all else SHOWN)
    if report.problems:
        raise typer.Exit(2)


data_app.command("import", cls=Command, help=help_of(import_scans))(import_scans)


def _show(report: FolderReport, most: int | None) -> None:
    """Print a report, with so many of its problems; None for all."""
    unit = report.group_column or ("file name" if report.grouped_by_name else "image")
    splits = [[split, str(count), str(report.groups[split])] for split, count in report.images.items()]
    print_table(["split", "images", f"groups (by {unit})"], splits, title=report.root)
    if report.drawn:
        say("No splits in split.csv: these are drawn by a seed.")
    for what, counts in (("sizes", report.sizes), ("pixels", report.modes)):
        say(f"{what}: " + ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:8]))
    shares = enumerate(zip(report.fractions, report.present, strict=True))
    print_table(["class", "share of pixels", "in masks"], [[str(k), f"{share:.2%}", str(n)] for k, (share, n) in shares])
    if report.ignored:
        say(f"ignored: {report.ignored:.2%} of the pixels")
    for note in report.notes:
        say(f"note: {note}", "yellow")
    for problem in report.problems[:most]:
        say(f"problem: {problem}", "red")
    count = len(report.problems)
    if most is not None and count > most:
        say(f"... and {count - most} more; --all shows them.")
    say(f"{count} problem{'s' if count > 1 else ''}." if count else "No problems.", "red" if count else "green")
