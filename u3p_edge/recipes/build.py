"""Put options over a recipe: keyword arguments and flags override what it says."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from u3p_edge.config.options import Option, list_groups, list_options
from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ConfigError
from u3p_edge.recipes.named import DEFAULT, read_export_recipe
from u3p_edge.recipes.recipe import ExportRecipe

OPTIONS: Mapping[str, Option] = {entry.key: entry for entry in list_options(ExportRecipe)}
"""Every option of an export, by its keyword."""

ALTERNATIVES = (
    ("speedup", "latency_budget_ms"), ("size_budget_mb", "shrink"), ("tiles", "memory_budget_mb"), ("shape", "search"),
)  # fmt: skip
"""Of each pair one may be given: a given one takes the place of the recipe's."""


def build_recipe(recipe: str | Path | ExportRecipe = DEFAULT, **options: Any) -> ExportRecipe:
    """Return a recipe with options put over it.

    >>> recipe = build_recipe("balanced", latency_budget_ms=5, tiles=2)
    >>> recipe.pruning.latency_budget_ms, recipe.pruning.speedup, recipe.tiling.tiles
    (5.0, None, 2)

    A latency budget replaces a recipe's speed-up, a size budget its share of the file, a number of tiles its memory budget, and
    the other way round. A budget prunes where the recipe does not. `qat_epochs` asks for that training unless `method` is
    given, and `search_minutes` for a search. `sparsity` is a share or "2:4". Without int8 a recipe's pruning, sparsity and
    `require_shown` are left out.

    Args:
        recipe: a name ("exact", "balanced", "small"), a TOML file, or a recipe.
        options: by keyword (`OPTIONS`), or whole groups, e.g. `pruning=Pruning(speedup=3)`; None is what the recipe says.

    Raises:
        ConfigError: no such recipe or option, or a value that cannot be.
    """
    start = recipe if isinstance(recipe, ExportRecipe) else read_export_recipe(str(recipe)).recipe
    given = _spell_out({key: value for key, value in options.items() if value is not None})
    _check_known(given)
    values = _without_replaced(dataclasses.asdict(start), given)
    for key, value in given.items():
        plain = dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
        entry = OPTIONS.get(key)
        if entry is None or not entry.group or isinstance(plain, dict):  # a whole group
            values[key] = plain
        else:
            values[entry.group] = {**(values[entry.group] or {}), entry.field: plain}
    return from_dict(ExportRecipe, values)


def _spell_out(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with what some of them mean for others."""
    implied: dict[str, Any] = {}
    if "qat_epochs" in given:
        implied["method"] = "qat"
    if "search_minutes" in given:
        implied["search"] = True
    share = given.get("sparsity")
    if isinstance(share, str):
        implied |= {"sparsity_pattern": "2:4"} if share == "2:4" else {}
        given = {**given, "sparsity": 0.5 if share == "2:4" else _share(share)}
    elif isinstance(share, (int, float)):
        implied["sparsity_pattern"] = "unstructured"
    return {**implied, **given}


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"--sparsity {text!r} is no share of the weights", mend="Give for example 0.5, or 2:4.") from error


def _check_known(given: Mapping[str, Any]) -> None:
    names = [*OPTIONS, *list_groups(ExportRecipe)]
    for key in given:
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            mend = f"Do you mean {close[0]!r}?" if close else "`u3p-edge recipes show exact` lists them."
            raise ConfigError(f"an export has no option {key!r}", mend=mend)


def _without_replaced(values: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's values without those that the given options take the place of."""
    for pair in ALTERNATIVES:
        group = OPTIONS[pair[0]].group
        if given.keys() & set(pair) and values[group] is not None:
            values = {**values, group: {**values[group], **{OPTIONS[key].field: OPTIONS[key].default for key in pair}}}
    if given.get("rewrite") is False and "rewrites" not in given:
        values = {**values, "rewriting": {**values["rewriting"], "choices": ()}}
    if given.get("int8") is False:
        values = {**values, "pruning": None, "sparsity": None, "require_shown": False}
    return values
