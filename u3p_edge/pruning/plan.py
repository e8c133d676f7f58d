"""The pruning plan: which elements of every channel group are kept. This is the one thing that pruning decides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.files.json_toml import parse_json
from u3p_edge.pruning.dependency import ChannelGroup

VERSION = 1
"""Version of the JSON form."""


@dataclass(frozen=True)
class PruningPlan:
    """A mapping from group names to the elements that are kept, ascending. Groups that are not named are kept whole.

    Raises:
        ConfigError: an element is not a whole number from zero, or is listed twice.
    """

    kept: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, elements in self.kept.items():
            if any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0 for n in elements):
                raise ConfigError(f"the plan keeps {list(elements)} of {name!r}; channels are whole numbers from 0")
            if len(set(elements)) < len(elements):
                raise ConfigError(f"the plan keeps a channel of {name!r} twice")
        kept = {name: tuple(sorted(map(int, elements))) for name, elements in self.kept.items()}
        object.__setattr__(self, "kept", MappingProxyType(kept))

    def __hash__(self) -> int:
        return hash(frozenset(self.kept.items()))

    def of(self, group: ChannelGroup) -> tuple[int, ...]:
        """Return the elements of a group that are kept, ascending."""
        return tuple(self.kept.get(group.name, range(group.size)))

    def dropped(self, group: ChannelGroup) -> tuple[int, ...]:
        """Return the elements of a group that are not kept, ascending."""
        kept = set(self.of(group))
        return tuple(element for element in range(group.size) if element not in kept)

    def check(self, groups: Sequence[ChannelGroup]) -> None:
        """Raise ModelError unless the plan fits the groups of a graph: no unknown name or element, nothing frozen dropped."""
        known = {group.name: group for group in groups}
        for name, elements in self.kept.items():
            group = known.get(name)
            if group is None:
                raise ModelError(f"the plan names {name!r}, which is no channel group of this model", mend=_OTHER_MODEL)
            if elements and elements[-1] >= group.size:
                raise ModelError(
                    f"the plan keeps channel {elements[-1]} of {name!r}, which has {group.size}", mend=_OTHER_MODEL
                )
            if group.frozen and len(elements) < group.size:
                raise ModelError(f"no channel of {name!r} can be dropped: {group.frozen}", mend="Leave it out of the plan.")

    def then(self, later: PruningPlan) -> PruningPlan:
        """Return one plan that combines this one and a later one, which was made for the graph that this one leaves."""
        chosen = dict(later.kept)
        first = {name: kept if name not in chosen else _pick(kept, chosen[name]) for name, kept in self.kept.items()}
        return PruningPlan({**{name: kept for name, kept in chosen.items() if name not in first}, **first})

    def to_json(self) -> str:
        """Return compact JSON text, keys sorted."""
        return json.dumps({"version": VERSION, "kept": dict(self.kept)}, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> PruningPlan:
        """Read a plan from the text of `to_json`. Raises ConfigError for anything else."""
        try:
            value = parse_json(text)
        except ValueError as error:
            raise ConfigError(f"the pruning plan is not JSON: {error}") from error
        if not isinstance(value, dict) or value.keys() != {"version", "kept"} or not _is_table(value["kept"]):
            raise ConfigError('a pruning plan is {"version": ..., "kept": {group: [channel, ...], ...}}, and this is not')
        if value["version"] != VERSION:
            raise ConfigError(f"the pruning plan has version {value['version']}", mend=f"This program reads {VERSION}.")
        return cls(value["kept"])


_OTHER_MODEL = "It was made for another model: make a plan for this one."


def _pick(elements: Sequence[int], indices: Sequence[int]) -> tuple[int, ...]:
    return tuple(elements[index] for index in indices)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(elements, list) for elements in value.values())
