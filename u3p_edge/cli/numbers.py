"""Lists of numbers as they are written on the command line."""

from __future__ import annotations

from u3p_edge.errors import ConfigError


def numbers(text: str, option: str) -> tuple[float, ...]:
    """The numbers of a comma-separated list, e.g. "123.7, 116.8, 103.9"; none for an empty text.

    Raises:
        ConfigError: an item is no number; names the option.
    """
    items = [item.strip() for item in text.split(",")] if text.strip() else []
    try:
        return tuple(float(item) for item in items)
    except ValueError as error:
        raise ConfigError(
            f"{option} {text!r} is not a comma-separated list of numbers", mend=f"Give for example {option} 123.7,116.8,103.9."
        ) from error
