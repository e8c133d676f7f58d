"""Where an export takes milliseconds from; with a table nothing is timed, and forms are the same in every run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.any_size_tables import forbid_timing, known_table, pretend_avx2
from tests.support.int8_models import unet
from tests.support.latency_tables import kernel, two_scales
from tests.support.recipes import make_recipe
from tests.support.rewrite_sites import upsampled
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.latency.probe import Target
from u3p_edge.latency.table import packaged
from u3p_edge.latency.table.packaged import packaged_table
from u3p_edge.pipeline import rewrite
from u3p_edge.pipeline.latencies import TIMED, find_latencies
from u3p_edge.pipeline.rewrite import PREDICTED, select_rewrites
from u3p_edge.rewriting.engine import REFERENCE, select_candidates

INT8 = Target("int8")


@pytest.fixture(scope="module")
def graph() -> Graph:
    """A UNet 3+ of base width 4 at 32x32, folded."""
    return fold_batch_norm(from_keras(unet(classes=3)))


def dilated() -> Graph:
    nodes = (
        Node("image", "input", (), {"shape": (None, 8, 8, 4)}),
        Node("odd", "conv", ("image",), {"dilation": (2, 2), "padding": "same"}, kernel(3, 3, 4, 4)),
    )
    return Graph(nodes, ("image",), ("odd",))


# --- where they come from


def test_the_packaged_table_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend_avx2(monkeypatch, tmp_path)
    found = find_latencies(two_scales(), "int8", make_recipe())
    assert found.table == packaged_table("int8")
    assert found.note == ""
    assert found.source.startswith("the latency table of x86_avx2 processors (measured on ")


def test_profile_measures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend_avx2(monkeypatch, tmp_path)
    assert find_latencies(two_scales(), "int8", make_recipe(profile=True)) == TIMED
    monkeypatch.setattr(rewrite, "measure_graphs", lambda graphs, **_: [1.0, *(0.1 for _ in graphs[1:])])
    timed = select_rewrites(two_scales(), INT8, cache=tmp_path, table=TIMED.table)
    assert 1.0 in {each.forms[0].milliseconds for each in timed}


def test_another_processor_is_measured_and_the_report_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packaged, "CPUINFO", tmp_path / "none")
    found = find_latencies(two_scales(), "int8", make_recipe())
    assert found.table is None
    assert "the package has no latency table of its processor" in found.note


def test_a_network_with_another_layer_is_measured_and_the_report_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend_avx2(monkeypatch, tmp_path)
    found = find_latencies(dilated(), "int8", make_recipe())
    assert found.table is None
    assert "no layer like 'odd' (conv kernel=3x3 dilation=2x2)" in found.note


# --- forms by a table


def test_forms_by_a_table_time_nothing_and_are_the_same_again(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_timing(monkeypatch)
    table = known_table()
    first, second = (select_rewrites(graph, INT8, table=table) for _ in range(2))
    assert first == second
    assert any(each.chosen != REFERENCE for each in first)


FACTORS = st.lists(st.floats(PREDICTED * 1.001, 2.0), min_size=1, max_size=8)


@given(FACTORS)
@settings(deadline=None)
def test_noise_below_what_a_table_resolves_chooses_nothing(factors: list[float]) -> None:
    site = upsampled()
    selections = select_candidates(site, lambda graphs: [1.0, *islice(cycle(factors), len(graphs) - 1)], margin=PREDICTED)
    assert {each.chosen for each in selections} == {REFERENCE}


@given(st.lists(st.floats(1.0, 0.999 / PREDICTED), min_size=6, max_size=6))
@settings(deadline=None)
def test_of_forms_that_cannot_be_told_apart_the_one_with_the_fewest_weights_is_taken(noise: list[float]) -> None:
    """Whichever of them is the fastest in this moment."""

    def measure(graphs: Sequence[Graph]) -> list[float]:
        return [1.0, *(0.5 * factor for factor in noise[: len(graphs) - 1])]

    site = upsampled()
    (taken,) = select_candidates(site, measure, margin=PREDICTED)
    allowed = [form for form in taken.forms[1:] if form.parameters is not None]
    assert len(allowed) > 2
    assert taken.now.parameters == min(form.parameters or 0 for form in allowed)
