"""Every operator of a file is counted under its kind and has a time; what cannot be cut into operators has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hasty_measuring import measure_hastily
from tests.support.timed_files import write_chain
from u3p_edge.benchmark.operator_times import OperatorTime, measure_operators
from u3p_edge.benchmark.read_structure import read_structure
from u3p_edge.errors import ConfigError


def test_each_kind_has_its_count_and_its_time(tmp_path: Path) -> None:
    path = write_chain(tmp_path, 3)
    steps: list[int] = []
    with measure_hastily():
        times = measure_operators(path, lambda *_: steps.append(1))
    assert len(steps) == 1
    assert tuple(sorted((one.operator, one.count) for one in times)) == read_structure(path).operators
    assert all(one.ms > 0 for one in times)
    assert [one.ms for one in times] == sorted((one.ms for one in times), reverse=True)


def test_another_format_has_none(tmp_path: Path) -> None:
    steps: list[int] = []
    assert measure_operators(tmp_path / "model.onnx", lambda *_: steps.append(1)) == ()
    assert len(steps) == 1, "a file that is skipped is done as well"


@pytest.mark.parametrize(("count", "ms"), [(0, 1.0), (1, -1.0), (1, float("inf")), (1, float("nan"))])
def test_a_time_that_is_none_is_refused(count: int, ms: float) -> None:
    with pytest.raises(ConfigError):
        OperatorTime("ADD", count, ms)
