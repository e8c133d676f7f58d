"""Find on real images which channels the paper's model (base 64, 320x320) needs for a speed-up, and what they cost in Dice.

    python -m benchmarks.paper_plan ../shared/data/acdc_ed224 --speedup 200 --shape "folded by 2"

The paper's model itself is too large to be trained here. So the reference of `benchmarks.students` (base 16) is put into a
shape, pruned by its importances and fine-tuned on its images, but what a plan costs is the time of the paper's model in the
same shape, by the packaged latency table: every convolution with as many times the channels as the whole networks differ by,
over maps as much larger. A plan for the time of the small network would keep channels that cost it next to nothing, as those of
its encoder. Without --shape the shape is searched for, under the same price.

The int8 file of the pruned base-16 network is scored beside its float reference on the test split; kept in
benchmarks/results/<processor>/<name>/ as plan.json, plan_result.json and plan.md. `paper_model.py` times the shape.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.controls import pruning_of
from benchmarks.lib.environment import describe_machine, results_folder
from benchmarks.lib.networks import network
from benchmarks.lib.side_by_side import find_losses, table
from benchmarks.students.finish import FLOAT
from benchmarks.students.quantize import calibration_images
from benchmarks.students.study import Study
from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.benchmark.suite import EvaluationData, Settings, measure
from u3p_edge.cli.progress import stages
from u3p_edge.conversion.tflite.converter import convert_float
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.files.atomic import make_folder, write_bytes, write_json, write_text
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.table.packaged import packaged_table
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.pipeline.budgets import Budget
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.prune import prune_to
from u3p_edge.pipeline.pruning_result import PruningResult
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import Staging
from u3p_edge.progress import Progress
from u3p_edge.quantization.ptq import quantize_ptq
from u3p_edge.recipes.build import build_recipe
from u3p_edge.recipes.recipe import Pruning
from u3p_edge.shapes.shape import Shape

BASE, SIZE = 64, 320
"""The paper's."""

INT8 = "paper_shape.int8.tflite"


def enlarged(graph: Graph, times: int, size: int) -> Graph:
    """Return a network of the same shape with so many times the channels, over images of another size; its weights are zeros.

    The channels of the image and of the mask do not change.
    """
    last = next(node.name for node in reversed(graph.nodes) if node.op == "conv")

    def large(node: Node) -> Node:
        if node.op == "input":
            return dataclasses.replace(node, attrs={**node.attrs, "shape": (None, size, size, node.attrs["shape"][-1])})
        if node.op != "conv":
            return node
        height, width, channels, filters = node.weights["kernel"].shape
        inputs = channels if node.inputs[0] in graph.inputs else times * channels
        outputs = filters if node.name == last else times * filters
        zeros = {"kernel": (height, width, inputs, outputs), "bias": (outputs,)}
        weights = {name: np.broadcast_to(np.float32(0), zeros[name]) for name in node.weights}
        return dataclasses.replace(node, weights=weights)

    return dataclasses.replace(graph, nodes=tuple(map(large, graph.nodes)))


def find_price(base: int) -> tuple[float, Callable[[Graph], float]]:
    """Return the float32 milliseconds of the paper's model, and a function from a folded graph to int8 milliseconds.

    These are of the paper's model in the shape of a pruned network, by the packaged tables.

    Args:
        base: base width of the network that is pruned.
    """
    floats, integers = packaged_table("float32"), packaged_table("int8")
    if floats is None or integers is None:
        raise SystemExit("There is no packaged latency table for this processor, so no time could be predicted.")
    predictor = Predictor(integers)
    whole = Predictor(floats).predict(network(BASE, SIZE)[0]).total_ms
    return whole, lambda small: predictor.predict(enlarged(small, BASE // base, SIZE)).total_ms


def plan_pruning(
    source: Source, data: ExportData, base: int, pruning: Pruning, folder: Path, progress: Progress
) -> PruningResult:
    """Return the network in the shape and with the channels by which the paper's model has the speed-up, fine-tuned.

    Args:
        source: the trained network.
        data: its images.
        base: its base width.
        pruning: with the speed-up.
        folder: for finished epochs.
        progress: shows the stages.
    """
    assert pruning.speedup is not None, "that is what is planned for"
    reference_ms, estimate = find_price(base)
    start = estimate(fold_batch_norm(source.graph))
    budget = Budget("latency of the paper's model, ms", reference_ms / pruning.speedup, estimate, None, start)
    progress.note(
        f"The paper's model takes {reference_ms:.0f} ms in float32 and {start:.0f} in int8, by the tables; the budget is "
        f"{budget.bound:.1f} ms."
    )
    make_folder(folder)
    recipe = build_recipe("exact", pruning=pruning, max_drop=100)
    return prune_to(lambda: [budget], Context(source, data, recipe, Staging(folder), progress))


def write_files(source: Source, pruned: Source, data: ExportData, folder: Path) -> tuple[Path, Path]:
    """Write the reference in float32, and the pruned network in int8 by post-training quantization."""
    write_bytes(folder / FLOAT, convert_float(source.model, source.metadata))
    write_bytes(folder / INT8, write_tflite(quantize_ptq(pruned.graph, calibration_images(data)), source.metadata))
    return folder / FLOAT, folder / INT8


def main() -> None:
    """Plan for one data set and one speed-up."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="data folder whose reference benchmarks.students has trained")
    parser.add_argument(
        "--speedup", type=float, required=True, help="of the paper's model in int8 against float32, by the tables"
    )
    parser.add_argument("--shape", default="", help="the shape; without it one is searched for")
    parser.add_argument("--search-minutes", type=float, default=20, help="for the search (default: %(default)s)")
    parser.add_argument("--updates", type=int, default=6000, help="of fine-tuning after the last cut (default: %(default)s)")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/students"), help="of benchmarks.students (default: %(default)s)"
    )
    parser.add_argument("--name", default="paper_model_folded", help="folder of the result (default: %(default)s)")
    given = parser.parse_args()
    study = Study(given.data, given.runs / given.data.name)
    search = {"search": not given.shape, "search_minutes": given.search_minutes, "shape": given.shape}
    pruning = dataclasses.replace(
        pruning_of("balanced"), speedup=given.speedup, shrink=None, final_updates=given.updates, most_epochs=200, **search
    )
    folder = study.folder / f"{given.name}_{given.speedup:g}x"
    with stages() as progress:
        source, data = study.read_reference(), study.read_data(progress)
        plan = plan_pruning(source, data, study.recipe.base_width, pruning, folder, progress)
        files = write_files(source, plan.source, data, folder)
        test = EvaluationData(study.data.name, data.test_split, data.test)
        settings = Settings(threads=(1,), rounds=40)
        result = measure(
            files, reference=FLOAT, data=test, settings=settings, command=typed_command("paper_plan"), progress=progress
        ).result
    kept = results_folder(given.name)
    steps = list(map(dataclasses.asdict, plan.steps))
    values = {"shape": dataclasses.asdict(plan.shape), "plan": json.loads(plan.plan.to_json()), "steps": steps}
    write_json(kept / "plan.json", values)
    save_result(kept / "plan_result.json", result)
    text = report(study, result, plan.shape, given.speedup, [step.epochs for step in plan.steps])
    write_text(kept / "plan.md", text)
    print(text)


def report(study: Study, result: RunResult, shape: Shape, speedup: float, epochs: Sequence[int]) -> str:
    """Return the report in Markdown; `epochs` are those of fine-tuning after each cut."""
    base, (height, width), data = study.recipe.base_width, study.recipe.size, result.data
    assert data is not None, "it was measured on data"
    parts = [
        f"# A shape for the paper's model, chosen and trained on {study.data.name} at base {base}, {height}x{width}",
        f"Shape: {shape.name}. Planned for the paper's model to be {speedup:g} times as fast in int8 as in float32, by the "
        f"packaged tables. Fine-tuned for {' and '.join(map(str, epochs))} epochs after the cuts. Dice is of the base-{base} "
        f"network in that shape, the mean over the foreground classes on the {data.split} split, which no choice has seen; "
        "what is lost is against the float model in float32 TFLite, with a 95 % bootstrap over patients. One thread, one run.",
        table(result, find_losses(result)),
        f"{describe_machine(result.environment)}. Command: `{result.command}`.",
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
