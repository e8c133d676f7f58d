"""Spatial tiling of networks that are exported, so that wide full-size maps never exist whole.

Tiling comes after quantization and changes no number, so training never sees it. Nor does training see that interpolated sums
are fused, which only rounds less:

    Graph or Quantized ─ fuse sums ─ tile by the memory plan ─► Graph or Quantized
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from u3p_edge.config.metadata import Metadata
from u3p_edge.conversion.tflite.writer import lower_graph, write_tflite
from u3p_edge.conversion.tflite.xnnpack_memory import estimate_memory
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.scheme import Quantized
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.rewriting.passes import apply_fusions
from u3p_edge.rewriting.tiling import choose
from u3p_edge.rewriting.tiling.transform import carry_scheme

MB = 1_000_000


@dataclass(frozen=True)
class TiledNetwork:
    """A network with spatial tiling, and sentences on what that did."""

    network: Graph | Quantized
    plan: choose.TilingPlan | None
    notes: tuple[str, ...]


def tile_network(network: Graph | Quantized, recipe: ExportRecipe) -> TiledNetwork:
    """Fuse the network's interpolated sums, and tile it as the recipe says or as the file's memory plan asks for.

    Args:
        network: a folded float graph, or a network in integers.
        recipe: gives the number of tiles (of rows), or the memory budget.

    Raises:
        ConfigError: the number of tiles that was asked for is not possible.
        ModelError: the TFLite writer, which the memory plan goes by, does not know an op.
    """
    if recipe.keeps_original:
        return TiledNetwork(network, None, ())
    graph = apply_fusions(network.graph if isinstance(network, Quantized) else network)

    def with_scheme(made: Graph, origin: Mapping[str, str]) -> Graph | Quantized:
        return Quantized(made, carry_scheme(network.scheme, made, origin)) if isinstance(network, Quantized) else made

    if recipe.tiling.tiles == 1:
        return TiledNetwork(with_scheme(graph, {}), None, ())
    plan = choose.choose_tiling(
        graph,
        budget_bytes=None if recipe.tiling.memory_budget_mb is None else int(recipe.tiling.memory_budget_mb * MB),
        bytes_per_element=1 if isinstance(network, Quantized) else 4,
        count=recipe.tiling.tiles,
        measure_memory=lambda made, origin: estimate_memory(lower_graph(with_scheme(made, origin))),
    )
    return TiledNetwork(with_scheme(plan.graph, plan.origin), plan, _notes(plan, recipe))


def tile_float(graph: Graph, recipe: ExportRecipe) -> TiledNetwork:
    """Tile a float32 graph; one that the writer does not know stays whole, with a note."""
    try:
        done = tile_network(graph, recipe)
        if done.plan is not None:
            lower_graph(done.network)
    except ModelError as error:
        return TiledNetwork(graph, None, (f"The float32 file stays as the converter wrote it, without tiles: {error}",))
    return done


def float_file(network: Graph | Quantized, metadata: Metadata, otherwise: Callable[[], bytes]) -> bytes:
    """Write a float32 file of a folded graph; for an op that the writer does not know, return what `otherwise` gives."""
    try:
        return write_tflite(network, metadata)
    except ModelError:
        return otherwise()


def _notes(plan: choose.TilingPlan, recipe: ExportRecipe) -> tuple[str, ...]:
    tiles = " and ".join(f"{count} tiles" for count in plan.counts.values())
    sentence = (
        f"Computed in {tiles} of rows: the arena plan needs {plan.peak / MB:.2f} MB instead of "
        f"{plan.whole_peak / MB:.2f}, for {100 * plan.extra_macs:.1f} % more arithmetic."
    )
    if not plan.counts:
        sentence = f"Without tiles the arena plan needs {plan.peak / MB:.2f} MB."
    if not plan.met:
        return (
            f"{sentence} **That is above the budget of {recipe.tiling.memory_budget_mb:g} MB; no number of tiles meets it.**",
        )
    return (sentence,) if plan.counts else ()
