"""Tables of the fields of recipes and JSON files, made from the dataclasses that read and write them.

    <!-- schema: u3p_edge.benchmark.result.RunResult -->      its fields, and those of the dataclasses in it
    <!-- options: u3p_edge.recipes.recipe.ExportRecipe -->    its options by group: as key of a file, as keyword, as flag

The meaning of a field is its line in the `Args:` of the class's docstring.
MkDocs calls `on_page_markdown` as one of the hooks that mkdocs.yml names.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from u3p_edge.config.options import Option, list_groups, list_options

DIRECTIVE = re.compile(r"^<!-- (schema|options): ([\w.]+)\.(\w+) -->$", re.MULTILINE)


def schema(cls: type) -> str:
    """Return a table of the fields of a dataclass, and one of each dataclass that it holds."""
    return "\n\n".join(map(_section, held_classes(cls)))


def options_table(cls: type) -> str:
    """Return a table of the options of each group of a dataclass, of those without a group first."""
    options = list_options(cls)
    titles = {"": "", **{name: (group.__doc__ or "").splitlines()[0] for name, group in list_groups(cls).items()}}
    parts = []
    for name, title in titles.items():
        rows = [
            f"| `{one.field}` | `{one.key}` | `{one.flag}` | {_type_name(one.hint)} | {_value(one.default)} | {_meaning(one)} |"
            for one in options
            if one.group == name
        ]
        heading = f"### {name}\n\n{_plain(title)}\n" if name else ""
        header = ["| key | keyword | flag | type | default | meaning |", "| --- | --- | --- | --- | --- | --- |"]
        parts.append("\n".join([heading, *header, *rows]))
    return "\n\n".join(parts)


def held_classes(cls: type) -> tuple[type, ...]:
    """Return a dataclass and those in its fields, and in theirs, each once."""
    classes = [cls]
    for one in classes:  # grows on the way
        parts = (part for hint in typing.get_type_hints(one).values() for part in _parts(hint))
        classes += [part for part in dict.fromkeys(parts) if isinstance(part, type) and _is_new(part, classes)]
    return tuple(classes)


def meanings(cls: type) -> dict[str, str]:
    """Return the meaning of each field by the `Args:` section of the class's docstring; "a, b: text" is of both."""
    section = re.search(r"^Args:\n((?: +.*\n?|\n)+)", inspect.cleandoc(cls.__doc__ or ""), re.MULTILINE)
    entries = re.findall(r"^    (\w+(?:, \w+)*): (.*(?:\n {5,}.*)*)", section[1] if section else "", re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}


def expand(markdown: str) -> str:
    """Return a page with its directives replaced by the tables that they ask for."""
    makers = {"schema": schema, "options": options_table}
    return DIRECTIVE.sub(lambda match: makers[match[1]](getattr(importlib.import_module(match[2]), match[3])), markdown)


def on_page_markdown(markdown: str, **_: object) -> str:
    """MkDocs' hook: expand the directives of one page."""
    return expand(markdown)


def _section(cls: type) -> str:
    hints, meaning = typing.get_type_hints(cls), meanings(cls)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    cells = [(_type_name(hints[field.name]), _default(field), _plain(meaning.get(field.name, ""))) for field in fields]
    rows = [f"| `{field.name}` | {' | '.join(row)} |" for field, row in zip(fields, cells, strict=True)]
    summary = _plain(" ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split()))
    header = ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([f"**{cls.__name__}**: {summary}", "", *header, *rows])


def _is_new(part: type, classes: list[type]) -> bool:
    return dataclasses.is_dataclass(part) and part not in classes


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for part in get_args(hint):
        yield from _parts(part)


def _type_name(hint: Any) -> str:
    """Return a type as the JSON or TOML file has it."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in args)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(part) for part in args)
    if origin is tuple:
        return f"list of {_type_name(args[0])}" if args[-1] is Ellipsis else f"[{', '.join(map(_type_name, args))}]"
    if origin is not None:
        return "table"
    plain = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "nothing", Path: "path"}
    return plain.get(hint, getattr(hint, "__name__", str(hint)))


def _plain(text: str) -> str:
    """Return a sentence in Markdown: what is not between backticks is plain text."""
    return re.sub(r"(`[^`]*`)|([*\[|])|<", lambda match: match[1] or (f"\\{match[2]}" if match[2] else "&lt;"), text)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        value = field.default
    else:
        return "required"
    return _value(value)


def _value(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        return "as below"
    return "none" if value is None else f"`{json.dumps(value)}`"


def _meaning(one: Option) -> str:
    bounds = str(one.bounds)
    return _plain(f"{one.meaning} ({bounds})" if bounds else one.meaning)
