"""The JSON for github-action-benchmark holds the figures of the result, and every one of them is better when it is smaller."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from tests.support.sample_results import result
from u3p_edge.report.github_benchmark import render_github_benchmark


def test_every_entry_has_the_fields_that_the_action_reads() -> None:
    for entry in json.loads(render_github_benchmark(result())):
        assert {"name", "unit", "value", "extra"} <= set(entry) <= {"name", "unit", "value", "range", "extra"}
        assert isinstance(entry["value"], float)
        assert all(isinstance(value, str) for key, value in entry.items() if key != "value")


def test_the_values_are_those_of_the_result() -> None:
    value = result(dice=0.9, size=1_500_000)
    entries = {entry["name"]: entry for entry in json.loads(render_github_benchmark(value))}
    int8, reference = value.artifacts[1], value.artifacts[0]
    for index, words in enumerate(("1 thread", "2 threads")):
        times = np.array(int8.latencies[index].samples_ms)
        assert entries[f"model.int8.tflite: latency, {words}"]["value"] == pytest.approx(np.median(times))
        paired = np.median(times / np.array(reference.latencies[index].samples_ms))
        assert entries[f"model.int8.tflite: latency, {words}, ratio"]["value"] == pytest.approx(paired)
    assert "model.float32.tflite: latency, 1 thread, ratio" not in entries, "the reference has no ratio to itself"
    # Memory is the median of 80.0, 80.2 and 80.1; the Dice of the two classes is 0.90 and 0.88.
    assert entries["model.int8.tflite: peak memory"]["value"] == pytest.approx(80.1)
    assert entries["model.int8.tflite: size"]["value"] == 1.5
    assert entries["model.int8.tflite: 100 - mean Dice"]["value"] == pytest.approx(11)


def test_what_was_not_measured_has_no_entry() -> None:
    value = result()
    bare = tuple(dataclasses.replace(a, memory=None, accuracy=None, latencies=()) for a in value.artifacts)
    text = render_github_benchmark(dataclasses.replace(value, artifacts=bare, data=None))
    assert [entry["name"] for entry in json.loads(text)] == ["model.float32.tflite: size", "model.int8.tflite: size"]
