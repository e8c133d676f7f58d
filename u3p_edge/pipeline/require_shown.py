"""`--require-shown`: an export whose int8 network is not shown to lose at most --max-drop ends as a failure."""

from __future__ import annotations

from pathlib import Path

from u3p_edge.benchmark.loss_check import LossCheck, describe_loss, explain_mend
from u3p_edge.errors import InconclusiveError, VerificationError


def require_shown(check: LossCheck | None, run: Path) -> None:
    """Raise where an int8 network is not shown to lose at most the allowed Dice. The files stay, under their final names.

    Args:
        check: of the export's result; None where no int8 network was made, or a version without this check made it.
        run: the run folder, which the message names.

    Raises:
        VerificationError: the network is shown to lose more (exit code 1).
        InconclusiveError: the validation split does not decide (exit code 4).
    """
    kept = f"The files are kept in {run}."
    if check is None:
        raise InconclusiveError(f"no loss of an int8 network is on record. {kept}", mend="Export with --int8 and --force.")
    if check.verdict == "shown to lose at most D":
        return
    kind = VerificationError if check.verdict == "shown to lose more" else InconclusiveError
    raise kind(f"on the validation split, int8 {describe_loss(check)}. {kept}", mend=explain_mend(check))
