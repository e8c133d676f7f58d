"""`device profile` writes a table that another machine reads, with the runtime alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.command_line import Program, left_in, refusal
from tests.support.hasty_measuring import IN_A_PROCESS
from tests.support.missing_packages import NOT_ON_A_DEVICE, run_without
from tests.support.small_artifacts import Zoo
from u3p_edge.cli.device import _findings
from u3p_edge.conversion.network_file import read_network
from u3p_edge.files.atomic import read_json
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.scheme import Quantized
from u3p_edge.latency.probe import Target
from u3p_edge.latency.table.measure import list_channel_points
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import LatencyTable, TableCheck, read_latency_table
from u3p_edge.pipeline.publish import NETWORK_FILE as NETWORK


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("U3P_EDGE_CACHE", str(tmp_path / "cache"))


def network(zoo: Zoo) -> Graph:
    read = read_network((zoo.folder / NETWORK).read_bytes())
    assert isinstance(read, Quantized)
    return read.graph


def entries(table: LatencyTable) -> list[tuple[int, int]]:
    return [(inputs, outputs) for layer in table.layers for inputs, outputs, _ms in layer.entries]


def test_the_help_teaches(program: Program) -> None:
    done = program("device", "profile", "--help")
    text = " ".join(done.out.split())
    assert done.code == 0
    assert "it needs no TensorFlow" in text
    assert "pruning on another machine goes by it" in text
    assert re.search(r"^ +u3p-edge device profile exported/network.int8.safetensors --out", done.out, re.MULTILINE)


def test_a_table_is_written_and_its_errors_are_shown(program: Program, zoo: Zoo, tmp_path: Path) -> None:
    out = tmp_path / "pi.json"
    done = program("device", "profile", zoo.folder / NETWORK, "--out", out)
    assert done.code == 0, done.err
    table = read_latency_table(out)
    assert table.device.target == Target("int8", 1)
    assert len(table.checks) == 4
    for check in table.checks:
        (row,) = [line for line in done.out.splitlines() if check.name in line]
        assert f"{check.predicted_ms:.3f}" in row
        assert f"{check.measured_ms:.3f}" in row
        assert f"{check.error:+.1%}" in row
    assert f"every {table.steps.outputs} output channels" in " ".join(done.out.split())
    assert left_in(tmp_path / "absent") == []
    assert set(Predictor(table).predict(network(zoo)).nodes)


def test_number_threads_and_quick_are_taken(program: Program, zoo: Zoo, tmp_path: Path) -> None:
    out, whole = tmp_path / "quick.json", tmp_path / "whole.json"
    arguments = ("device", "profile", zoo.folder / NETWORK, "--number", "float32", "--threads", 2)
    assert program(*arguments, "--quick", "--out", out).code == 0
    assert program(*arguments, "--out", whole, "--fresh").code == 0
    table = read_latency_table(out)
    assert table.device.target == Target("float32", 2)
    assert len(table.checks) == 2
    # How far apart the counts may be hangs on the steps that were found: they are the machine's, and the two may differ.
    graph = network(zoo)
    assert entries(table) == [(p.inputs, p.outputs) for p in list_channel_points(graph, table.steps, quick=True)]
    assert entries(read_latency_table(whole)) == [
        (p.inputs, p.outputs) for p in list_channel_points(graph, read_latency_table(whole).steps)
    ]


def test_a_dry_run_writes_nothing(program: Program, zoo: Zoo, tmp_path: Path) -> None:
    done = program("device", "profile", zoo.folder / NETWORK, "--dry-run", "--out", tmp_path / "t.json")
    assert done.code == 0
    assert re.search(r"^7 kinds of layers at \d+ channel counts would be timed: about \d+ s", done.out)
    assert not (tmp_path / "t.json").exists()


def test_what_spoils_a_table_is_reported(program: Program, zoo: Zoo, tmp_path: Path) -> None:
    out = tmp_path / "t.json"
    assert program("device", "profile", zoo.folder / NETWORK, "--out", out, "--quick").code == 0
    table = replace(read_latency_table(out), checks=(TableCheck("a", 1.1, 1.0),), disturbed=0)
    assert len(_findings(table, out)) == 2
    worse = " ".join(_findings(replace(table, checks=(TableCheck("a", 1.3, 1.0),), disturbed=2), out))
    assert "off by up to 30%" in worse
    assert "2 times were taken while other programs slowed the machine" in worse


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.safetensors", None, "absent.safetensors does not exist"),
        ("other.safetensors", b"something else entirely", "not a network"),
        ("model.int8.tflite", b"x", "network.int8.safetensors"),
        ("model.onnx", b"x", "u3p-edge export"),
        ("model.keras", b"x", "u3p-edge export"),
    ],
)
def test_what_cannot_be_profiled_is_named(
    name: str, content: bytes | None, message: str, program: Program, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for more in ((), ("--dry-run",)):
        assert message in refusal(program("device", "profile", tmp_path / name, "--out", tmp_path / "t.json", *more))
    assert not (tmp_path / "t.json").exists()


def test_a_table_that_cannot_be_written_is_reported(program: Program, zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refusal(program("device", "profile", zoo.folder / NETWORK, "--quick", "--out", tmp_path / "file" / "t.json"))
    assert "t.json cannot be written" in message or "file cannot be written" in message


def test_it_needs_the_runtime_alone(zoo: Zoo, tmp_path: Path) -> None:
    out = tmp_path / "t.json"
    code = (
        "import sys\n"
        f"sys.argv = ['u3p-edge', 'device', 'profile', {str(zoo.folder / NETWORK)!r}, '--quick', '--out', {str(out)!r}]\n"
        "from u3p_edge.cli.main import main; main()"
    )
    done = run_without(NOT_ON_A_DEVICE, IN_A_PROCESS + code)
    assert done.returncode == 0, done.stderr
    assert json.dumps(dict(read_json(out)))
    assert read_latency_table(out).device.version
