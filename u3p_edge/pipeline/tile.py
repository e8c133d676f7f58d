"""Spatial tiling of exported files, so that wide full-size maps never exist whole; this package's TFLite writer writes them.

Tiling comes after quantization and changes no number, so training never sees it. Nor does training see that interpolated sums
are fused, which only rounds less:

    int8 file ─ read ─► Graph + Scheme ─ fuse sums ─ tile by the memory plan ─► Graph + Scheme ─ write ─► int8 file
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from u3p_edge.config.metadata import Metadata
from u3p_edge.errors import ModelError
from u3p_edge.export.tflite import schema
from u3p_edge.export.tflite.reader import read_graph
from u3p_edge.export.tflite.writer import lower_graph, write_tflite
from u3p_edge.export.tflite.xnnpack_memory import estimate_memory
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.scheme import Quantized, Scheme
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.rewrite.passes import apply_fusions
from u3p_edge.rewrite.tiling import choose
from u3p_edge.rewrite.tiling.transform import carry_scheme

MB = 1_000_000


@dataclass(frozen=True)
class TiledNetwork:
    """A graph with spatial tiling, and sentences on what that did."""

    graph: Graph
    plan: choose.TilingPlan | None
    notes: tuple[str, ...]


def tile_network(graph: Graph, recipe: ExportRecipe, bytes_per_element: int, scheme: Scheme | None = None) -> TiledNetwork:
    """Fuse the graph's interpolated sums, and tile it as the recipe says or as the file's memory plan asks for.

    Args:
        graph: folded.
        recipe: gives the number of tiles (of rows), or the memory budget.
        bytes_per_element: of an activation.
        scheme: the quantization of an integer graph; None for a float one.

    Raises:
        ConfigError: the number of tiles that was asked for is not possible.
    """
    if recipe.keeps_original:
        return TiledNetwork(graph, None, ())
    graph = apply_fusions(graph)
    if recipe.tiling.tiles == 1:
        return TiledNetwork(graph, None, ())
    budget = None if recipe.tiling.memory_budget_mb is None else int(recipe.tiling.memory_budget_mb * MB)

    def needed(made: Graph, origin: Mapping[str, str]) -> int:
        return estimate_memory(lower_graph(made if scheme is None else Quantized(made, carry_scheme(scheme, made, origin))))

    plan = choose.choose_tiling(
        graph, budget_bytes=budget, bytes_per_element=bytes_per_element, count=recipe.tiling.tiles, measure_memory=needed
    )
    return TiledNetwork(plan.graph, plan, _notes(plan, recipe))


def tile_float(graph: Graph, recipe: ExportRecipe) -> TiledNetwork:
    """Tile a float32 graph; one that the writer does not know (a layer-normalised one) stays whole, with a note."""
    try:
        done = tile_network(graph, recipe, bytes_per_element=4)
        if done.plan is not None:
            lower_graph(done.graph)
    except ModelError as error:
        return TiledNetwork(graph, None, (f"The float32 file stays as the converter wrote it, without strips: {error}",))
    return done


def tile_int8(file: bytes, metadata: Metadata, recipe: ExportRecipe) -> tuple[bytes, tuple[str, ...]]:
    """Tile an int8 file; one that a graph cannot represent (a layer-normalised one) stays as it is, with a note."""
    if recipe.keeps_original:
        return file, ()
    try:
        read = read_graph(schema.parse_tflite(file))
    except ModelError as error:
        return file, (f"The int8 file stays as the converter wrote it, without strips: {error}",)
    if not isinstance(read, Quantized):
        raise ModelError("the file to be put into strips is not int8")
    done = tile_network(read.graph, recipe, bytes_per_element=1, scheme=read.scheme)
    scheme = carry_scheme(read.scheme, done.graph, {} if done.plan is None else done.plan.origin)
    return write_tflite(Quantized(done.graph, scheme), metadata, float_io=recipe.quantization.float_io), done.notes


def float_file(graph: Graph, metadata: Metadata, otherwise: Callable[[], bytes]) -> bytes:
    """Write a float32 file of a folded graph; for an op that the writer does not know, return what `otherwise` gives."""
    try:
        return write_tflite(graph, metadata)
    except ModelError:
        return otherwise()


def _notes(plan: choose.TilingPlan, recipe: ExportRecipe) -> tuple[str, ...]:
    strips = " and ".join(f"{count} strips" for count in plan.counts.values())
    said = (
        f"Computed depth first in {strips}: the arena plan needs {plan.peak / MB:.2f} MB instead of "
        f"{plan.whole_peak / MB:.2f}, for {100 * plan.extra_macs:.1f} % more arithmetic."
    )
    if not plan.counts:
        said = f"Without strips the arena plan needs {plan.peak / MB:.2f} MB."
    if not plan.met:
        return (f"{said} **That is above the budget of {recipe.tiling.memory_budget_mb:g} MB; no number of strips meets it.**",)
    return (said,) if plan.counts else ()
