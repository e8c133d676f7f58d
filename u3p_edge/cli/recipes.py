"""`u3p-edge recipes`: what the named recipes do, what they were measured to give, and their files to copy."""

from __future__ import annotations

from typing import Annotated

import typer


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe's TOML file instead of the list.")] = None,
) -> None:
    """List the recipes of `u3p-edge export --int8`, or print one to copy and change.

    u3p-edge recipes
    u3p-edge recipes balanced > mine.toml
    u3p-edge export RUN --int8 --data FOLDER --recipe mine.toml
    """
    from u3p_edge.pipeline.recipes import path_of, read_recipe

    if name is None:
        _list()
        return
    read_recipe(name)
    typer.echo(path_of(name).read_text(encoding="utf-8"), nl=False)


def _list() -> None:
    from rich.console import Console
    from rich.table import Table

    from u3p_edge.cli.budgets import in_words
    from u3p_edge.pipeline.recipes import DEFAULT, NAMES, measured, read_recipe

    shown = Table()
    for title in ("recipe", "what it does", "budget", "may lose, points"):
        shown.add_column(title)
    for name in NAMES:
        recipe = read_recipe(name)
        title = f"{name} (default)" if name == DEFAULT else name
        budget = "none" if recipe.pruning is None else in_words(recipe.pruning)
        shown.add_row(title, recipe.description, budget, f"{recipe.max_drop:g}")
    console = Console()
    console.print(shown)
    found = measured()
    if not found:
        return
    results = Table(title="Measured (see benchmarks/)", title_justify="left")
    for title in ("data", "recipe", "faster than float32", "Dice lost, points", "file, of float32"):
        results.add_column(title, justify="left" if title in ("data", "recipe") else "right")
    for entry in found:
        results.add_row(
            entry.data, entry.recipe, f"{entry.speedup:.1f}x", f"{entry.lost:+.2f}", f"1/{1 / entry.size_share:.0f}"
        )
    console.print(results)
