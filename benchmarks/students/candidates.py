"""The students of a reference: shapes of it, pruned to a time, and controls that are built anew with that time.

Times are those that the packaged latency table predicts for int8 TFLite. A budget is a share of what a
plain UNet of width 8 takes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tf_keras

from benchmarks.lib import narrow_unet3plus, plain_unet
from benchmarks.lib.plain_unet import doubling
from u3p_edge.graph.cost import cost
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.latency.table.packaged import packaged_table
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.score_channels import score_channels
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import Staging
from u3p_edge.progress import Progress
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.budget import Limit, search_plan
from u3p_edge.recipes.named import read_export_recipe
from u3p_edge.shapes.apply import apply_shape
from u3p_edge.shapes.shape import Shape

BUDGETS = {"1x": 1.0, "1.5x": 1.5, "3x": 3.0}
"""How many times faster than the plain UNet of width 8 a student shall be, by the end of its name."""

PRUNED = "pruned"
PLAIN = "unet"
SHAPES = {
    PRUNED: Shape(),
    "folded": Shape(fold=2),
    "folded_plain": Shape(fold=2, topology="plain"),
    "deep_head": Shape(head=2),
    "plain_topology": Shape(topology="plain"),
}
"""The shapes of the reference that are pruned."""


@dataclass(frozen=True)
class Student:
    """One network to be taught.

    Args:
        kind: name of its shape, or of the control.
        budget: key of `BUDGETS`.
        graph: for inference; a control's weights are drawn when it is trained.
        made: what it is, in words.
        ms: predicted milliseconds.
        control: it is built anew, and inherits nothing.
    """

    kind: str
    budget: str
    graph: Graph
    made: str
    ms: float
    control: bool

    @property
    def name(self) -> str:
        """Kind and budget."""
        return f"{self.kind}_{self.budget}"

    def describe(self) -> dict[str, Any]:
        """Return what is kept of it besides its network."""
        total = cost(self.graph)
        kept = {"predicted_ms": self.ms, "macs": total.total_macs, "parameters": total.parameters}
        return {"name": self.name, "kind": self.kind, "budget": self.budget, "made": self.made, "control": self.control, **kept}


def list_students(source: Source, data: ExportData, folder: Path, progress: Progress) -> Iterator[Student]:
    """Yield the students of a reference: every shape pruned to every budget, and every control of nearest width.

    Args:
        source: the trained reference.
        data: whose training images score the channels.
        folder: for what a stage keeps.
        progress: shows the stages.
    """
    predictor = _read_table()
    size, channels = source.graph.shapes[source.graph.inputs[0]][1:3], source.metadata.preprocessing.channels
    makers = control_makers((size[0], size[1]), channels, source.metadata.channels_out)
    start = _milliseconds(predictor, _graph_of(makers[PLAIN](8)))
    context = Context(source, data, read_export_recipe("balanced").recipe, Staging(folder), progress)
    for kind, shape in SHAPES.items():
        yield from _prune(kind, shape, context, start, predictor)
    for kind, make in makers.items():
        yield from _fit_widths(kind, make, start, predictor)


def control_makers(size: tuple[int, int], channels: int, classes: int) -> Mapping[str, Callable[[int], tf_keras.Model]]:
    """Return a function from width to network for every control: plain UNets and a UNet 3+ built narrower, folded by 2 and not.

    Args:
        size: height and width of the image.
        channels: of the image.
        classes: channels of the mask.
    """
    task = (size, channels, classes)
    return {
        PLAIN: lambda w: plain_unet.build(*task, doubling(w, 5)),
        "folded_unet": lambda w: plain_unet.build(*task, doubling(w, 4), fold=2),
        "folded_flat_unet": lambda w: plain_unet.build(*task, (w,) * 4, fold=2),
        "narrow_unet3plus": lambda w: narrow_unet3plus.build(*task, doubling(w, 5), w, 5 * w),
        "folded_narrow_unet3plus": lambda w: narrow_unet3plus.build(*task, doubling(w, 4), w, 2 * w, fold=2),
    }


def _prune(kind: str, shape: Shape, context: Context, start: float, predictor: Predictor) -> Iterator[Student]:
    """Yield a shape of the reference with the channels that fit each budget; a budget that it cannot meet is left out."""
    source = context.original
    graph = apply_shape(source.graph, shape, source.training_graph)
    importance = score_channels(dataclasses.replace(source, graph=graph, model=to_keras(graph)), context)
    for budget, times in BUDGETS.items():
        limit = Limit("latency, ms", lambda folded: predictor.predict(folded).total_ms, start / times)
        fitted = search_plan(fold_batch_norm(graph), importance, [limit])
        if fitted.met:
            small = apply_plan(graph, fitted.plan)
            yield Student(kind, budget, small, f"{shape.name}, pruned", _milliseconds(predictor, small), control=False)


def _fit_widths(kind: str, make: Callable[[int], tf_keras.Model], start: float, predictor: Predictor) -> Iterator[Student]:
    """Yield a control of each budget, of the width whose time is nearest; folded networks in steps of 4 channels."""
    graphs = {width: _graph_of(make(width)) for width in (range(4, 41, 4) if "folded" in kind else range(2, 13))}
    times = {width: _milliseconds(predictor, graph) for width, graph in graphs.items()}
    for budget, share in BUDGETS.items():
        width = min(times, key=lambda width: abs(times[width] - start / share))
        yield Student(kind, budget, graphs[width], f"width {width}", times[width], control=True)


def _graph_of(model: tf_keras.Model) -> Graph:
    return inference_graph(from_keras(model)).graph


def _milliseconds(predictor: Predictor, graph: Graph) -> float:
    return predictor.predict(fold_batch_norm(graph)).total_ms


def _read_table() -> Predictor:
    table = packaged_table("int8")
    if table is None:
        raise SystemExit("There is no packaged latency table for this processor, so no time could be predicted.")
    return Predictor(table)
