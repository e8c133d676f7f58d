"""`u3p-edge recipes`: what the named recipes do, what they were measured to give, and all their options to copy and change."""

from __future__ import annotations

from typing import Annotated

import typer

from u3p_edge.cli.command import Command
from u3p_edge.cli.help import help_of
from u3p_edge.cli.terminal import print_table

recipes_app = typer.Typer(help="Look at the recipes of `u3p-edge export --int8`.", rich_markup_mode=None)


@recipes_app.callback(invoke_without_command=True)
def _recipes(context: typer.Context) -> None:
    """Look at the recipes of `u3p-edge export --int8`."""
    if context.invoked_subcommand is None:
        list_recipes()


def list_recipes() -> None:
    """List the recipes of `u3p-edge export --int8`, with their budgets and what they were measured to give.

    The default is balanced; it drops channels, and exact drops none.

        u3p-edge recipes list
        u3p-edge export RUN --int8 --data FOLDER --recipe small
    """
    from u3p_edge.cli.budgets import describe_budgets
    from u3p_edge.recipes.named import DEFAULT, NAMES, read_export_recipe, read_measured

    rows = []
    for name in NAMES:
        named = read_export_recipe(name)
        title = f"{name} (default)" if name == DEFAULT else name
        budget = "none" if named.recipe.pruning is None else describe_budgets(named.recipe.pruning)
        rows.append([title, named.description, budget, f"{named.recipe.max_drop:g}"])
    header = ["recipe", "what it does", "budget", "may lose, points"]
    print_table(header, rows, words=header[:3])
    results = [[e.data, e.recipe, f"{e.speedup:.1f}x", f"{-e.lost:+.2f}", f"1/{1 / e.size_share:.0f}"] for e in read_measured()]
    if results:
        header = ["data", "recipe", "faster than float32", "change of Dice, points", "file, of float32"]
        print_table(header, results, title="Measured before the recipes named a shape (see benchmarks/)", words=header[:2])


def show_recipe(name: Annotated[str, typer.Argument(help="exact, balanced, small, or a TOML file.")]) -> None:
    """Print every option of a recipe with its value and its meaning, as a TOML file to copy and change.

    An option without a value, and every option of a group that is off, is a comment.

        u3p-edge recipes show balanced > mine.toml
        u3p-edge export RUN --int8 --data FOLDER --recipe mine.toml
    """
    from u3p_edge.recipes.named import read_export_recipe
    from u3p_edge.recipes.toml_text import recipe_to_toml

    print(recipe_to_toml(read_export_recipe(name)), end="")


recipes_app.command("list", cls=Command, help=help_of(list_recipes))(list_recipes)
recipes_app.command("show", cls=Command, help=help_of(show_recipe))(show_recipe)
