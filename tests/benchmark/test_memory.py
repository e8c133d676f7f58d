"""Peak memory and cold start of fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import REPOSITORY
from tests.support.small_artifacts import Zoo
from u3p_edge.benchmark.memory import measure_fresh_processes
from u3p_edge.errors import ModelError


@pytest.mark.parametrize("kind", ["int8.tflite", "float32.onnx"])
def test_an_artifact_is_measured(zoo: Zoo, kind: str) -> None:
    steps: list[int] = []
    fresh = measure_fresh_processes(zoo.path(kind), repeats=2, step=lambda *_: steps.append(1))
    actual, cold = fresh.memory, fresh.cold_start
    assert actual is not None
    assert len(cold.total_ms) == 2
    assert all(load > 0 and first > 0 for load, first in zip(cold.load_ms, cold.first_ms, strict=True))
    assert len(actual.peak_mb) == len(steps) == 2
    for baseline, peak in zip(actual.baseline_mb, actual.peak_mb, strict=True):
        # An interpreter of Python with NumPy takes more than 10 MB, and a network of 1000 weights no hundreds.
        assert 10 < baseline <= peak < baseline + 200


def test_memory_of_the_process_that_asks_is_not_counted(zoo: Zoo) -> None:
    quiet = measure_fresh_processes(zoo.path("int8.tflite")).memory
    ballast = np.ones(80_000_000, np.float32)  # 320 MB, touched
    heavy = measure_fresh_processes(zoo.path("int8.tflite")).memory
    assert ballast[-1] == 1
    assert quiet is not None
    assert heavy is not None
    # Fresh processes differ by pages of libraries, by far less than the ballast.
    assert abs(heavy.peak_mb[0] - quiet.peak_mb[0]) < 30


def test_the_probe_needs_no_tensorflow(zoo: Zoo) -> None:
    code = (
        "import sys, runpy; sys.argv = ['probe', sys.argv[1], '1'];"
        "runpy.run_module('u3p_edge.benchmark.memory_probe', run_name='__main__');"
        "assert not {'tensorflow', 'tf_keras', 'scipy', 'onnx'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(zoo.path("int8.onnx"))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"load_ms", "first_ms", "baseline_mb", "peak_mb"}


def test_a_model_that_cannot_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"broken\.tflite cannot be run in a fresh process"):
        measure_fresh_processes(tmp_path / "broken.tflite")
