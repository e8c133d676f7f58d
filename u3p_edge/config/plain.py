"""Frozen dataclasses from plain values, as JSON and TOML hold them, strictly."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from u3p_edge.config.limits import MAX_INTEGER
from u3p_edge.errors import ConfigError, about
from u3p_edge.files import json_toml

T = TypeVar("T")


def from_dict(cls: type[T], value: object) -> T:
    """Build a frozen dataclass from a dictionary of plain values.

    Lists become tuples, nested dictionaries the dataclasses that the fields' types name.

    Raises:
        ConfigError: a key is unknown or missing, or its value has another type than the field.

    >>> from u3p_edge.config.preprocessing import Preprocessing
    >>> from_dict(Preprocessing, {"height": 64, "width": 96, "fit": "pad"}).fit
    'pad'
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f"{cls.__name__} must be a table of options, not {type(value).__name__}")
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is not a dataclass")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise ConfigError(f"{cls.__name__} has no option {unknown[0]!r}", mend=f"It has: {', '.join(sorted(fields))}.")
    no_default = (
        f.name for f in fields.values() if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    )
    missing = sorted(set(no_default) - set(value))
    if missing:
        raise ConfigError(f"{cls.__name__} lacks the option {missing[0]!r}")
    return cls(**{name: from_plain(hints[name], item, f"{cls.__name__}.{name}") for name, item in value.items()})


def read_recipe_text(path: Path) -> str:
    """Return the text of a recipe file. Raises ConfigError that names the file."""
    try:
        return json_toml.read_text(path, json_toml.MAX_TOML)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the recipe {path} cannot be read: {error}") from error


def parse_table(text: str, where: str) -> dict[str, Any]:
    """Return plain values from TOML text. Raises ConfigError that names `where` the text is from."""
    try:
        return json_toml.parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"{where} is not TOML: {error}") from error


def from_table(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """Return what `from_dict` gives.

    Raises:
        ConfigError: as `from_dict`; the message begins with `where` the table is from, such as a file.
    """
    with about(where):
        return from_dict(cls, table)


def from_plain(hint: Any, value: Any, where: str) -> Any:
    """Return one plain value as the type `hint` wants it. Raises ConfigError that names `where`."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value in args:
            return value
        raise ConfigError(f"{where} cannot be {_shown(value)}", mend=f"It is one of {', '.join(map(repr, args))}.")
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return from_plain(next(a for a in args if a is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where} must be a list, not {_shown(value)}")
        kinds = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
        if len(kinds) != len(value):
            raise ConfigError(f"{where} must have {len(kinds)} items, not {len(value)}")
        return tuple(from_plain(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a table, not {_shown(value)}")
        return {from_plain(args[0], key, where): from_plain(args[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        _check_plain(value, where)
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{where} must be {getattr(hint, '__name__', hint)}, not {_shown(value)}")
    _check_plain(value, where)
    return value


def _check_plain(value: Any, where: str) -> None:
    """Refuse numbers beyond 64 bits or not finite, and text that is not Unicode."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} cannot be {value}", mend="Give a number.")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ConfigError(f"{where} is out of range", mend=f"It is {MAX_INTEGER} at most.")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ConfigError(f"{where} holds half a character: {value!a}") from error


def _shown(value: Any) -> str:
    """Return a value as a message shows it, cut after 80 characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"such {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:80]}..."
