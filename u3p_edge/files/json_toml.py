"""JSON and TOML of unknown origin as plain values: bounded in length, depth and numbers, with one kind of error."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, NoReturn

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_TEXT = 64_000_000
"""Most characters of a JSON file: ten times those of the largest result that was measured."""
MAX_METADATA = 1_000_000
"""Most characters of the JSON inside an artifact: names and colours of 255 classes have 20,000."""
MAX_TOML = 100_000
"""Most characters of a recipe: the time to read one grows with the square of its length."""
_DIGITS = 20
"""Most characters of an integer: one of 64 bits has 20, with its sign."""


def read_text(path: Path, limit: int = MAX_TEXT) -> str:
    """Return the UTF-8 text of a file, of which no more than `limit` characters are ever read.

    Raises:
        ValueError: it has more, or is not UTF-8. OSError: it cannot be read.
    """
    with path.open(encoding="utf-8") as file:
        text = file.read(limit + 1)
    if len(text) > limit:
        raise ValueError(f"it has more than {limit} characters")
    return text


def parse_json(text: str, limit: int = MAX_TEXT) -> Any:
    """Return the value of a JSON text of at most `limit` characters.

    Raises:
        ValueError: whatever is wrong with the text; NaN, infinity and lone surrogates are wrong too.

    >>> parse_json('{"dice": [0.5, null]}')
    {'dice': [0.5, None]}
    """
    _check_length(text, limit)
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if "\\ud" in text.lower():
        _check_characters(value)
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """Return the values of a TOML text. Raises ValueError, whatever is wrong with it."""
    _check_length(text, MAX_TOML)
    try:
        return dict(tomllib.loads(text))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _check_length(text: str, limit: int) -> None:
    if len(text) > limit:
        raise ValueError(f"it has {len(text)} characters, more than {limit}")


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"it holds an integer of {len(digits)} digits")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"it holds the number {digits[:40]}, which is out of range")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is not JSON")


def _check_characters(value: Any) -> None:
    """Refuse a lone half of a character (a surrogate): JSON can escape it, and no file can hold it."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (UnicodeEncodeError, RecursionError) as error:
        raise ValueError("it holds half a character") from error


def to_toml_value(value: object) -> str:
    """Return a plain value, a list included, as TOML writes it. Raises ValueError for NaN and infinity."""
    # A JSON string, number, boolean or list is also a TOML one.
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
