"""Are the scores in the report those of the files?"""

from __future__ import annotations

from u3p_edge.benchmark.accuracy import predict_labels, score
from u3p_edge.benchmark.result import RunResult
from u3p_edge.progress import Progress
from u3p_edge.tools.verification.check import RunCheck, conclude, leave_out
from u3p_edge.tools.verification.images import VerificationImages
from u3p_edge.tools.verification.opened import Opened

DICE_TOLERANCE = 0.001
"""Change of the mean Dice (0..1) that another processor may bring. Two runtimes that round the same integers in their own ways
differ by 0.00006 at most in the kept results of the three data sets."""


def check_scores(opened: Opened, images: VerificationImages, result: RunResult | None, progress: Progress) -> RunCheck:
    """Check that each file has on the test images the mean Dice that the report says."""
    arrays = images.measured
    if arrays is None or result is None:
        return leave_out("accuracy", "the images that the export was measured on are not here")
    faults, step = [], progress("Score", len(opened.sessions) * len(arrays.images))
    for name, session in opened.sessions.items():
        measured = result.get(name)
        labels, metadata = predict_labels(session, arrays.images, step, arrays.originals), session.metadata
        scored = score(arrays.labels, labels, labels, arrays.groups, metadata.labels, multi_label=metadata.multi_label)
        again = scored.mean_dice
        before = measured.accuracy.mean_dice if measured and measured.accuracy else None
        if before is None or again is None:
            continue
        if abs(again - before) > DICE_TOLERANCE:
            faults.append(f"{name} has a mean Dice of {100 * again:.2f}, and report.json says {100 * before:.2f}")
    return conclude("accuracy", faults, f"{len(opened.sessions)} files have the mean Dice that report.json says")
