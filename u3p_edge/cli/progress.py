"""Progress of a command, on standard error, so that what a command prints can be piped.

On a terminal each stage has a bar. Elsewhere, in a log or a pipe, a stage has a line when it begins and one when it ends, each
written at once. Where the same command was run before, both say which of how many stages it is and how long all that is left
took then.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from u3p_edge.cli.terminal import console, plain_text, say, say_note
from u3p_edge.progress import Step, idle
from u3p_edge.text import to_terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

    from u3p_edge.cli.stage_times import StageTimes


class Stages(Protocol):
    """A `Progress` that prints lines of the command's output meanwhile."""

    def __call__(self, stage: str, steps: int, /) -> Step:
        """See `Progress`."""

    def note(self, sentence: str, /) -> object:
        """See `Progress`; printed on standard error."""

    def print(self, line: str, /) -> object:
        """Print a line on standard output."""


@contextlib.contextmanager
def stages(total: int | None = None, times: StageTimes | None = None) -> Iterator[Stages]:
    """Show stage after stage; one ends when the next one begins.

    Args:
        total: number of stages, where it is known beforehand; shown as "stage 3 of 7".
        times: of the last run of this command, and where those of this run are saved if it ends well.
    """
    screen = console(stderr=True)
    clock = _Clock(total, times)
    if screen.is_terminal:
        with _bars(screen) as bars:
            shown = _Bars(bars, clock)
            yield shown
            shown.finish()
    else:
        lines = _Lines(clock)
        yield lines
        lines.finish()
    clock.save()


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

    def start(self, stage: str) -> None:
        """A stage begins, and the one before it ends."""
        self._began.append((stage, time.monotonic()))

    @property
    def title(self) -> str:
        """E.g. "stage 3 of 7: Verify"."""
        count, left = len(self._began), self._left()
        total = self._times.total if self._times is not None and left is not None else self._total
        position = f"stage {count}" if total is None else f"stage {count} of {total}"
        return f"{position}: {self._began[-1][0]}"

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


class _Lines:
    """Two lines a stage. One that an error ends has no second line."""

    def __init__(self, clock: _Clock) -> None:
        self._clock = clock

    def __call__(self, stage: str, steps: int, /) -> Step:
        self.finish()
        self._clock.start(stage)
        parts = (self._clock.title, f"{steps} steps" if steps > 1 else "", self._clock.forecast)
        say(", ".join(filter(None, parts)), stderr=True)
        return idle

    def note(self, sentence: str, /) -> None:
        say_note(sentence)

    def print(self, line: str, /) -> None:
        say(line)

    def finish(self) -> None:
        """End the stage that runs, if one does."""
        if self._clock.is_running:
            stage, whole = self._clock.elapsed
            say(f"{self._clock.title}: done in {duration(stage)} ({duration(whole)} in all)", stderr=True)


class _Bars:
    """One bar a stage, each with the time it took and has left, and how long the whole command still takes."""

    def __init__(self, bars: RichProgress, clock: _Clock) -> None:
        self._bars, self._clock = bars, clock

    def __call__(self, stage: str, steps: int, /) -> Step:
        from rich.markup import escape

        self.finish()
        self._clock.start(stage)
        title = escape(to_terminal(self._clock.title))
        task = self._bars.add_task(title, total=steps or None, status="", forecast=self._clock.forecast)
        self._bars.refresh()

        def step(status: str = "", /) -> None:
            self._bars.update(task, advance=1, refresh=True, status=escape(status), forecast=self._clock.forecast)

        return step

    def note(self, sentence: str, /) -> None:
        self._bars.console.print(plain_text(f"Note: {sentence}"), soft_wrap=True)

    def print(self, line: str, /) -> None:
        if sys.stdout.isatty():
            # The same terminal: above the bars, which another console would overwrite.
            self._bars.console.print(plain_text(line), soft_wrap=True)
        else:
            say(line)

    def finish(self) -> None:
        """End every bar: what is done of it is all there was."""
        for task in self._bars.tasks:
            total = task.completed if task.completed else task.total
            self._bars.update(task.id, total=total, refresh=True, status="", forecast="")


def _bars(screen: Console) -> RichProgress:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()),
        *(TextColumn("{task.fields[status]}"), TextColumn("{task.fields[forecast]}")),
    )
    # Drawn between steps alone: a thread that redraws all the time would disturb what is being timed.
    return Bars(*columns, console=screen, auto_refresh=False)
