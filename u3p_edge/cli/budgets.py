"""A recipe, and what the command line says beside it: options that were typed come before the recipe's."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from u3p_edge.errors import ConfigError
from u3p_edge.quantize.zeros import Zeros
from u3p_edge.recipes.named import Recipe, read_export_recipe
from u3p_edge.recipes.recipe import BUDGETS, Pruning

ALTERNATIVES = (("speedup", "latency_budget_ms"), ("size_budget_mb", "shrink"))
"""Of each pair one may be given: a typed one takes the place of the recipe's."""

_WORDS = {
    "speedup": "{:g}x as fast as float32",
    "latency_budget_ms": "{:g} ms",
    "size_budget_mb": "a file of {:g} MB",
    "shrink": "{:g}x smaller than float32",
}


@dataclass(frozen=True)
class Budgets:
    """What was typed; None for what was not. See `u3p_edge.cli.export`."""

    max_drop: float | None = None
    speedup: float | None = None
    latency_budget_ms: float | None = None
    size_budget_mb: float | None = None
    shrink: float | None = None
    strips: int | None = None
    qat_epochs: int | None = None
    sparsity: str | None = None


def export_options(name: str, typed: Budgets, *, int8: bool) -> dict[str, Any]:
    """Options of an `ExportRecipe` from a recipe's name and from what was typed.

    Without int8 a recipe's pruning is left out; what was typed of it is an error there, which `ExportRecipe` raises.

    Raises:
        ConfigError: no such recipe, or a value that cannot be.
    """
    recipe = read_export_recipe(name)
    pruning = _pruning(recipe, typed) if int8 or _asked(typed) else None
    zeros = recipe.zeros if typed.sparsity is None else _zeros(typed.sparsity)
    given = {key: getattr(typed, key) for key in ("max_drop", "strips", "qat_epochs") if getattr(typed, key) is not None}
    return {**recipe.options(), "pruning": pruning, "zeros": zeros if int8 or typed.sparsity else None, **given}


def describe_budgets(pruning: Pruning) -> str:
    """Its budgets."""
    given = ((text, getattr(pruning, name)) for name, text in _WORDS.items())
    return ", ".join(text.format(value) for text, value in given if value is not None)


def _asked(typed: Budgets) -> bool:
    return any(getattr(typed, name) is not None for name in BUDGETS)


def _pruning(recipe: Recipe, typed: Budgets) -> Pruning | None:
    """The recipe's pruning with the budgets that were typed."""
    given = {name: getattr(typed, name) for name in BUDGETS if getattr(typed, name) is not None}
    if recipe.pruning is None:
        return Pruning(**given) if given else None
    replaced = {name: None for pair in ALTERNATIVES if given.keys() & set(pair) for name in pair}
    return dataclasses.replace(recipe.pruning, **{**replaced, **given})


def _zeros(text: str) -> Zeros:
    if text == "2:4":
        return Zeros(pattern="2:4")
    try:
        return Zeros(share=float(text))
    except ValueError as error:
        raise ConfigError(f"--sparsity {text!r} is no share of the weights", mend="Give for example 0.5, or 2:4.") from error
