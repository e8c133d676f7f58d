"""What a reader must know below the first line of a report, one sentence each, warnings first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from u3p_edge.benchmark.loss_check import LossCheck, explain_mend
from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.report.conditions import busy_findings
from u3p_edge.report.speed import describe_speed
from u3p_edge.runtime.registry import RUNTIMES


def list_findings(result: RunResult, notes: Sequence[str] = ()) -> list[str]:
    """List what a run shows, and further notes; a sentence with bold words is a warning and goes before the others.

    Args:
        result: of the run.
        notes: sentences on how the files came about.
    """
    findings = [sentence for artifact in result.artifacts for sentence in _speed_findings(result, artifact)]
    findings += busy_findings(result)
    checked = [] if result.loss_check is None else list(_loss_findings(result.loss_check))
    return sorted([*checked, *findings, *notes], key=lambda sentence: "**" not in sentence)


def _loss_findings(check: LossCheck) -> Iterator[str]:
    """Say what would help where the loss is not shown to be within its limit, and warn where its estimate is beyond."""
    if check.verdict == "shown to lose at most D":
        return
    beyond = check.loss is not None and check.loss.estimate > check.allowed
    lost = 0.0 if check.loss is None else check.loss.estimate
    warning = f"**int8 loses {lost:.2f} points of validation Dice, {check.allowed:.2f} were allowed.** " if beyond else ""
    yield f"{warning}{explain_mend(check)}"


def _speed_findings(result: RunResult, a: ArtifactResult) -> Iterator[str]:
    """Compare with float files of the same runtime: this shows the effect of pruning and number type, without the runtime's."""
    runtime, _, number = a.format.partition("-")
    if number == "float32":
        return
    for peer, role in _float_peers(result, a):
        phrases = [phrase for threads in result.threads if (phrase := describe_speed(a, peer, "float", threads))]
        if phrases:
            yield f"{a.name} against {peer.name}{role}, in {_title(runtime)}: {'; '.join(phrases)}."


def _float_peers(result: RunResult, a: ArtifactResult) -> list[tuple[ArtifactResult, str]]:
    """Return the float files of a file's runtime that it is compared with, and their roles if there are two: the model that
    was exported, and the network of this very file in float32, which differ after pruning."""
    runtime, _, number = a.format.partition("-")
    floats = [p for p in result.artifacts if p.format == f"{runtime}-float32" and p.name != a.name]
    twin = next((p for p in floats if p.name == a.name.replace(number, "float32")), None)
    origin = next((p for p in floats if p.name == result.reference), None)
    if twin and origin and twin is not origin:
        return [(origin, " (the original float model)"), (twin, " (the same network in float32)")]
    return [(peer, "") for peer in (origin or twin or next(iter(floats), None),) if peer]


def _title(runtime: str) -> str:
    return RUNTIMES[runtime].title if runtime in RUNTIMES else runtime
