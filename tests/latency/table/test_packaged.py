"""Which packaged table is for which processor, and what every packaged table has to hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.any_size_tables import AVX2, pretend_avx2
from tests.support.latency_tables import two_scales
from u3p_edge.latency.table.packaged import FOLDER, packaged_table
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import read_latency_table
from u3p_edge.runtime.processor import processor_class

VNNI = "avx2 avx512f avx512bw avx512cd avx512dq avx512vl avx512_vnni"
TABLES = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (AVX2, "x86_avx2"),
        (f"flags : {VNNI}\n", "x86_avx512_vnni"),
        (f"flags : {VNNI.removesuffix(' avx512_vnni')}\n", "x86_avx512"),
        ("flags : avx2 avx_vnni\n", "x86_avx_vnni"),
        ("flags : sse4_2\n", ""),
        ("CPU implementer : 0x41\nCPU part : 0xd08\n", "cortex_a72"),
        ("CPU part : 0xd0b\n", "cortex_a76"),
        ("CPU part : 0xfff\n", ""),
        ("", ""),
    ],
)
def test_the_class_of_a_processor(cpuinfo: str, expected: str) -> None:
    assert processor_class(cpuinfo) == expected


@pytest.mark.parametrize("number", ["int8", "float32"])
def test_a_table_is_found_for_its_processor_and_no_other(number: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = packaged_table(number, AVX2)
    assert found is not None
    assert (found.device.processor, found.device.number) == ("x86_avx2", number)
    assert packaged_table(number, AVX2.replace("avx2", "avx")) is None
    pretend_avx2(monkeypatch, tmp_path)
    assert packaged_table(number) == found


@pytest.mark.parametrize("path", TABLES, ids=[path.name for path in TABLES])
def test_every_packaged_table_is_what_its_name_says(path: Path) -> None:
    table = read_latency_table(path)
    assert path.name == f"{table.device.processor}.{table.device.number}.json"
    assert table.any_size
    assert table.device.threads == 1
    assert table.checks
    predictor = Predictor(table)
    assert predictor.predict(two_scales(4)).total_ms < predictor.predict(two_scales(64)).total_ms
