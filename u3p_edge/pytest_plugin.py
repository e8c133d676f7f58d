"""pytest plugin: the fixture `u3p_latency` compares a model with the one of a baseline folder, timed side by side.

    def test_the_model_is_as_fast_as_before(u3p_latency):
        u3p_latency("exported/model.int8.tflite", max_slowdown=5)

    pytest --u3p-baseline baseline

The files take turns in one run, as in `u3p-edge gate`. A test fails where the model is slower than allowed, and is skipped
without `--u3p-baseline`, or where the rounds do not decide. Importing this loads nothing of the package.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--u3p-baseline` and `--u3p-seconds`."""
    group = parser.getgroup("u3p-edge")
    group.addoption("--u3p-baseline", metavar="FOLDER", help="folder of model files that u3p_latency compares with")
    group.addoption("--u3p-seconds", type=float, default=60.0, help="seconds that one comparison may take (default: 60)")


@pytest.fixture
def u3p_latency(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that fails the test where a model file is slower than the baseline's file of the same name.

    Its arguments: `path` of the .tflite or .onnx file, and `max_slowdown` in percent (2).
    """
    folder, seconds = request.config.getoption("--u3p-baseline"), request.config.getoption("--u3p-seconds")

    def check(path: str | Path, max_slowdown: float = 2.0) -> None:
        if not folder:
            pytest.skip("no baseline: give --u3p-baseline FOLDER")
        _compare(Path(folder), Path(path), max_slowdown, seconds)

    return check


def _compare(baseline: Path, path: Path, max_slowdown: float, seconds: float) -> None:
    from u3p_edge.benchmark.checks import Tolerances
    from u3p_edge.benchmark.compare import Scope
    from u3p_edge.benchmark.paired_timing import GateTiming
    from u3p_edge.pipeline.gate import gate

    if not (baseline / path.name).is_file():
        pytest.fail(f"{baseline} holds no {path.name} to compare with", pytrace=False)
    verdict = gate(
        baseline,
        path.parent,
        Tolerances(slowdown=max_slowdown / 100),
        scope=Scope(what=("latency",), files=(path.name,)),
        timing=GateTiming(seconds=seconds),
    )
    reasons = "; ".join(check.reason for check in verdict.checks)
    if verdict.outcome == "regressed":
        pytest.fail(reasons, pytrace=False)
    if verdict.outcome != "passed":
        pytest.skip(f"{verdict.outcome}: {reasons}")
