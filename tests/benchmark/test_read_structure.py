"""The structure of real files: what their graphs say, and what LiteRT delegates."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.small_artifacts import Zoo
from tests.support.timed_files import SIZE, write_chain
from u3p_edge.benchmark.read_structure import read_structure
from u3p_edge.benchmark.structure import Structure
from u3p_edge.errors import ConfigError
from u3p_edge.tools.inspect import inspect


def test_operators_arithmetic_and_arena_of_a_chain(tmp_path: Path) -> None:
    pixels = SIZE * SIZE
    macs = pixels * (9 * 1 * 16 + 9 * 16 * 16 + 16 * 3)
    # Two maps of 16 channels are alive at once: the one that is read and the one that is written.
    expected = Structure((("CONV_2D", 3), ("SOFTMAX", 1)), macs, 2 * 16 * pixels, 1)
    assert read_structure(write_chain(tmp_path, 2)) == expected


def test_the_figures_are_those_of_inspect(zoo: Zoo) -> None:
    for kind in ("int8.tflite", "float32.tflite"):
        structure, shown = read_structure(zoo.path(kind)), inspect(zoo.path(kind))
        assert structure.total == len(shown.nodes)
        assert structure.macs == sum(node.macs for node in shown.nodes)
        assert structure.arena_bytes == shown.memory.peak_bytes
        assert structure.undelegated == len(shown.slow)


def test_an_onnx_file_has_operators_alone(zoo: Zoo) -> None:
    structure = read_structure(zoo.path("float32.onnx"))
    assert dict(structure.operators)["Conv"] == 3
    assert (structure.macs, structure.arena_bytes, structure.undelegated) == (None, None, None)


def test_counts_below_zero_are_refused() -> None:
    with pytest.raises(ConfigError, match="structure"):
        Structure((), macs=-1)
