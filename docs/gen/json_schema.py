"""The JSON Schema of a benchmark result, made from the dataclasses that read and write it.

    python -m docs.gen.json_schema

writes u3p_edge/benchmark/result.schema.json, which travels in the package. Descriptions are the lines of the `Args:` of each
class's docstring. (JSON Schema, draft 2020-12.)
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import u3p_edge
from docs.gen.schemas import held_classes, meanings
from u3p_edge.benchmark.result import SCHEMA, RunResult

PATH = Path(u3p_edge.__file__).parent / "benchmark" / "result.schema.json"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
PLAIN: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def make_schema(cls: type = RunResult) -> dict[str, Any]:
    """Return the schema of the JSON form of a dataclass, and of all that it holds."""
    root, *others = (_describe(one) for one in held_classes(cls))
    root["properties"]["schema"]["const"] = SCHEMA
    names = [one.__name__ for one in held_classes(cls)[1:]]
    return {"$schema": DRAFT, "title": cls.__name__, **root, "$defs": dict(zip(names, others, strict=True))}


def to_text(schema: dict[str, Any]) -> str:
    """Return the file's text."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _describe(cls: type) -> dict[str, Any]:
    hints, meaning = typing.get_type_hints(cls), meanings(cls)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    described = {name: {"description": meaning[name]} if name in meaning else {} for name in (field.name for field in fields)}
    required = [f.name for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
    return {
        "type": "object",
        "description": " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split()),
        "properties": {field.name: {**_kind(hints[field.name]), **described[field.name]} for field in fields},
        "required": required,
        "additionalProperties": False,
    }


def _kind(hint: Any) -> dict[str, Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(args)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_kind(part) for part in args]}
    if origin is tuple and args[-1] is Ellipsis:
        return {"type": "array", "items": _kind(args[0])}
    if origin is tuple:
        return {"type": "array", "prefixItems": [_kind(part) for part in args], "items": False, "minItems": len(args)}
    if dataclasses.is_dataclass(hint):
        return {"$ref": f"#/$defs/{hint.__name__}"}  # type: ignore[union-attr] # mypy takes it for a value
    return {"type": PLAIN[hint]}


if __name__ == "__main__":
    PATH.write_text(to_text(make_schema()), encoding="utf-8")
