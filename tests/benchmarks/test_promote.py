"""Kept results come into the package by one explicit step, and the package holds what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import promote
from benchmarks.lib.environment import RESULTS
from u3p_edge.files.atomic import write_json
from u3p_edge.recipes import named

KEPT = sorted(RESULTS.glob("*/pruning_*"))


def test_the_package_holds_the_figures_of_the_kept_results() -> None:
    entries = [entry for folder in KEPT for entry in promote.measured_recipes(folder)]
    assert len(entries) >= 7
    assert set(named.read_measured()) == set(entries)


def test_other_data_sets_keep_their_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "measured.json"
    for module in (named, promote):
        monkeypatch.setattr(module, "MEASURED", path)
    first, *others = KEPT
    promote.promote_recipes([first])
    promote.promote_recipes(others)
    everything = named.read_measured()
    assert {entry.data for entry in everything} == {promote.measured_recipes(folder)[0].data for folder in KEPT}
    promote.promote_recipes([first])
    assert set(named.read_measured()) == set(everything)
    assert len(named.read_measured()) == len(everything)


def test_a_packed_model_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, package = tmp_path / "packed", tmp_path / "package"
    packed.mkdir()
    (package / "models" / "reference").mkdir(parents=True)
    write_json(packed / "scores.json", {"dice": 1.0})
    monkeypatch.setattr(promote, "PACKAGE", package)
    promote.promote_reference(packed)
    assert (package / "models" / "reference" / "scores.json").read_bytes() == (packed / "scores.json").read_bytes()
