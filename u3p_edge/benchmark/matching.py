"""Match the files of two runs for comparison: by name, else by role, never by the order of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.errors import ConfigError

ORIGINAL = "reference."
"""Name prefix of the float file of the original model, before pruning and rewriting."""


@dataclass(frozen=True)
class Pair:
    """A file of the baseline and its counterpart in the current run; one of the two may be None, but not both."""

    before: ArtifactResult | None
    after: ArtifactResult | None

    @property
    def name(self) -> str:
        """The name in the current run, else in the baseline."""
        either = self.after or self.before
        return "" if either is None else either.name

    @property
    def names(self) -> tuple[str, ...]:
        """Both names."""
        return tuple(artifact.name for artifact in (self.before, self.after) if artifact is not None)


def role(artifact: ArtifactResult) -> tuple[bool, str]:
    """Return the role of a file: whether it is the original model, and its format, e.g. "tflite-int8"."""
    return is_original(artifact.name), artifact.format


def is_original(name: str) -> bool:
    """Return whether `u3p-edge export` gives that name to the original model, before pruning and rewriting."""
    return base_name(name).startswith(ORIGINAL)


def base_name(name: str) -> str:
    """Return the last part of a name that includes folders."""
    return name.rsplit("/", 1)[-1]


def match(baseline: RunResult, current: RunResult) -> tuple[Pair, ...]:
    """Return every file of both runs once, in the baseline's order, then those that only the current run has.

    Files with the same name and format are matched first. Then files whose role no other file of either run has. Last, files
    with the same name, so that another format under a known name is noticed.
    """
    alone = _only_of_their_role(baseline) & _only_of_their_role(current)
    rules: tuple[Callable[[ArtifactResult, ArtifactResult], bool], ...] = (
        lambda before, after: (before.name, before.format) == (after.name, after.format),
        lambda before, after: role(before) == role(after) and role(before) in alone,
        lambda before, after: before.name == after.name,
    )
    partners: dict[str, ArtifactResult] = {}
    for belong_together in rules:
        for before in baseline.artifacts:
            free = [after for after in current.artifacts if after not in partners.values()]
            partner = next((after for after in free if belong_together(before, after)), None)
            if partner is not None and before.name not in partners:
                partners[before.name] = partner
    pairs = [Pair(before, partners.get(before.name)) for before in baseline.artifacts]
    return (*pairs, *(Pair(None, after) for after in current.artifacts if after not in partners.values()))


def select(pairs: Sequence[Pair], patterns: Sequence[str]) -> tuple[Pair, ...]:
    """Return the pairs with a name, or last part of one, that matches a pattern such as "*int8*"; all without patterns.

    Raises:
        ConfigError: a pattern that no file matches.
    """
    for pattern in patterns:
        if not any(_matches(pair, pattern) for pair in pairs):
            names = ", ".join(pair.name for pair in pairs)
            raise ConfigError(f"--file {pattern}: no file of either run has such a name", mend=f"They have {names}.")
    return tuple(pair for pair in pairs if not patterns or any(_matches(pair, pattern) for pattern in patterns))


def _matches(pair: Pair, pattern: str) -> bool:
    return any(fnmatch(name, pattern) or fnmatch(base_name(name), pattern) for name in pair.names)


def _only_of_their_role(run: RunResult) -> frozenset[tuple[bool, str]]:
    """Return the roles that exactly one file of a run has."""
    counts = Counter(map(role, run.artifacts))
    return frozenset(one for one, count in counts.items() if count == 1)
