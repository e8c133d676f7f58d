"""A table is a file that another machine wrote: it comes back as it was, and everything in it is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.latency_tables import made_up
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.latency.probe import Target
from u3p_edge.latency.table.table import Correction, TableCheck, read_latency_table, write_latency_table


def test_a_table_comes_back(tmp_path: Path) -> None:
    table = replace(
        made_up(Correction(1.1, -0.001)), checks=(TableCheck("half", 1.1, 1.0), TableCheck("more", 1.8, 2.0)), disturbed=3
    )
    write_latency_table(tmp_path / "device.json", table)
    assert read_latency_table(tmp_path / "device.json") == table
    assert [path.name for path in tmp_path.iterdir()] == ["device.json"]
    assert table.device.target == Target("int8", 1)
    assert [check.error for check in table.checks] == pytest.approx([0.1, -0.1])
    assert table.worst_error == pytest.approx(0.1)
    assert made_up().worst_error == 0.0


def put(*path: object, value: object) -> Callable[[Any], None]:
    """A change of one value deep in the JSON."""

    def change(whole: Any) -> None:
        for key in path[:-1]:
            whole = whole[key]
        whole[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("schema", value=2), "no latency table of version 1"),
        (put("table", value=[]), "no object `table`"),
        (put("table", "layer", value=[]), "layer"),
        (put("table", "device", "threads", value=0), "0 threads"),
        (put("table", "device", "cores", value=0), "0 cores"),
        (put("table", "device", "number", value="int4"), "int4"),
        (put("table", "device", "runtime", value="abacus"), "abacus"),
        (put("table", "device", "cpu", value=7), "cpu"),
        (put("table", "steps", "outputs", value=0), "step by 1 and 0"),
        (put("table", "correction", "factor", value=-1.0), "-1.0 times"),
        (put("table", "correction", "each_ms", value="0"), "each_ms"),
        (put("table", "layers", 0, "entries", value=[]), "rising order"),
        (put("table", "layers", 0, "entries", 0, value=[1, 8]), "3 items"),
        (put("table", "layers", 0, "entries", 0, value=[0, 8, 1.0]), "rising order"),
        (put("table", "layers", 0, "entries", 0, value=[99, 8, 1.0]), "rising order"),
        (put("table", "layers", 0, "entries", 0, value=[1, 8, 0.0]), "above 0"),
        (put("table", "layers", 0, "entries", 0, value=[1, 8, "fast"]), "fast"),
        (put("table", "layers", 1, "key", value="conv 8x8 kernel=3x3 padding=same"), "padding=same' twice"),
        (put("table", "checks", 0, "measured_ms", value=0.0), "two times above 0"),
    ],
)
def test_a_strangers_table_is_looked_at(change: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    path = tmp_path / "phone.json"
    write_latency_table(path, replace(made_up(), checks=(TableCheck("half", 1.0, 1.0),)))
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(ArtifactError) as refused:
        read_latency_table(path)
    assert "phone.json" in str(refused.value)
    assert message in str(refused.value)
    assert "u3p-edge device profile" in refused.value.mend


@pytest.mark.parametrize("text", ["", "[]", "not JSON", '{"schema": 1, "table": {"device": NaN}}'])
def test_what_is_no_table_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "phone.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"phone\.json"):
        read_latency_table(tmp_path / "phone.json")
    with pytest.raises(ArtifactError, match="does not exist"):
        read_latency_table(tmp_path / "absent.json")


def test_a_time_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError):
        TableCheck("half", float("nan"), 1.0)
    with pytest.raises(ConfigError):
        Correction(float("inf"))
