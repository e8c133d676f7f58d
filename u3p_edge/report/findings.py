"""Findings: what a run lost and gained against float, in one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.runtime.registry import RUNTIMES
from u3p_edge.text import thread_count

ROUNDS_FOR_A_RATIO = 10
"""Fewer rounds give no ratio in a sentence: with five on a busy machine, one file was once 3 and once 17 times as fast."""

WIDE = 0.25
"""Largest uncertainty of a ratio, as a share of it, by its 95 % interval; a wider interval is reported before the ratio."""


def list_findings(result: RunResult) -> list[str]:
    """List one sentence per finding: Dice and size against float, and speed against float in the same runtime, with losses."""
    sentences = []
    for artifact in result.artifacts:
        if artifact.name == result.reference:
            continue
        sentences += [*_accuracy_finding(result, artifact), *_speed_findings(result, artifact)]
    return sentences


def _accuracy_finding(result: RunResult, a: ArtifactResult) -> Iterator[str]:
    reference = result.get(result.reference)
    if reference is None or a.accuracy is None or reference.accuracy is None:
        return
    old, new = reference.accuracy.mean_dice, a.accuracy.mean_dice
    size = f"{a.bytes / reference.bytes:.2f} times" if reference.bytes else "of another"
    if old is None or new is None:
        yield f"{a.name} is {size} the size of {reference.name}."
        return
    change = round(100 * (new - old), 2)
    verb = "loses" if change < 0 else "gains"
    dice = f"{verb} {abs(change):.2f} points of mean Dice against" if change else "has the mean Dice of"
    yield f"{a.name} {dice} {reference.name}, at {size} its size."


def _speed_findings(result: RunResult, a: ArtifactResult) -> Iterator[str]:
    """Compare with float files of the same runtime: this shows the effect of pruning and number type, without the runtime's."""
    runtime, _, number = a.format.partition("-")
    if number == "float32":
        return
    for threads in result.threads:
        for peer, role in _float_peers(result, a):
            timed, float_timed = a.latency(threads), peer.latency(threads)
            if timed and float_timed:
                where = f"in {_title(runtime)} here, at {thread_count(threads)}"
                compared = _compare(number, timed.samples_ms, float_timed.samples_ms)
                yield f"{compared} {where} ({a.name} against {peer.name}{role})."


def _float_peers(result: RunResult, a: ArtifactResult) -> list[tuple[ArtifactResult, str]]:
    """Return the float files of a file's runtime that it is compared with, and their roles if there are two: the model that
    was exported, and the network of this very file in float32, which differ after pruning."""
    runtime, _, number = a.format.partition("-")
    floats = [p for p in result.artifacts if p.format == f"{runtime}-float32" and p.name != a.name]
    twin = next((p for p in floats if p.name == a.name.replace(number, "float32")), None)
    origin = next((p for p in floats if p.name == result.reference), None)
    if twin and origin and twin is not origin:
        return [(origin, ", the original float model"), (twin, ", the same network in float32")]
    return [(peer, "") for peer in (origin or twin or next(iter(floats), None),) if peer]


def _compare(number: str, samples: Sequence[float], reference: Sequence[float]) -> str:
    if len(samples) < ROUNDS_FOR_A_RATIO:
        rounds = f"{len(samples)} rounds are too few to compare {number} with float"
        return f"{rounds} ({ROUNDS_FOR_A_RATIO} or more give a ratio, see --rounds)"
    change = ratio(samples, reference)
    if change.low <= 1 <= change.high:
        bounds = f"95 % interval {change.low:.3f} to {change.high:.3f} of its time"
        return f"{number} is neither clearly faster nor slower than float ({bounds})"
    if change.estimate > 1:
        comparison = f"**{number} is slower than float**: it takes {change.estimate:.2f} times as long"
        bounds = f"{change.low:.2f} to {change.high:.2f}"
    else:
        comparison = f"{number} is faster than float: {1 / change.estimate:.2f} times as fast"
        bounds = f"{1 / change.high:.2f} to {1 / change.low:.2f}"
    if change.uncertainty > WIDE:
        return f"**Uncertain, the timings vary: {bounds} times (95 % interval).** {comparison}"
    return f"{comparison} (95 % interval {bounds})"


def _title(runtime: str) -> str:
    return RUNTIMES[runtime].title if runtime in RUNTIMES else runtime
