"""The flags of an export's options, made from the fields of its recipe."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer

from u3p_edge.config.options import Option
from u3p_edge.recipes.build import OPTIONS

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
    "model": "Keras files, which do not say these themselves",
    "data": "Data",
}
"""Titles in the help, by group of the recipe."""

PANELS = (FILES_PANEL, *_PANELS.values(), RUN_PANEL)
"""All titles, in order."""

_OTHER_PANELS = {
    **dict.fromkeys(("speedup", "latency_budget_ms", "size_budget_mb", "shrink"), BUDGETS_PANEL),
    **dict.fromkeys(("formats", "float16"), FILES_PANEL),
    "seed": RUN_PANEL,
}
"""Options that another panel shows, by keyword."""

_METAVARS = {"label_map": "VALUE:CLASS,...", "rewrites": "FILE", "mask": "OUTPUT", "sparsity": "SHARE"}


def takes_recipe_options(command: F) -> F:
    """Give a command one flag for each option of `ExportRecipe`, after its argument and in place of its `**options`."""
    signature = inspect.signature(command, eval_str=True)
    *fixed, _ = signature.parameters.values()
    first = next(index for index, one in enumerate(fixed) if one.default is not inspect.Parameter.empty) + 1
    parameters = [*fixed[:first], *map(_parameter, OPTIONS.values()), *fixed[first:]]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # which typer reads
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def parse_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given, each of the type of its field.

    Raises:
        ConfigError: a list, mapping or file that cannot be read; names the flag or the file.
    """
    return {key: _parse(OPTIONS[key], value) for key, value in given.items() if value is not None}


def _parameter(entry: Option) -> inspect.Parameter:
    panel = _OTHER_PANELS.get(entry.key, _PANELS[entry.group])
    bounds = f" [{entry.bounds}]" if str(entry.bounds) else ""
    flag = f"{entry.flag}/--no-{entry.flag.removeprefix('--')}" if entry.hint is bool else entry.flag
    info = typer.Option(flag, help=entry.meaning + bounds, metavar=_metavar(entry), rich_help_panel=panel)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(entry.key, kind, default=None, annotation=Annotated[_typed(entry) | None, info])


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
    if get_origin(entry.hint) is not tuple:
        return value
    if get_args(entry.hint)[0] is float:
        from u3p_edge.cli.numbers import numbers

        return numbers(value, entry.flag)
    return tuple(part.strip() for part in value.split(",") if part.strip())
