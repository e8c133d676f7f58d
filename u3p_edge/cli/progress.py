"""Progress of a command, on standard error, so that what a command prints can be piped.

On a terminal each stage has a bar. Elsewhere, in a log or a pipe, a stage has a line when it begins and one when it ends, each
written at once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from u3p_edge.cli.terminal import console, say
from u3p_edge.text import to_terminal

if TYPE_CHECKING:
    from rich.console import Console

Begin = Callable[[str, int], Callable[[], object]]
"""`begin(stage, steps)` begins a stage of so many steps (0: not known) and gives what is called after each step."""


@contextlib.contextmanager
def stages(total: int | None = None) -> Iterator[Begin]:
    """Show stage after stage; one ends when the next one begins.

    Args:
        total: number of stages, where it is known beforehand; shown as "stage 3 of 7".
    """
    found = console(stderr=True)
    with _bars(found, total) if found.is_terminal else _lines(total) as begin:
        yield begin


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """One stage without steps: nothing on a terminal, where the caller shows more; elsewhere its two lines."""
    if console(stderr=True).is_terminal:
        yield
        return
    with _lines(None) as begin:
        begin(name, 0)
        yield


def duration(seconds: float) -> str:
    """E.g. "0.4 s", "12 min", "3.1 h"."""
    minute, hour = 60, 3600
    if seconds < minute:
        return f"{seconds:.1f} s"
    return f"{seconds / minute:.0f} min" if seconds < hour else f"{seconds / hour:.1f} h"


@contextlib.contextmanager
def _lines(total: int | None) -> Iterator[Begin]:
    """Two lines a stage. One that an error ends has no second line."""
    count, running, began, start = 0, "", 0.0, time.monotonic()

    def finish() -> None:
        now = time.monotonic()
        if running:
            say(f"{running}: done in {duration(now - began)} ({duration(now - start)} in all)", stderr=True)

    def begin(stage: str, steps: int) -> Callable[[], object]:
        nonlocal count, running, began
        finish()
        count += 1
        running, began = f"{_place(count, total)}: {stage}", time.monotonic()
        say(running + (f", {steps} steps" if steps > 1 else ""), stderr=True)
        return lambda: None

    yield begin
    finish()


@contextlib.contextmanager
def _bars(found: Console, total: int | None) -> Iterator[Begin]:
    """One bar a stage, each with the time it took and has left."""
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    # Drawn between steps alone: a thread that redraws all the time would disturb what is being timed.
    with Progress(*columns, console=found, auto_refresh=False) as bars:

        def finish() -> None:
            for task in bars.tasks:
                bars.update(task.id, total=task.completed if task.completed else task.total, refresh=True)

        def begin(stage: str, steps: int) -> Callable[[], object]:
            finish()
            name = escape(to_terminal(f"{_place(len(bars.tasks) + 1, total)}: {stage}"))
            task = bars.add_task(name, total=steps or None)
            bars.refresh()

            def advance() -> None:
                bars.update(task, advance=1, refresh=True)

            return advance

        yield begin
        finish()


def _place(count: int, total: int | None) -> str:
    return f"stage {count}" if total is None else f"stage {count} of {total}"
