"""What a result says of its machine."""

from __future__ import annotations

import dataclasses
import getpass
import platform
from pathlib import Path

from u3p_edge.benchmark.environment import SMALL, available_cores, describe_environment, scoring_threads
from u3p_edge.runtime.processor import parse_cpuinfo

CPUINFO = """processor\t: 0
model name\t: Some CPU @ 2.0GHz
flags\t\t: fpu avx2 avx512_vnni

processor\t: 1
model name\t: Other
"""


def test_the_first_core_is_read() -> None:
    assert parse_cpuinfo(CPUINFO)["model name"] == "Some CPU @ 2.0GHz"
    assert parse_cpuinfo("") == {}


def test_this_machine() -> None:
    actual = describe_environment()
    assert actual.cores == available_cores() >= 1
    assert actual.cpu
    assert actual.python == platform.python_version()
    assert "ai-edge-litert" in dict(actual.libraries)


def test_neither_host_nor_user_is_named() -> None:
    text = str(dataclasses.asdict(describe_environment()))
    for secret in (platform.node(), getpass.getuser()):
        # A name such as "vm" may be a part of an honest word; whole words count.
        assert f"'{secret}'" not in text
        assert f" {secret} " not in text


def test_a_small_network_is_scored_in_one_thread(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    for size, expected in ((1, 1), (SMALL - 1, 1), (SMALL, available_cores())):
        with path.open("wb") as file:
            file.truncate(size)
        assert scoring_threads(path) == expected
    assert scoring_threads(tmp_path / "missing.tflite") == 1  # which the runtime then says in its own words
