"""The JSON Schema that travels in the package is that of the dataclasses, and results of every version fit it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from docs.gen.json_schema import PATH, make_schema, to_text
from docs.gen.results import RESULTS
from tests.support.sample_results import result, with_group_dice
from u3p_edge.benchmark.cold_start import ColdStart
from u3p_edge.benchmark.conditions import Conditions
from u3p_edge.benchmark.energy import Energy
from u3p_edge.benchmark.result import Frames, RunResult
from u3p_edge.benchmark.result_file import read_result, to_json
from u3p_edge.benchmark.structure import Structure

KEPT = sorted((*RESULTS.glob("*/*/report.json"), *RESULTS.glob("*/rewrites*/result.json")))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(PATH.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def full() -> RunResult:
    """A result that has everything."""
    value = with_group_dice(result(), lost=0.1)
    first = dataclasses.replace(
        value.artifacts[0],
        frames=Frames(1, (8, 9), (1.0,), (2.0,), (3.0,)),
        structure=Structure((("CONV_2D", 3),), 10, 64, 0),
        cold_start=ColdStart((1.0,), (2.0,)),
        energy=Energy((0.5,), 1),
    )
    conditions = (Conditions(1, "precision", 3.0, 0.5, 2), Conditions(2, "time", 4.0))
    return dataclasses.replace(value, artifacts=(first, value.artifacts[1]), conditions=conditions)


def test_the_file_is_what_the_dataclasses_say() -> None:
    # If not: python -m docs.gen.json_schema
    assert PATH.read_text(encoding="utf-8") == to_text(make_schema())


@pytest.mark.parametrize("value", [result(), full()], ids=["sparse", "full"])
def test_results_fit(validator: Draft202012Validator, value: RunResult) -> None:
    validator.validate(json.loads(to_json(value)))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.parent.name)
def test_kept_results_of_older_versions_fit_once_they_are_read(validator: Draft202012Validator, path: Path) -> None:
    validator.validate(json.loads(to_json(read_result(path))))


@pytest.mark.parametrize(
    "change",
    [
        lambda value: {**value, "schema": 2},
        lambda value: {**value, "unknown": 1},
        lambda value: {key: entry for key, entry in value.items() if key != "command"},
        lambda value: {**value, "artifacts": [{**value["artifacts"][0], "input_shape": [8, 8]}]},
        lambda value: {**value, "conditions": [{"threads": 1, "ended": "luck", "seconds": 1.0}]},
    ],
)
def test_what_a_reader_would_refuse_does_not_fit(validator: Draft202012Validator, change: Any) -> None:
    value = json.loads(to_json(full()))
    validator.validate(value)
    with pytest.raises(ValidationError):
        validator.validate(change(value))
