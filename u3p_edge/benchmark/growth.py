"""The gate's checks of figures that no clock is needed for: memory, size, structure, and the bytes of a file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from u3p_edge.benchmark.checks import Check, Outcome, What
from u3p_edge.benchmark.result import ArtifactResult, Environment
from u3p_edge.benchmark.structure import Structure


def check_peak_memory(
    machines: tuple[Environment, Environment], before: ArtifactResult, after: ArtifactResult, allowed: float
) -> Iterator[Check]:
    """Yield the check of a file's peak memory; nothing where neither run measured it.

    Args:
        machines: of the baseline and of the current run.
        before, after: the file in the baseline and in the current run.
        allowed: share by which it may grow.
    """
    if before.memory is None and after.memory is None:
        return
    if before.memory is None or after.memory is None:
        yield Check("memory", after.name, "missing", "only one of the two runs measured it")
    elif difference := _different_machine(*machines):
        yield Check("memory", after.name, "incomparable", difference)
    else:
        yield _check_samples("memory", after.name, before.memory.peak_mb, after.memory.peak_mb, allowed)


def check_file_size(before: ArtifactResult, after: ArtifactResult, allowed: float) -> Check:
    """Return the check of a file's size; `allowed` is the share by which it may grow."""
    return _check_samples("size", after.name, (before.bytes / 1e6,), (after.bytes / 1e6,), allowed)


def check_structure(before: ArtifactResult, after: ArtifactResult, allowed: float) -> Iterator[Check]:
    """Yield a check of each count of a file's structure; nothing where neither run has it.

    Args:
        before, after: the file in the baseline and in the current run.
        allowed: share by which each count may grow.
    """
    if before.structure is None and after.structure is None:
        return
    if before.structure is None or after.structure is None:
        yield Check("structure", after.name, "missing", "only one of the two runs has it, as an older version made the other")
        return
    pairs = zip(_counts(before.structure).items(), _counts(after.structure).values(), strict=True)
    for (title, old), new in pairs:
        if old is not None and new is not None:
            outcome: Outcome = "regressed" if _share(new, old) > allowed else "passed"
            yield Check("structure", after.name, outcome, f"{old:,} -> {new:,} (growth of {allowed:.1%} is allowed)", title)


def check_bytes(before: ArtifactResult, after: ArtifactResult) -> Check:
    """Return the check of a file that two exports made from one lock: its bytes must be the same."""
    if before.sha256 == after.sha256:
        return Check("sha256", after.name, "passed", f"{after.sha256[:12]}, as the lock that both were made from asks for")
    reason = f"{before.sha256[:12]} -> {after.sha256[:12]}, though both were made from the same lock"
    return Check("sha256", after.name, "regressed", reason)


def _counts(structure: Structure) -> dict[str, int | None]:
    return {
        "multiply-accumulates": structure.macs,
        "arena bytes": structure.arena_bytes,
        "operators": structure.total,
        "operators not delegated": structure.undelegated,
    }


def _check_samples(what: What, name: str, old: Sequence[float], new: Sequence[float], limit: float) -> Check:
    """Check a growth. With a few samples each, it lies between the growths of the extremes; for equal samples it is 0."""
    least, most = _share(min(new), max(old)), _share(max(new), min(old))
    if tuple(old) == tuple(new):
        least = most = 0.0
    outcome: Outcome = "regressed" if least > limit else "passed" if most <= limit else "inconclusive"
    share = f"{least:+.1%}" if least == most else f"{least:+.1%} to {most:+.1%}"
    return Check(what, name, outcome, f"{max(old):.2f} -> {max(new):.2f} MB ({share}, growth of {limit:.1%} is allowed)")


def _share(new: float, old: float) -> float:
    """Return the growth from old to new as a share; infinite if old is 0."""
    if old <= 0:
        return math.inf if new > 0 else 0.0
    return new / old - 1


def _different_machine(old: Environment, new: Environment) -> str:
    """Return why memory of the two machines cannot be compared; empty if it can."""
    for label, a, b in (
        ("operating systems", old.system.split(" ")[0], new.system.split(" ")[0]),
        ("instruction sets", old.machine, new.machine),
        ("processors", old.cpu, new.cpu),
        ("processor features", old.features, new.features),
    ):
        if a != b:
            before, after = ("+".join(value) if isinstance(value, tuple) else value for value in (a, b))
            return f"the {label} differ ({before or 'none'}, {after or 'none'})"
    return ""
