"""A command with many options: its help shows those that people use, in panels; `--help-all` shows all of them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from u3p_edge.cli.command import Command

_ALL = "u3p_edge.help_all"
"""Key in a context: whether all options are shown."""

OTHER_PANEL = "Help"


class PanelCommand(Command):
    """A command whose short help shows the parameters named in `common`, in panels in the order of `panels`."""

    common: frozenset[str] = frozenset()
    panels: tuple[str, ...] = ()

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then a section for each panel."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in ("Arguments", *self.panels, OTHER_PANEL)}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            is_argument = param.param_type_name == "argument"
            panel = "Arguments" if is_argument else getattr(param, "rich_help_panel", None) or OTHER_PANEL
            is_shown = is_argument or panel == OTHER_PANEL or param.name in self.common or ctx.meta.get(_ALL)
            if record is not None and is_shown:
                sections[panel].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _show_all(context: typer.Context, wanted: bool) -> None:
    if wanted:
        context.meta[_ALL] = True
        print(context.get_help())
        raise typer.Exit


HelpAll = Annotated[bool, typer.Option("--help-all", callback=_show_all, is_eager=True, help="Show all options and exit.")]
"""The type of a parameter that shows all options."""
