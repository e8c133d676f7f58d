"""The network that is exported: the same function in other forms, chosen once, kept, and taken again from a record."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.contexts import make_context
from tests.support.int8_models import blobs, unet, with_statistics
from tests.support.recipes import make_recipe
from tests.support.recorded_progress import RecordedProgress
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.manifest import Manifest, write_manifest
from u3p_edge.pipeline.choices import read_choices, selections_to_json
from u3p_edge.pipeline.rewrite import Network, rewrite_source
from u3p_edge.pipeline.source import Source, read_source
from u3p_edge.pipeline.staging import DECISION, MARKER, Staging, open_staging
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.rewriting.engine import REFERENCE, Candidate, Selection, apply_selections, select_candidates

STAGE = "Choose rewrites"

TOLERANCE = 2e-4
"""Of a probability. A convolution here sums at most n = 9 * 64 products, each rounded: off by sqrt(n) * 2^-24 = 1.5e-6 of its
values, and Winograd's sums of four inputs and three weights a direction make that at most twelve times as much in all. 35
layers in a row: 35 * 12 * 1.5e-6 = 6e-4 of a logit, whose size is below 1 here, and a probability takes a quarter of that."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A UNet 3+ of base width 4 for three classes at 32x32, its statistics as if trained."""
    path = tmp_path_factory.mktemp("source") / "unet.keras"
    with_statistics(unet(classes=3)).save(path)
    return read_source(path)


def first_form(graphs: Sequence[Graph]) -> list[float]:
    """As if every rule were faster than the reference, the first of them most."""
    return [1.0, *(0.1 * index for index in range(1, len(graphs)))]


@pytest.fixture(scope="module")
def pairs(source: Source) -> tuple[tuple[str, str], ...]:
    """A form for every site, none left as it is where a rule applies."""
    return tuple((choice.site, choice.chosen) for choice in select_candidates(fold_batch_norm(source.graph), first_form))


@pytest.fixture(scope="module")
def stages() -> RecordedProgress:
    """Of `network`."""
    return RecordedProgress()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Staging:
    """Where `network` keeps its choices."""
    return open_staging(tmp_path_factory.mktemp("run"), "key")


@pytest.fixture(scope="module")
def network(source: Source, pairs: tuple[tuple[str, str], ...], kept: Staging, stages: RecordedProgress) -> Network:
    """By a record of choices."""
    return rewrite_source(source, make_context(source, make_recipe(rewrites=pairs), kept, stages))


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return open_staging(tmp_path / "run", "key")


def maps(model: Any) -> np.ndarray:
    return np.asarray(model(blobs(4)[0], training=False))


def same(one: Graph, other: Graph) -> bool:
    """Equal node by node, weights bit by bit."""

    def told(node: Node) -> object:
        return node.name, node.op, node.inputs, node.attrs, {key: array.tobytes() for key, array in node.weights.items()}

    return list(map(told, one.nodes)) == list(map(told, other.nodes)) and one.outputs == other.outputs


# --- the same function


def test_the_rewritten_network_computes_the_same(source: Source, network: Network) -> None:
    expected = maps(source.model)
    assert expected.std(axis=(0, 1, 2)).min() > 0.01, "flat maps would hide everything"
    np.testing.assert_allclose(maps(network.model), expected, rtol=0, atol=TOLERANCE)


def test_it_is_another_network_with_the_same_ports(source: Source, network: Network) -> None:
    assert not same(network.graph, fold_batch_norm(source.graph))
    assert sum(choice.chosen != REFERENCE for choice in network.choices) > 20
    assert (network.graph.inputs, network.graph.outputs) == (source.graph.inputs, source.graph.outputs)
    assert network.model.input_shape == source.model.input_shape
    assert network.model.output_shape == source.model.output_shape


def test_the_note_counts_forms_and_arithmetic(source: Source, network: Network) -> None:
    (note,) = network.notes
    forms = [choice.chosen for choice in network.choices if choice.chosen != REFERENCE]
    for name in set(forms):
        assert f"{forms.count(name)} as {name}" in note
    assert network.macs_before == source.macs
    assert f"{source.macs / 1e9:.2f} to " in note
    assert note.startswith("Exact rewrites, as recorded: ")


def test_the_note_says_what_was_timed_and_what_is_approximate(network: Network) -> None:
    timed = Selection("conv", "winograd", (Candidate(REFERENCE), Candidate("winograd")))
    (note,) = dataclasses.replace(network, choices=(timed,)).notes
    assert note.startswith("Exact rewrites, chosen by timing on this machine: 1 as winograd; ")
    (note,) = dataclasses.replace(network, choices=(timed, Selection("other", "low rank 0.9", ()))).notes
    assert note.startswith("Rewrites, chosen by timing on this machine: 1 as winograd, 1 as low rank 0.9; ")
    assert note.endswith("**Approximate: low rank 0.9.**")


def test_without_rewriting_it_is_the_network_as_it_was(source: Source, staging: Staging) -> None:
    network = rewrite_source(source, make_context(source, make_recipe(rewrite=False), staging))
    assert network.model is source.model
    assert same(network.graph, fold_batch_norm(source.graph))
    assert (network.choices, network.notes) == ((), ())
    assert [path.name for path in staging.folder.iterdir()] == [MARKER]


# --- chosen by timing, once


def test_a_choice_is_kept_and_an_interrupted_export_does_not_time_again(source: Source, staging: Staging) -> None:
    first, again = RecordedProgress(), RecordedProgress()
    one = rewrite_source(source, make_context(source, ExportRecipe(), staging, first))
    assert first.names == [STAGE]
    assert read_choices(staging.folder / f"rewrites{DECISION}") == one.choices
    two = rewrite_source(source, make_context(source, ExportRecipe(), staging, again))
    assert again.names == []
    assert two.choices == one.choices
    assert same(one.graph, two.graph)
    for choice in one.choices:
        assert choice.forms[0].name == REFERENCE
        taken = choice.form(choice.chosen)
        assert taken is not None
        for form in choice.forms:  # every form that was timed has a time
            assert (form.milliseconds is None) == (form.macs is None)
            assert form.refusal or form.milliseconds is not None or form.name == REFERENCE


# --- taken from a record


@pytest.mark.parametrize("record", ["rewrites.json", "manifest.json"])
def test_a_record_gives_the_same_graph(source: Source, network: Network, tmp_path: Path, record: str) -> None:
    pairs = tuple((choice.site, choice.chosen) for choice in network.choices)
    (tmp_path / "rewrites.json").write_text(selections_to_json(network.choices))
    write_manifest(tmp_path, Manifest(rewrites=pairs))
    read = read_choices(tmp_path / record)
    assert tuple((choice.site, choice.chosen) for choice in read) == pairs
    assert same(apply_selections(fold_batch_norm(source.graph), read), network.graph)


def test_with_a_record_nothing_is_timed(network: Network, kept: Staging, stages: RecordedProgress) -> None:
    assert stages.names == []
    assert read_choices(kept.folder / f"rewrites{DECISION}") == network.choices


@pytest.mark.parametrize(
    ("site", "form", "reason"),
    [
        ("of_another_model", "separable", "there is no such node or no such rule"),
        ("", "no such form", "there is no such node or no such rule"),
        ("", "low rank nought", "there is no such node or no such rule"),
    ],
)
def test_a_record_of_another_model_is_refused(source: Source, staging: Staging, site: str, form: str, reason: str) -> None:
    at = site or next(node.name for node in fold_batch_norm(source.graph).nodes if node.op == "conv")
    with pytest.raises(ModelError) as refused:
        rewrite_source(source, make_context(source, make_recipe(rewrites=((at, form),)), staging))
    assert f"the recorded choice {form!r} for {at!r} does not fit this model: {reason}" in str(refused.value)
    assert "Choose again for this model" in str(refused.value)


def test_a_form_that_its_rule_refuses_gives_the_rules_reason(source: Source, staging: Staging) -> None:
    head = next(node.name for node in fold_batch_norm(source.graph).nodes if node.op == "conv")
    with pytest.raises(ModelError, match=f"'separable' for '{head}' does not fit this model: .+"):
        rewrite_source(source, make_context(source, make_recipe(rewrites=((head, "separable"),)), staging))


def test_recorded_rewrites_and_none_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        make_recipe(rewrite=False, rewrites=(("conv", "separable"),))


def test_the_recipe_of_a_replay_is_json(pairs: tuple[tuple[str, str], ...]) -> None:
    value = json.loads(make_recipe(rewrites=pairs).to_json())
    assert tuple(map(tuple, value["rewriting"]["choices"])) == pairs
    assert make_recipe(rewrites=pairs).to_json() != ExportRecipe().to_json()
