"""Recipes of an export for tests."""

from __future__ import annotations

from typing import Any

from u3p_edge.recipes.build import build_recipe
from u3p_edge.recipes.named import read_export_recipe
from u3p_edge.recipes.recipe import ExportRecipe, Pruning


def make_recipe(**options: Any) -> ExportRecipe:
    """The options of an export where nothing is given, with these put over them."""
    return build_recipe(ExportRecipe(), **options)


def balanced_pruning() -> Pruning:
    """How the recipe `balanced` prunes; it has a speed-up and a share of the file, which tests replace."""
    pruning = read_export_recipe("balanced").recipe.pruning
    assert pruning is not None
    assert None not in (pruning.speedup, pruning.shrink)
    return pruning
