"""`u3p-edge recipes`: what the named recipes do, what they were measured to give, and their files to copy."""

from __future__ import annotations

from typing import Annotated

import typer

from u3p_edge.cli.terminal import print_table


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe's TOML file instead of the list.")] = None,
) -> None:
    """List the recipes of `u3p-edge export --int8`, or print one to copy and change.

    u3p-edge recipes
    u3p-edge recipes balanced > mine.toml
    u3p-edge export RUN --int8 --data FOLDER --recipe mine.toml
    """
    from u3p_edge.recipes.named import path_of, read_export_recipe

    if name is None:
        _list()
        return
    read_export_recipe(name)
    print(path_of(name).read_text(encoding="utf-8"), end="")


def _list() -> None:
    from u3p_edge.cli.budgets import describe_budgets
    from u3p_edge.recipes.named import DEFAULT, NAMES, read_export_recipe, read_measured

    rows = []
    for name in NAMES:
        recipe = read_export_recipe(name)
        title = f"{name} (default)" if name == DEFAULT else name
        budget = "none" if recipe.pruning is None else describe_budgets(recipe.pruning)
        rows.append([title, recipe.description, budget, f"{recipe.max_drop:g}"])
    header = ["recipe", "what it does", "budget", "may lose, points"]
    print_table(header, rows, words=header[:3])
    results = [[e.data, e.recipe, f"{e.speedup:.1f}x", f"{-e.lost:+.2f}", f"1/{1 / e.size_share:.0f}"] for e in read_measured()]
    if results:
        header = ["data", "recipe", "faster than float32", "change of Dice, points", "file, of float32"]
        print_table(header, results, title="Measured (see benchmarks/)", words=header[:2])
