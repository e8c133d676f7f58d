"""A recipe as TOML text that says every option with its value, meaning, range and flag."""

from __future__ import annotations

import textwrap
from typing import Any

from u3p_edge.config.options import Option, list_groups, list_options
from u3p_edge.files.json_toml import to_toml_value
from u3p_edge.recipes.named import NamedRecipe
from u3p_edge.recipes.recipe import ExportRecipe

WIDTH = 100
"""Columns of a line."""


def recipe_to_toml(named: NamedRecipe) -> str:
    """Return TOML text with every option of an export; `u3p_edge.recipes.named.read_export_recipe` reads it back.

    Options without a value, and all of a group that is off, are comments with their defaults.
    """
    recipe, options = named.recipe, list_options(ExportRecipe)
    lines = [f"description = {to_toml_value(named.description)}", ""]
    lines += [line for entry in options if not entry.group for line in _lines(entry, getattr(recipe, entry.field))]
    for name, cls in list_groups(ExportRecipe).items():
        group = getattr(recipe, name)
        title = (cls.__doc__ or "").splitlines()[0]
        lines += ["", *_comment(title)]
        lines.append(f"[{name}]" if group is not None else f"#[{name}]")
        for entry in options:
            if entry.group == name:
                lines += _lines(entry, None if group is None else getattr(group, entry.field))
    return "\n".join(lines) + "\n"


def _lines(entry: Option, value: Any) -> list[str]:
    """Return the meaning of an option as a comment, and its value, in a comment too where it has none."""
    notes = "; ".join(filter(None, (str(entry.bounds), entry.flag)))
    comment = _comment(f"{entry.meaning} ({notes})")
    if value is not None:
        return [*comment, f"{entry.field} = {to_toml_value(value)}"]
    return [*comment, f"#{entry.field} = {'...' if entry.default is None else to_toml_value(entry.default)}"]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
