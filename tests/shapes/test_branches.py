"""Branches switched off and branches added: what is left of a decoder, what it computes, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.shaped_unets import WIDTH, Array, count_ops, inference_unet, training_unet, values_of
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.shapes.apply import apply_shape, list_shapes
from u3p_edge.shapes.branches import split_kernel
from u3p_edge.shapes.levels import find_levels
from u3p_edge.shapes.shape import Shape

PLAIN, ADD = Shape(topology="plain"), Shape(fusion="add")


def with_kernels(graph: Graph, kernels: dict[str, Array]) -> Graph:
    nodes = (
        replace(node, weights={**node.weights, "kernel": kernels[node.name]}) if node.name in kernels else node
        for node in graph.nodes
    )
    return replace(graph, nodes=tuple(nodes))


def test_the_plain_topology_is_that_of_a_unet() -> None:
    decoders = find_levels(apply_shape(inference_unet(), PLAIN)).decoders
    deepest = {4: "enc5_relu2", 3: "dec4_fuse_relu", 2: "dec3_fuse_relu", 1: "dec2_fuse_relu"}
    for level, decoder in enumerate(decoders, 1):
        assert [branch.source for branch in decoder.branches] == [deepest[level], f"enc{level}_relu2"]
    assert apply_shape(inference_unet(), PLAIN)["dec1_fuse_conv"].weights["kernel"].shape == (3, 3, 2 * WIDTH, 5 * WIDTH)


def test_the_plain_topology_computes_what_zeros_in_the_fusions_compute() -> None:
    """The reference adds channel by channel, in order, and zeros change no sum: every bit is the same."""
    whole = inference_unet()
    kernels = {}
    for level, decoder in enumerate(find_levels(whole).decoders, 1):
        parts = split_kernel(whole[decoder.fusion].weights["kernel"], decoder)
        near = (f"enc{level}_", f"enc{level + 1}_" if level == 4 else f"dec{level + 1}_")
        parts = [p if b.source.startswith(near) else np.zeros_like(p) for b, p in zip(decoder.branches, parts, strict=True)]
        kernels[decoder.fusion] = np.concatenate(parts, axis=2)
    expected = values_of(with_kernels(whole, kernels))["mask"]
    np.testing.assert_array_equal(values_of(apply_shape(whole, PLAIN))["mask"], expected)
    assert (np.abs(expected - values_of(whole)["mask"]) > 1e-3).any(), "the branches that went had an effect"


def test_a_sum_reads_as_many_channels_as_one_branch_has() -> None:
    graph = apply_shape(inference_unet(), ADD)
    assert count_ops(graph)["concat"] == 0
    assert count_ops(graph)["add"] == 4 * 4, "four sums of two maps in each of four decoders"
    assert all(len(node.inputs) == 2 for node in graph.nodes if node.op == "add")
    assert graph["dec1_fuse_conv"].weights["kernel"].shape == (3, 3, WIDTH, 5 * WIDTH)
    assert [graph.shapes[f"dec{t}_fuse_conv_sum1"][3] for t in (1, 2, 3, 4)] == [WIDTH] * 4


@pytest.mark.parametrize("seed", [0, 1])
def test_branches_that_are_fused_alike_can_as_well_be_added(seed: int) -> None:
    """Then V (x1 + ... + x5) = V x1 + ... + V x5: in float64 sums of some hundred terms, twenty layers deep. The mean of
    five equal float32 kernels is that kernel."""
    whole = inference_unet()
    rng = np.random.default_rng(seed)
    alike = {d.fusion: np.tile(rng.normal(size=(3, 3, WIDTH, 5 * WIDTH)).astype(np.float32) / 6, (1, 1, 5, 1)) for d in
             find_levels(whole).decoders}  # fmt: skip
    same = with_kernels(whole, alike)
    np.testing.assert_allclose(values_of(apply_shape(same, ADD))["mask"], values_of(same)["mask"], atol=1e-9)


def test_the_kernel_of_a_sum_is_the_mean() -> None:
    whole = inference_unet()
    first = find_levels(whole).decoders[0]
    parts = split_kernel(whole[first.fusion].weights["kernel"], first)
    mean = sum(part.astype(np.float64) for part in parts) / 5
    np.testing.assert_array_equal(apply_shape(whole, ADD)[first.fusion].weights["kernel"], np.float32(mean))


def test_branches_of_unequal_channels_are_not_added() -> None:
    whole = inference_unet()
    groups = {group.name: group.size for group in find_groups(whole)}
    pruned = apply_plan(whole, PruningPlan({"dec1_from_enc1_conv": tuple(range(groups["dec1_from_enc1_conv"] - 1))}))
    with pytest.raises(ModelError, match=r"'dec1_concat' joins have 4, 4, 4, 4, 3 channels and cannot be added"):
        apply_shape(pruned, ADD)
    assert {shape.fusion for shape in list_shapes(pruned) if shape.fold == shape.head == 1} == {"concat"}
    assert Shape(head=2, fusion="add") in list_shapes(pruned)


def test_a_plain_topology_stays_plain() -> None:
    plain = apply_shape(training_unet(), PLAIN)
    with pytest.raises(ModelError, match="has the topology of a plain UNet already"):
        apply_shape(plain, PLAIN)
    assert {shape.topology for shape in list_shapes(plain)} == {"full"}
    assert len(list_shapes(plain)) == 12
