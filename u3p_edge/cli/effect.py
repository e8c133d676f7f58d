"""Options that would change nothing: typed all the same, they are refused, since whoever typed them expects something."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from u3p_edge.errors import ConfigError


def typed_options(context: typer.Context, names: Sequence[str]) -> tuple[str, ...]:
    """The options of those parameters that were typed or set by the environment, e.g. "--fit"."""
    sources = {name: context.get_parameter_source(name) for name in names}
    given = [name for name, source in sources.items() if source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")]
    flags = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    return tuple(flags[name] for name in given)


def refuse(context: typer.Context, names: Sequence[str], because: str, mend: str) -> None:
    """Raise ConfigError if one of those parameters was typed; `because` says why it changes nothing, after its name."""
    given = typed_options(context, names)
    if given:
        raise ConfigError(f"{given[0]} {because}", mend=mend)
