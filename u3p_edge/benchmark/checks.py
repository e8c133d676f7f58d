"""The output of the gate: its checks, and the verdict over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "regressed", "inconclusive", "incomparable", "missing"]
"""missing: one of the two runs lacks the value. inconclusive: its samples are too few or too noisy to decide."""

What = Literal["accuracy", "latency", "memory", "size", "structure", "sha256"]
EVERYTHING: tuple[What, ...] = ("accuracy", "latency", "memory", "size", "structure", "sha256")
OUTCOMES: tuple[Outcome, ...] = ("regressed", "incomparable", "inconclusive", "passed")
"""Outcomes that a verdict can have; it is the first of them that any check has."""

EXIT_CODES: dict[Outcome, int] = {"passed": 0, "regressed": 1, "incomparable": 3, "inconclusive": 4}


@dataclass(frozen=True)
class Tolerances:
    """How much may change without a regression.

    Args:
        slowdown: growth of the latency, as a share: 0.02 = 2 %.
        drop: drop of the mean foreground Dice on the same images, in points: 0.1 = from 90.0 to 89.9.
        memory: growth of the peak memory, as a share.
        size: growth of the file, as a share.
        structure: growth of multiply-accumulates, arena, operators, and operators that are not delegated, as a share.
    """

    slowdown: float = 0.02
    drop: float = 0.1
    memory: float = 0.10
    size: float = 0.02
    structure: float = 0.0


@dataclass(frozen=True)
class Check:
    """One comparison of one file, with its outcome and the reason.

    Args:
        what: what is compared; "file" if only one of the runs has the file.
        artifact: name of the file.
        outcome: outcome of the comparison.
        reason: the reason in words, with the measured values.
        detail: distinguishes it from other checks of the file, e.g. "1 thread"; it never holds a measured value.
    """

    what: What | Literal["file"]
    artifact: str
    outcome: Outcome
    reason: str
    detail: str = ""

    @property
    def title(self) -> str:
        """The check's name, which is the same in every run: `what`, and the detail if there is one."""
        return f"{self.what}, {self.detail}" if self.detail else self.what


@dataclass(frozen=True)
class Verdict:
    """All checks, and notes on how they were made."""

    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The first of `OUTCOMES` that any check has; "missing" does not count. "incomparable" if nothing was compared."""
        present = {check.outcome for check in self.checks}
        return next((outcome for outcome in OUTCOMES if outcome in present), "incomparable")

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 0 passed, 1 regressed, 3 incomparable, 4 inconclusive. Strict: 1 if anything is inconclusive or missing."""
        if strict and any(check.outcome in ("inconclusive", "missing") for check in self.checks):
            return EXIT_CODES["regressed"]
        return EXIT_CODES[self.outcome]
