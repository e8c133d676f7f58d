"""UNet 3+ itself: its groups by name and number, every preset pruned, rewritten or not, and back into Keras."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.support.prunable_graphs import assert_pruned_as_masked, draw_weights, group, thinned
from tests.support.rewrite_sites import drawn
from u3p_edge.graph.cost import cost
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.graph.reference import run
from u3p_edge.models.config import preset
from u3p_edge.models.unet3plus import build
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.rewriting.engine import Selection, find_sites
from u3p_edge.rewriting.engine import apply_selections as rewritten
from u3p_edge.rewriting.interpolated_sums import fuse_interpolated_sums
from u3p_edge.rewriting.passes import RULES
from u3p_edge.rewriting.rule import Match, Rule

WIDTH = 4
MODELS: Mapping[str, dict[str, Any]] = {
    "article": {"preset": "article"},
    "paper": {"preset": "paper"},
    "gated": {"preset": "article", "cgm": True, "classes": 3},
    "residual": {"preset": "article", "residual": True, "double_features": True, "down_pattern": "normconv"},
    "layer": {"preset": "paper", "normalization": "layer", "down_pattern": "conv"},
}


@cache
def model(name: str) -> Graph:
    """As from Keras, with every weight drawn so that maps keep their magnitude and no normalisation is idle."""
    options = dict(MODELS[name])
    graph = from_keras(build(preset(options.pop("preset"), input_shape=(32, 32, 1), base_width=WIDTH, **options)))
    return draw_weights(graph)


@cache
def folded(name: str) -> Graph:
    return fold_batch_norm(inference_graph(model(name)).graph)


def parameters(graph: Graph) -> int:
    return cost(graph).parameters


@pytest.mark.parametrize("name", [name for name in MODELS if name != "layer"])
def test_every_preset_pruned_computes_what_it_does_masked(name: str) -> None:
    graph = model(name)
    pruned = assert_pruned_as_masked(graph, thinned(graph))
    assert parameters(pruned) < parameters(graph)
    assert pruned.outputs == graph.outputs


def test_every_convolution_of_the_paper_is_a_group_but_its_head() -> None:
    groups = find_groups(model("paper"))
    free = [group.name for group in groups if not group.frozen]
    assert len(free) == 5 * 2 + 4 * 5 + 4  # encoder, branches, fusions
    assert {group.name: group.frozen for group in groups if group.frozen} == {
        "image": "'image' is an input of the model",
        "head1_conv": "'output' is an output of the model",
    }


def test_the_deepest_encoder_is_read_by_a_branch_of_every_decoder_and_by_the_gate() -> None:
    channels = group(model("gated"), "enc5_conv2")
    readers = [member.node for member in channels.members if member.role == "consumer"]
    assert readers == [*(f"dec{scale}_from_enc5_conv" for scale in (4, 3, 2, 1)), "head5_conv", "cgm_conv"]
    assert channels.size == WIDTH * 2**4


def test_a_branch_is_its_own_slice_of_its_fusion() -> None:
    channels = group(model("article"), "dec2_from_enc2_conv")  # the fourth part, behind enc5, dec4, dec3
    (reader,) = (member for member in channels.members if member.role == "consumer")
    assert (reader.node, reader.axis) == ("dec2_fuse_conv", 2)
    assert reader.positions.ravel().tolist() == list(range(3 * WIDTH, 4 * WIDTH))


def test_a_residual_block_is_coupled_with_its_shortcut() -> None:
    channels = group(model("residual"), "enc2_conv2")
    makers = {member.node for member in channels.members if member.role == "producer"}
    assert makers == {"enc2_conv2", "enc2_norm2", "enc2_shortcut_conv", "enc2_shortcut_norm"}


def test_under_layer_normalisation_only_what_it_does_not_follow_can_go() -> None:
    graph = model("layer")
    free = [result.name for result in find_groups(graph) if not result.frozen]
    assert free == [f"down{scale}_conv" for scale in (1, 2, 3, 4)]
    assert group(graph, "enc1_conv1").frozen == "'enc1_norm1' normalises over the channels"
    assert_pruned_as_masked(graph, thinned(graph))


def test_parameters_that_go_are_counted() -> None:
    graph = model("paper")
    pruned = assert_pruned_as_masked(graph, PruningPlan({"dec1_from_enc5_conv": (0, 2, 3)}))
    own = 16 * WIDTH * 3 * 3 + 1 + 4  # kernel over encoder 5, bias, four of a normalisation
    assert parameters(graph) - parameters(pruned) == own + 3 * 3 * 5 * WIDTH  # and its slice of the fusion


def test_a_lost_branch_goes_with_all_that_only_it_needs() -> None:
    graph = model("paper")
    lost = ["dec1_from_enc5_conv", "dec1_from_dec2_conv", "dec2_fuse_conv", *(f"dec2_from_{s}_conv" for s in ("enc5", "dec4"))]
    pruned = assert_pruned_as_masked(graph, PruningPlan(dict.fromkeys(lost, ())))
    gone = {node.name for node in graph.nodes} - {node.name for node in pruned.nodes}
    assert {node.name for node in graph.nodes if node.name.startswith("dec2_")} <= gone
    assert {name for name in gone if not name.startswith("dec2_")} == {
        f"dec1_from_{source}_{part}" for source in ("enc5", "dec2") for part in ("up", "conv", "norm", "relu")
    }
    assert pruned.shapes["dec1_concat"][3] == 3 * WIDTH


@pytest.mark.parametrize("name", ["paper", "gated"])
def test_folded_graphs_have_the_groups_of_the_model_and_prune_alike(name: str) -> None:
    graph, inference = model(name), folded(name)
    needed = [group.name for group in find_groups(graph) if not group.frozen and group.name in inference]
    assert [group.name for group in find_groups(inference) if not group.frozen] == needed
    plan = thinned(inference)
    pruned = assert_pruned_as_masked(inference, plan)
    first = fold_batch_norm(inference_graph(apply_plan(graph, plan)).graph)
    mine, theirs = (run(g, {"image": drawn(1, 1, 32, 32, 1)})["mask"] for g in (pruned, first))
    # Folding and slicing are both element by element, so either order of them gives the same bits.
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rewritten_graphs_prune_exactly(rule: Rule) -> None:
    graph = folded("paper")
    matched = [site for site in find_sites(graph, [rule]) if isinstance(rule.match(graph, site), Match)]
    # One at each map size is enough, and quicker.
    chosen = {graph.shapes[site][1]: site for site in matched}
    assert chosen
    other = rewritten(graph, [Selection(site, rule.name, ()) for site in chosen.values()])
    assert {group.size for group in find_groups(other) if not group.frozen} >= {WIDTH, 5 * WIDTH}
    assert_pruned_as_masked(other, thinned(other))


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.name in ("separable", "separable once", "winograd", "winograd 2d")], ids=str
)
def test_a_rewritten_branch_is_one_group_and_may_be_lost_whole(rule: Rule) -> None:
    graph = folded("paper")
    other = rewritten(graph, [Selection("dec1_from_enc5_conv", rule.name, ())])
    (group,) = (group for group in find_groups(other) if "dec1_from_enc5_conv" in group.tensors)
    assert (group.size, group.frozen) == (WIDTH, "")
    pruned = assert_pruned_as_masked(other, PruningPlan({group.name: ()}))
    assert not [node.name for node in pruned.nodes if node.name.startswith("dec1_from_enc5")]


def test_a_branch_with_fused_sums_prunes_exactly() -> None:
    graph = fuse_interpolated_sums(rewritten(folded("paper"), [Selection("dec1_from_dec3_conv", "separable", ())]))
    assert [node.op for node in graph.nodes].count("interpolated_sum") == 2
    assert_pruned_as_masked(graph, thinned(graph))
    (group,) = (group for group in find_groups(graph) if "dec1_from_dec3_conv" in group.tensors)
    pruned = assert_pruned_as_masked(graph, PruningPlan({group.name: ()}))
    assert not [node.name for node in pruned.nodes if node.name.startswith("dec1_from_dec3")]


@pytest.mark.parametrize("name", ["article", "gated"])
def test_keras_rebuilds_a_pruned_model(name: str) -> None:
    graph = model(name)
    lost = {"dec1_from_enc1_conv": (), "dec3_from_enc5_conv": ()}
    pruned = apply_plan(graph, PruningPlan({**thinned(graph).kept, **lost}))
    keras = to_keras(pruned)
    assert from_keras(keras) == pruned
    image = drawn(2, 1, 32, 32, 1)
    expected = run(pruned, {"image": image})
    assert expected[pruned.outputs[0]].std() > 0.01
    for output, found in zip(pruned.outputs, keras(image, training=False), strict=True):
        # float32 sums of up to 9 * 64 products; a sigmoid or softmax passes at most half of an error.
        np.testing.assert_allclose(np.asarray(found), expected[output], rtol=0, atol=9 * 64 * np.finfo(np.float32).eps)
