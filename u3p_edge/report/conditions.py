"""What a reader must know of the moment that a run was measured in: how its rounds ended, and whether the machine was busy."""

from __future__ import annotations

from collections.abc import Iterator

from u3p_edge.benchmark.conditions import Conditions, Ended
from u3p_edge.benchmark.result import RunResult
from u3p_edge.text import thread_count

ENDED: dict[Ended, str] = {
    "rounds": "all that were asked for",
    "precision": "then every ratio was as certain as asked for",
    "time": "then the time was up",
}


def busy_findings(result: RunResult) -> Iterator[str]:
    """Yield one warning for each number of threads at which other programs used much of the machine."""
    for shown in result.conditions:
        if shown.is_busy and shown.other_share is not None:
            taken = f", and interrupted it {shown.interruptions} times" if shown.interruptions else ""
            yield (
                f"**The machine was busy**: while files were timed at {thread_count(shown.threads)}, other programs used "
                f"{shown.other_share:.0%} of its processor time{taken}. Ratios of one run hold, milliseconds are too long."
            )


def describe_rounds(result: RunResult) -> str:
    """Return how many rounds there were and what ended them; empty without latencies."""
    counts = {entry.threads: len(entry.samples_ms) for a in result.artifacts[:1] for entry in a.latencies}
    ended = {shown.threads: shown for shown in result.conditions}
    parts = [f"{count} at {thread_count(n)}{_why(ended.get(n))}" for n, count in counts.items()]
    return f"Rounds: {', '.join(parts)}." if parts else ""


def _why(shown: Conditions | None) -> str:
    return "" if shown is None else f" ({ENDED[shown.ended]}, {shown.seconds:.0f} s)"
