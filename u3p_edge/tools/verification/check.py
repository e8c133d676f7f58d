"""The outcome of a verification: one entry for each thing that was checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

CheckOutcome = Literal["passed", "failed", "left out"]


@dataclass(frozen=True)
class RunCheck:
    """One check of a run folder.

    Args:
        name: what was checked.
        outcome: "left out" if it could not be checked, which is no failure.
        details: one sentence for each fault; of the other outcomes, what was seen, or why it was left out.
    """

    name: str
    outcome: CheckOutcome
    details: tuple[str, ...]


@dataclass(frozen=True)
class Verification:
    """What came of all checks of a run folder.

    Args:
        run: name of the folder.
        checks: in the order in which they were made.
    """

    run: str
    checks: tuple[RunCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.outcome != "failed" for check in self.checks)

    def get(self, name: str) -> RunCheck:
        """Return the check of that name. Raises KeyError."""
        return {check.name: check for check in self.checks}[name]


def conclude(name: str, faults: Sequence[str], seen: str) -> RunCheck:
    """Return a check that failed if there are faults, else one that passed, with what was seen."""
    return RunCheck(name, "failed", tuple(faults)) if faults else RunCheck(name, "passed", (seen,))


def leave_out(name: str, reason: str) -> RunCheck:
    """Return a check that was not made, with the reason."""
    return RunCheck(name, "left out", (reason,))
