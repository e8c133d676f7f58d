"""Recipes of an export for tests."""

from __future__ import annotations

from typing import Any

from u3p_edge.recipes.build import build_recipe
from u3p_edge.recipes.recipe import ExportRecipe


def make_recipe(**options: Any) -> ExportRecipe:
    """The options of an export where nothing is given, with these put over them."""
    return build_recipe(ExportRecipe(), **options)
