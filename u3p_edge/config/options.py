"""Options that are defined once: fields of frozen dataclasses with their name, type, default, range and meaning.

From such a field come the key of a TOML file, the keyword argument, the flag of the command line with its help, and the errors.
A dataclass within another is a group: `pruning.speedup` is the field `speedup` of the group `pruning`.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from u3p_edge.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """The values that a number may have; None is unbounded.

    Args:
        low, high: the lowest and the highest.
        above: it is greater than this.
    """

    low: float | None = None
    high: float | None = None
    above: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
        )

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{_shown(self.low)} to {_shown(self.high)}"
        if self.low is not None:
            return f"{_shown(self.low)} or more"
        return f"above {_shown(self.above)}" if self.above is not None else ""


@dataclass(frozen=True)
class Option:
    """One option, as its field defines it.

    Args:
        group: field of the outer dataclass whose value has it; empty for an option of the outer dataclass itself.
        field: name within its dataclass, which is the key in a TOML file.
        key: name as a keyword argument, unique among all options.
        flag: on the command line.
        hint: the type, without None.
        default: where nothing is given.
        meaning: one sentence.
        bounds: of a number.
    """

    group: str
    field: str
    key: str
    flag: str
    hint: Any
    default: Any
    meaning: str
    bounds: Range

    @property
    def path(self) -> str:
        """Group and field, e.g. "pruning.speedup"."""
        return f"{self.group}.{self.field}" if self.group else self.field


def option(
    default: Any,
    meaning: str,
    *,
    key: str = "",
    flag: str = "",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
) -> Any:
    """Return a dataclass field that is an option.

    Args:
        default: an immutable value.
        meaning: one sentence.
        key: the keyword argument, where the field's name is not unique among all options.
        flag: on the command line, where it is not the key's.
        low, high, above: see `Range`.
    """
    metadata = {"meaning": meaning, "key": key, "flag": flag, "bounds": Range(low, high, above)}
    return dataclasses.field(default=default, metadata=metadata)


def documented(cls: type[T]) -> type[T]:
    """Add the meaning of every option and group to the docstring of its dataclass."""
    hints = typing.get_type_hints(cls)
    lines = []
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # it is a dataclass
        bounds = str(field.metadata.get("bounds", ""))
        group = inspect.getdoc(without_none(hints[field.name])) or ""
        meaning = field.metadata.get("meaning") or group.partition("\n")[0]
        lines.append(f"    {field.name}: {meaning}{f' ({bounds})' if bounds else ''}")
    text, raises, rest = inspect.cleandoc(cls.__doc__ or "").partition("\n\nRaises:")
    cls.__doc__ = "\n".join([text, "", "Args:", *lines]) + raises + rest
    return cls


def list_options(cls: type, group: str = "") -> tuple[Option, ...]:
    """Return every option of a dataclass and of its groups, in the order of their fields; a field without a meaning is none."""
    hints = typing.get_type_hints(cls)
    options: list[Option] = []
    for field in dataclasses.fields(cls):
        hint = without_none(hints[field.name])
        if dataclasses.is_dataclass(hint):
            options += list_options(typing.cast("type", hint), field.name)
            continue
        if "meaning" not in field.metadata:
            continue
        key = field.metadata["key"] or field.name
        flag = field.metadata["flag"] or "--" + key.replace("_", "-")
        meaning, bounds = field.metadata["meaning"], field.metadata["bounds"]
        options.append(Option(group, field.name, key, flag, hint, field.default, meaning, bounds))
    return tuple(options)


def list_groups(cls: type) -> dict[str, type]:
    """Return the dataclasses of the groups, by the names of their fields."""
    hints = {name: without_none(hint) for name, hint in typing.get_type_hints(cls).items()}
    return {name: hint for name, hint in hints.items() if isinstance(hint, type) and dataclasses.is_dataclass(hint)}


def check_options(value: Any, group: str = "") -> None:
    """Raise ConfigError for a number that is out of its range, or a word that is not one of the option's.

    The message names the option and what it may be.

    Args:
        value: of a dataclass, from its `__post_init__`.
        group: its name in the outer dataclass.
    """
    for entry in list_options(type(value), group):
        if entry.group != group:
            continue  # a group checks itself
        given = getattr(value, entry.field)
        if isinstance(given, (int, float)) and not isinstance(given, bool) and given not in entry.bounds:
            mend = f"It is {entry.bounds}." if str(entry.bounds) else "Give a number."
            raise ConfigError(f"{entry.path} cannot be {_shown(given)}", mend=mend)
        words = get_args(entry.hint) if get_origin(entry.hint) is Literal else ()
        if words and given is not None and given not in words:
            raise ConfigError(f"{entry.path} cannot be {given!r}", mend=f"It is one of {', '.join(map(repr, words))}.")


def _shown(number: float) -> str:
    return str(int(number)) if math.isfinite(number) and number == int(number) else f"{number:g}"


def without_none(hint: Any) -> Any:
    """Return the type of an optional value without None; any other type unchanged."""
    if get_origin(hint) in (Union, types.UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        return parts[0] if len(parts) == 1 else hint
    return hint
