"""Progress bars of a command, on standard error, so that what a command prints can be piped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from u3p_edge.cli.terminal import console
from u3p_edge.text import to_terminal

Begin = Callable[[str, int], Callable[[], object]]
"""`begin(stage, steps)` shows a new bar and gives what is called after each step."""


@contextlib.contextmanager
def stages() -> Iterator[Begin]:
    """One bar a stage, each with the time it took and has left; a stage ends when the next one begins."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    # Drawn between steps alone: a thread that redraws all the time would disturb what is being timed.
    with Progress(*columns, console=console(stderr=True), auto_refresh=False) as bars:

        def finish() -> None:
            for task in bars.tasks:
                bars.update(task.id, total=task.completed if task.completed else task.total, refresh=True)

        def begin(stage: str, steps: int) -> Callable[[], object]:
            finish()
            task = bars.add_task(escape(to_terminal(stage)), total=steps)

            def advance() -> None:
                bars.update(task, advance=1, refresh=True)

            return advance

        yield begin
        finish()
