"""How long work reports how far it is. What works takes a `Progress`; what shows it (a terminal, a notebook) implements one.

def work(images, progress: Progress = silent):
    step = progress("Read images", len(images))
    for image in images:
        ...
        step()
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Step(Protocol):
    """Is called after each step of a stage."""

    def __call__(self, status: str = "", /) -> object:
        """One more step is done; `status` says how the work stands, for example its loss."""


class Progress(Protocol):
    """Follows work that has stages. It changes nothing of the work; an exception that it raises ends the work."""

    def __call__(self, stage: str, steps: int, /) -> Step:
        """A stage begins, and the one before it ends.

        Args:
            stage: its title, for example "Read images".
            steps: how many it has; 0 where that is not known.
        """

    def note(self, sentence: str, /) -> object:
        """Something is not as the user would expect, and the work goes on."""


def idle(_status: str = "", /) -> None:
    """A `Step` that shows nothing."""


class _Silent:
    def __call__(self, _stage: str, _steps: int, /) -> Step:
        return idle

    def note(self, _sentence: str, /) -> None:
        pass


silent: Progress = _Silent()
"""A `Progress` that shows nothing."""


@dataclass(frozen=True)
class PartProgress:
    """A `Progress` of one part of larger work, whose stages and notes begin with the part's name.

    Args:
        whole: follows the larger work.
        part: name of the part, for example "x30 (3 of 5)".
    """

    whole: Progress
    part: str

    def __call__(self, stage: str, steps: int, /) -> Step:
        """Begin a stage of the part."""
        return self.whole(f"{self.part}: {stage}", steps)

    def note(self, sentence: str, /) -> None:
        """Hand a note on."""
        self.whole.note(f"{self.part}: {sentence}")
