"""What was measured is remembered; a damaged or foreign cache is begun again, and never an error."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.timed_graphs import conv_and_pool
from u3p_edge.cache import FOLDER, default_folder
from u3p_edge.graph.ir import Graph
from u3p_edge.latency import cache
from u3p_edge.latency.cache import FILE, cache_measure
from u3p_edge.latency.probe import Target

INT8 = Target("int8")
PAIR = (conv_and_pool(), conv_and_pool(channels=8))


class CountingMeasure:
    """Gives a new figure for every graph it is ever asked about, so that figures of two calls differ."""

    def __init__(self) -> None:
        self.calls = 0
        self._next = 0.0

    def __call__(self, graphs: Sequence[Graph]) -> tuple[float, ...]:
        self.calls += 1
        figures = tuple(self._next + index for index in range(1, len(graphs) + 1))
        self._next += len(graphs)
        return figures


@pytest.fixture
def watch() -> CountingMeasure:
    return CountingMeasure()


def test_the_second_run_of_the_program_does_not_measure(watch: CountingMeasure, tmp_path: Path) -> None:
    first = cache_measure(watch, INT8, tmp_path)(PAIR)
    assert cache_measure(watch, INT8, tmp_path)((conv_and_pool(seed=3), conv_and_pool(channels=8, names="x"))) == first
    assert watch.calls == 1


@pytest.mark.parametrize("other", [Target("float32"), Target("int8", threads=2)])
def test_another_target_is_measured(other: Target, watch: CountingMeasure, tmp_path: Path) -> None:
    first = cache_measure(watch, INT8, tmp_path)(PAIR)
    assert cache_measure(watch, other, tmp_path)(PAIR) != first
    assert cache_measure(watch, INT8, tmp_path)(PAIR) == first, "and the first is still known"


def test_figures_of_two_calls_are_never_mixed(watch: CountingMeasure, tmp_path: Path) -> None:
    measure = cache_measure(watch, INT8, tmp_path)
    measure(PAIR)
    third = conv_and_pool(channels=9)
    assert measure((PAIR[0], third)) == (3.0, 4.0), "a known graph beside an unknown one is measured again"
    assert measure((PAIR[0],)) == (5.0,), "a part of a call is another call"
    assert measure(PAIR) == (1.0, 2.0)


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def applied(text: str) -> str:
        value = json.loads(text)
        change(value)
        return json.dumps(value)

    return applied


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda _: "[]",
        lambda _: "{}",
        changed(lambda value: value.update(entries=["no"])),
        changed(lambda value: value.update(entries=[[key, [1.0, "2"]] for key, _ in value["entries"]])),
        changed(lambda value: value.update(entries=[[key, [1.0]] for key, _ in value["entries"]])),
        changed(lambda value: value.update(entries=[[key, [1.0, -2.0]] for key, _ in value["entries"]])),
        changed(lambda value: value.update(version="another")),
        lambda _: '{"entries": ' * 100_000,
        lambda text: text.replace("1.0", "9" * 5000),
    ],
    ids=["cut", "empty", "a list", "no entries", "calls", "a word", "too few", "negative", "version", "deep", "long number"],
)
def test_a_damaged_or_foreign_file_is_begun_again(damage: Callable[[str], str], watch: CountingMeasure, tmp_path: Path) -> None:
    cache_measure(watch, INT8, tmp_path)(PAIR)
    file = tmp_path / FILE
    file.write_text(damage(file.read_text()))
    assert cache_measure(watch, INT8, tmp_path)(PAIR) == (3.0, 4.0)
    assert cache_measure(watch, INT8, tmp_path)(PAIR) == (3.0, 4.0)
    assert watch.calls == 2


def test_bytes_that_are_no_text_are_begun_again(watch: CountingMeasure, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff\xfe\x00")
    assert cache_measure(watch, INT8, tmp_path)(PAIR) == cache_measure(watch, INT8, tmp_path)(PAIR)


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, lambda path: path.symlink_to(path), lambda path: path.symlink_to("/dev/zero")],
    ids=["pipe", "loop", "device"],
)
def test_what_is_no_file_is_replaced_and_not_waited_for(
    make: Callable[[Path], None], watch: CountingMeasure, tmp_path: Path
) -> None:
    make(tmp_path / FILE)
    assert cache_measure(watch, INT8, tmp_path)(PAIR) == cache_measure(watch, INT8, tmp_path)(PAIR)
    assert watch.calls == 1


@pytest.mark.parametrize("what", ["PROBE_VERSION", "describe_processor"])
def test_another_probe_or_processor_measures_anew(
    what: str, watch: CountingMeasure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_measure(watch, INT8, tmp_path)(PAIR)
    monkeypatch.setattr(cache, what, {"PROBE_VERSION": -1, "describe_processor": lambda: "another processor"}[what])
    cache_measure(watch, INT8, tmp_path)(PAIR)
    assert watch.calls == 2


def test_another_version_of_the_runtime_measures_anew(
    watch: CountingMeasure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_measure(watch, INT8, tmp_path)(PAIR)
    monkeypatch.setattr(Target, "version", property(lambda _: "0.0"))
    cache_measure(watch, INT8, tmp_path)(PAIR)
    assert watch.calls == 2


def test_a_folder_that_cannot_be_made_costs_only_time(watch: CountingMeasure, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    measure = cache_measure(watch, INT8, tmp_path / "file" / "folder")
    assert measure(PAIR) == (1.0, 2.0)
    assert measure(PAIR) == (3.0, 4.0)


def test_the_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv(FOLDER, raising=False)
    assert default_folder() == tmp_path / "xdg" / "u3p_edge"
    monkeypatch.setenv(FOLDER, str(tmp_path / "mine"))
    assert default_folder() == tmp_path / "mine"
