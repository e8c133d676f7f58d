"""`u3p-edge export --pareto`: export a front of networks and show it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from u3p_edge.cli.effect import refuse
from u3p_edge.cli.terminal import say
from u3p_edge.recipes.recipe import ExportRecipe

NOT_HERE = ("locked", "device", "size_budget_mb", "shrink", "pruning_shares", "pruning_steps")
"""Options that say nothing of a front: it chooses its own steps by time, as it is measured on this machine."""


def check_front(context: typer.Context, recipe: ExportRecipe) -> None:
    """Refuse options that have no effect on a front, and recipes that have none."""
    from u3p_edge.errors import ConfigError

    refuse(context, NOT_HERE, "has no effect on a front (--pareto), which prunes by time on this machine", "Leave it out.")
    if not recipe.int8:
        raise ConfigError("--pareto is for int8 files, and no int8 was asked for", mend="Add --int8.")
    if recipe.pruning is None or (recipe.pruning.speedup is None and recipe.pruning.latency_budget_ms is None):
        raise ConfigError("a front is ordered by time, and the recipe has no speed-up", mend="Give --recipe balanced.")


def export_front(
    inputs: tuple[Path | None, Path | None, Path, ExportRecipe], asked: Mapping[str, Any], arguments: Mapping[str, Any]
) -> None:
    """Export a front, and print what it is.

    Args:
        inputs: model, data, folder, recipe.
        asked: the budgets of time that were typed.
        arguments: of `pipeline.front.export_pareto`.
    """
    from u3p_edge.cli.bench import command_line, show
    from u3p_edge.cli.progress import stages

    model, data, out, recipe = inputs
    given = {**arguments, **asked, "command": command_line(sys.argv)}
    with stages() as progress:
        progress("Load TensorFlow", 0)
        from u3p_edge.pipeline.front import export_pareto

        # What is required of the result is checked when the terminal has shown it.
        done = export_pareto(model, data, out, recipe, progress=progress, require_shown=False, **given)
    show(done.result, done.notes)
    if done.reused:
        say("The folder held this very front already; --force does it again.")
    say(f"Report: {done.run / 'report.md'}")
    if recipe.require_shown:
        done.require_shown()
