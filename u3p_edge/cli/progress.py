"""Progress of a command, on standard error, so that what a command prints can be piped.

On a terminal each stage has a bar. Elsewhere, in a log or a pipe, a stage has a line when it begins and one when it ends, each
written at once. Where the same command was run before, both say which of how many stages it is and how long all that is left
took then.
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
    from rich.progress import Progress

    from u3p_edge.cli.stage_times import StageTimes

Begin = Callable[[str, int], Callable[[], object]]
"""`begin(stage, steps)` begins a stage of so many steps (0: not known) and gives what is called after each step."""


@contextlib.contextmanager
def stages(total: int | None = None, times: StageTimes | None = None) -> Iterator[Begin]:
    """Show stage after stage; one ends when the next one begins.

    Args:
        total: number of stages, where it is known beforehand; shown as "stage 3 of 7".
        times: of the last run of this command, and where those of this run are saved if it ends well.
    """
    found = console(stderr=True)
    clock = _Clock(total, times)
    with _bars(found, clock) if found.is_terminal else _lines(clock) as begin:
        yield begin
    clock.save()


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """One stage without steps: nothing on a terminal, where the caller shows more; elsewhere its two lines."""
    if console(stderr=True).is_terminal:
        yield
        return
    with _lines(_Clock()) as begin:
        begin(name, 0)
        yield


def duration(seconds: float) -> str:
    """E.g. "0.4 s", "12 min", "3.1 h"."""
    minute, hour = 60, 3600
    if seconds < minute:
        return f"{seconds:.1f} s"
    return f"{seconds / minute:.0f} min" if seconds < hour else f"{seconds / hour:.1f} h"


class _Clock:
    """The stages that have begun, and when.

    Args:
        total: see `stages`, as is `times`.
    """

    def __init__(self, total: int | None = None, times: StageTimes | None = None) -> None:
        self._total, self._times = total, times
        self._began: list[tuple[str, float]] = []
        self._start = time.monotonic()

    def begin(self, stage: str) -> None:
        """A stage begins, and the one before it ends."""
        self._began.append((stage, time.monotonic()))

    @property
    def title(self) -> str:
        """E.g. "stage 3 of 7: Verify"."""
        count, left = len(self._began), self._left()
        total = self._times.total if self._times is not None and left is not None else self._total
        place = f"stage {count}" if total is None else f"stage {count} of {total}"
        return f"{place}: {self._began[-1][0]}"

    @property
    def forecast(self) -> str:
        """E.g. "about 3 min left"; empty where it is not known."""
        left = self._left()
        if left is None:
            return ""
        # What this stage has taken already is no longer left, at most what it took before.
        return f"about {duration(max(0.0, left - (time.monotonic() - self._began[-1][1])))} left"

    @property
    def elapsed(self) -> tuple[float, float]:
        """Seconds since the stage began, and since the first did."""
        now = time.monotonic()
        return now - self._began[-1][1], now - self._start

    @property
    def is_running(self) -> bool:
        """Whether a stage has begun."""
        return bool(self._began)

    def save(self) -> None:
        """Remember how long each stage took."""
        if self._times is not None and self._began:
            ends = [*(began for _, began in self._began[1:]), time.monotonic()]
            self._times.save(tuple((name, end - began) for (name, began), end in zip(self._began, ends, strict=True)))

    def _left(self) -> float | None:
        return None if self._times is None else self._times.left(tuple(name for name, _ in self._began))


@contextlib.contextmanager
def _lines(clock: _Clock) -> Iterator[Begin]:
    """Two lines a stage. One that an error ends has no second line."""

    def finish() -> None:
        if clock.is_running:
            own, whole = clock.elapsed
            say(f"{clock.title}: done in {duration(own)} ({duration(whole)} in all)", stderr=True)

    def begin(stage: str, steps: int) -> Callable[[], object]:
        finish()
        clock.begin(stage)
        parts = (clock.title, f"{steps} steps" if steps > 1 else "", clock.forecast)
        say(", ".join(filter(None, parts)), stderr=True)
        return lambda: None

    yield begin
    finish()


@contextlib.contextmanager
def _bars(found: Console, clock: _Clock) -> Iterator[Begin]:
    """One bar a stage, each with the time it took and has left, and how long the whole command still takes."""
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()),
        TextColumn("{task.fields[forecast]}"),
    )
    # Drawn between steps alone: a thread that redraws all the time would disturb what is being timed.
    with Progress(*columns, console=found, auto_refresh=False) as bars:

        def begin(stage: str, steps: int) -> Callable[[], object]:
            _fill(bars)
            clock.begin(stage)
            task = bars.add_task(escape(to_terminal(clock.title)), total=steps or None, forecast=clock.forecast)
            bars.refresh()

            def advance() -> None:
                bars.update(task, advance=1, refresh=True, forecast=clock.forecast)

            return advance

        yield begin
        _fill(bars)


def _fill(bars: Progress) -> None:
    """End every bar: what is done of it is all there was."""
    for task in bars.tasks:
        bars.update(task.id, total=task.completed if task.completed else task.total, refresh=True, forecast="")
