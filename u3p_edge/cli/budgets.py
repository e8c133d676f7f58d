"""The budgets of a recipe in words."""

from __future__ import annotations

from u3p_edge.recipes.recipe import Pruning

_WORDS = {
    "speedup": "{:g}x as fast as float32",
    "latency_budget_ms": "{:g} ms",
    "size_budget_mb": "a file of {:g} MB",
    "shrink": "{:g}x smaller than float32",
}


def describe_budgets(pruning: Pruning) -> str:
    """Return its budgets, for example "30x as fast as float32, 40x smaller than float32"."""
    given = ((text, getattr(pruning, name)) for name, text in _WORDS.items())
    return ", ".join(text.format(value) for text, value in given if value is not None)
