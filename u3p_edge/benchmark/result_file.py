"""Benchmark results as JSON files. The form is strict: an unknown, missing or non-finite value is an error."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from u3p_edge.benchmark.result import SCHEMA, RunResult
from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.atomic import read_json, write_json


def save_result(path: Path, result: RunResult) -> None:
    """Write a result as JSON, whole or not at all. Raises ArtifactError."""
    write_json(path, dataclasses.asdict(result))


def to_json(result: RunResult) -> str:
    """Return a result as indented JSON text, as `save_result` writes it."""
    return json.dumps(dataclasses.asdict(result), indent=2, sort_keys=True, allow_nan=False)


def read_result(path: Path) -> RunResult:
    """Read a result that `save_result` wrote. Raises ArtifactError that names the file."""
    try:
        return from_dict(RunResult, _current(read_json(path)))
    except ConfigError as error:
        raise ArtifactError(
            f"{path} is not a benchmark result: {error}", mend="Make one with `u3p-edge bench --save`."
        ) from error


def _current(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a result of an earlier version in the present form; every other value unchanged."""
    version = value.get("schema") if isinstance(value, Mapping) else None
    if version not in (1, 2, 3):
        return value
    try:
        artifacts = value["artifacts"]
        if version == 1:
            artifacts = [{**a, "latencies": [_renamed(entry) for entry in a["latencies"]]} for a in artifacts]
    except (AttributeError, KeyError, TypeError):
        return value  # of no form at all, which `from_dict` says better
    return {**value, "schema": SCHEMA, "artifacts": artifacts}


def _renamed(entry: dict[str, Any]) -> dict[str, Any]:
    return {"covariate" if key == "handoff_ns" else key: value for key, value in entry.items()}
