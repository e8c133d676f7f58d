"""`u3p-edge history`: what changed from commit to commit, as a table and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from u3p_edge.cli.terminal import print_table, say


def history(
    folder: Annotated[Path, typer.Argument(help="Folder that `u3p-edge bench --history` writes to.")],
    out: Annotated[Path, typer.Option(help="Page to write: HTML that needs no network.")] = Path("trend.html"),
    min_change: Annotated[float, typer.Option(min=0, help="Percent by which a level must change to be listed.")] = 1.0,
) -> None:
    """Show how the figures of files changed from commit to commit, and at which commit.

    Each kind of machine has its own series. A change is a commit from which on a figure has another level, found by the package
    `ruptures` and a t-test (extra `history`); a single value that is off is none. Three commits must have the new level before
    it shows.

        u3p-edge bench exported/*.tflite --history history

        u3p-edge history history --out trend.html
    """
    from u3p_edge.benchmark.history import read_history
    from u3p_edge.benchmark.series import follow_figures
    from u3p_edge.files.atomic import write_text
    from u3p_edge.report.trend import CHANGES, change_rows, describe_changes, render_trend
    from u3p_edge.run_folder import check_output_file

    check_output_file(out)
    trends = follow_figures(read_history(folder), min_change / 100)
    write_text(out, render_trend(trends))
    if rows := change_rows(trends):
        print_table(CHANGES, rows, words=("file", "figure", "versions that changed with it"))
    say(f"{describe_changes(trends)} The page is {out}.")
