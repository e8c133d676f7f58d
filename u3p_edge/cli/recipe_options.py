"""The flags of the options of a recipe, made from its fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer

from u3p_edge.cli.numbers import numbers, parse_size
from u3p_edge.config.options import Option

F = TypeVar("F", bound=Callable[..., Any])

BUDGETS_PANEL = "Accuracy and budgets"
FILES_PANEL = "Files"
INT8_PANEL = "Quantization to int8"
RUN_PANEL = "This run"

_PANELS = {
    "": BUDGETS_PANEL,
    "pruning": "Pruning",
    "quantization": INT8_PANEL,
    "sparsity": "Sparsity",
    "rewriting": "Rewriting",
    "tiling": "Spatial tiling",
    "measurement": "Measurement",
    "model": "Keras and ONNX files, which do not say these themselves",
    "data": "Data, which is read as in training without these",
}
"""Titles in the help, by group of the recipe."""

PANELS = (FILES_PANEL, *_PANELS.values(), RUN_PANEL)
"""All titles, in order."""

_OTHER_PANELS = {
    **dict.fromkeys(("speedup", "latency_budget_ms", "size_budget_mb", "shrink"), BUDGETS_PANEL),
    **dict.fromkeys(("formats", "float16", "output"), FILES_PANEL),
    "seed": RUN_PANEL,
}
"""Options that another panel shows, by keyword."""

_METAVARS = {
    "backbone_weights": "FILE",
    "label_map": "VALUE:CLASS,...",
    "mask_colours": "COLOUR:CLASS,...|FILE",
    "rewrites": "FILE",
    "mask": "OUTPUT",
    "sparsity": "SHARE",
    "size": "HxW",
}


def panel_of(entry: Option) -> str:
    """Return the title of the part of `export --help` that shows an option."""
    return _OTHER_PANELS.get(entry.key, _PANELS[entry.group])


def takes_options(options: Mapping[str, Option], panel: Callable[[Option], str] | None = None) -> Callable[[F], F]:
    """Give a command one flag for each option, after its arguments and in place of its `**options`.

    Args:
        options: of a recipe, by keyword.
        panel: the title that the help shows an option under; None for help without titles, with the defaults.
    """

    def decorate(command: F) -> F:
        signature = inspect.signature(command, eval_str=True)
        *fixed, _ = signature.parameters.values()
        first = next((index for index, one in enumerate(fixed, 1) if one.default is not inspect.Parameter.empty), len(fixed))
        flags = [_parameter(entry, panel) for entry in options.values()]
        parameters = [*fixed[:first], *flags, *fixed[first:]]
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # which typer reads
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        return command

    return decorate


def parse_options(options: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given, each of the type of its field.

    Raises:
        ConfigError: a list, mapping or file that cannot be read; names the flag or the file.
    """
    return {key: _parse(options[key], value) for key, value in given.items() if value is not None}


def _parameter(entry: Option, panel: Callable[[Option], str] | None) -> inspect.Parameter:
    bounds = f" [{entry.bounds}]" if str(entry.bounds) else ""
    default = "" if panel or entry.default in (None, (), "") else f" (default: {_shown(entry.default)})"
    flag = f"{entry.flag}/--no-{entry.flag.removeprefix('--')}" if entry.hint is bool else entry.flag
    title = panel(entry) if panel else None
    info = typer.Option(flag, help=entry.meaning + bounds + default, metavar=_metavar(entry), rich_help_panel=title)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(entry.key, kind, default=None, annotation=Annotated[_typed(entry) | None, info])


def _shown(default: Any) -> str:
    """Return a default as it is typed."""
    if isinstance(default, tuple):
        return "x".join(map(str, default))
    return {True: "on", False: "off"}[default] if isinstance(default, bool) else f"{default}"


def _typed(entry: Option) -> Any:
    """Return the type that the command line reads."""
    if entry.key == "rewrites":
        return Path
    return str if entry.key == "sparsity" or get_origin(entry.hint) is tuple else entry.hint


def _metavar(entry: Option) -> str | None:
    if get_origin(entry.hint) is Literal:
        return "|".join(get_args(entry.hint))
    return _METAVARS.get(entry.key, "A,B,..." if get_origin(entry.hint) is tuple else None)


def _parse(entry: Option, value: Any) -> Any:
    if entry.key == "rewrites":
        from u3p_edge.pipeline.choices import read_pairs

        return read_pairs(value)
    if entry.key == "label_map":
        from u3p_edge.data.labels import parse_mapping

        return parse_mapping(value)
    if entry.key == "mask_colours":
        from u3p_edge.data.colours import parse_colours

        return parse_colours(value)
    if entry.key == "size":
        return parse_size(value)
    if get_origin(entry.hint) is not tuple:
        return value
    if get_args(entry.hint)[0] is float:
        return numbers(value, entry.flag)
    return tuple(part.strip() for part in value.split(",") if part.strip())
