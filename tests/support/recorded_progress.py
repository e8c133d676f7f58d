"""A progress that remembers, and that interrupts as Ctrl-C would where a test asks for it."""

from __future__ import annotations

from collections import Counter

from u3p_edge.progress import Step


class RecordedProgress:
    """Remembers stages, done steps and notes.

    Args:
        interrupt_at: (stage, step): this step of this stage is not done; KeyboardInterrupt is raised instead.
    """

    def __init__(self, interrupt_at: tuple[str, int] | None = None) -> None:
        self.stages: list[tuple[str, int]] = []
        self.done = Counter[str]()
        self.notes: list[str] = []
        self._interrupt_at = interrupt_at

    @property
    def names(self) -> list[str]:
        """Titles of the stages, in order."""
        return [name for name, _ in self.stages]

    def __call__(self, stage: str, steps: int, /) -> Step:
        self.stages.append((stage, steps))

        def step(_status: str = "", /) -> None:
            self.done[stage] += 1
            if self._interrupt_at == (stage, self.done[stage]):
                raise KeyboardInterrupt

        return step

    def note(self, sentence: str, /) -> None:
        self.notes.append(sentence)
