"""How much faster or slower a file is than another one, in words that claim no more than the rounds show."""

from __future__ import annotations

from u3p_edge.benchmark.result import ArtifactResult
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.text import thread_count, three_digits

ROUNDS_FOR_A_RATIO = 10
"""Fewer rounds give no ratio in a sentence: with five on a busy machine, one file was once 3 and once 17 times as fast."""

WIDE = 0.25
"""Largest uncertainty of a ratio, as a share of it, by its 95 % interval; a wider interval is given alone, and in bold."""


def describe_speed(artifact: ArtifactResult, other: ArtifactResult, name: str, threads: int) -> str:
    """Return what a file does in comparison with another one, for example "runs 31.2 times as fast as float (30.8 to 31.5)".

    Args:
        artifact, other: the two files of one run.
        name: what the sentence calls the other.
        threads: number of threads that both were timed at.

    Returns:
        A sentence without its subject, `**` around what is bold; empty where one of them was not timed.
    """
    timed, reference = artifact.latency(threads), other.latency(threads)
    if timed is None or reference is None:
        return ""
    count = len(timed.samples_ms)
    if count < ROUNDS_FOR_A_RATIO:
        return f"was timed in {count} rounds, too few to compare with {name} ({ROUNDS_FOR_A_RATIO} do, see --rounds)"
    change, counted = ratio(timed.samples_ms, reference.samples_ms), thread_count(threads)
    if change.low <= 1 <= change.high:
        return (
            f"is neither clearly faster nor slower than {name} ({change.low:.3f} to {change.high:.3f} of its time, {counted})"
        )
    slower = change.estimate > 1
    low, high = (change.low, change.high) if slower else (1 / change.high, 1 / change.low)
    times, bounds = change.estimate if slower else 1 / change.estimate, f"{three_digits(low)} to {three_digits(high)}"
    verb, unit = ("**is slower**: it takes", "times as long as") if slower else ("runs", "times as fast as")
    if change.uncertainty > WIDE:
        return f"{verb} {bounds} {unit} {name} (**uncertain, the timings vary**, {counted})"
    return f"{verb} {three_digits(times)} {unit} {name} ({bounds}, {counted})"
