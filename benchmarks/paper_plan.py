"""Find on real images which channels the paper's model (base 64, 320x320) needs for a given time, and what they cost in Dice.

    python -m benchmarks.paper_plan ../shared/data/acdc_ed224 --ms 64 --updates 6000

The paper's model itself is too large to be trained here. So the base-16 network of benchmarks/recipes/base16 is pruned by its
importances and fine-tuned on its images, but what a plan costs is the time of the paper's model in the same shape, from a table
of that model's layers: every convolution with as many times the channels as the whole networks differ by, over maps as
much larger. A plan for the time of the small network would keep channels that cost it next to nothing, as those of its encoder.

The int8 file of the pruned base-16 network is scored beside its float reference; kept in
benchmarks/results/<processor>/paper_model/ as plan.json, plan_result.json and plan.md. `paper_model.py` times the shape.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.controls import Case, model_options, pruning_of
from benchmarks.lib.environment import describe_machine, results_folder
from benchmarks.lib.networks import network
from benchmarks.lib.side_by_side import compare, table, train_case
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.cli.progress import stages
from u3p_edge.files.atomic import make_folder, write_json, write_text
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.probe import Target
from u3p_edge.latency.table.measure import measure_table
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.pipeline.budgets import Budget
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import read_export_data
from u3p_edge.pipeline.prune import prune_to
from u3p_edge.pipeline.pruning_result import PruningResult
from u3p_edge.pipeline.source import read_source
from u3p_edge.pipeline.staging import Staging
from u3p_edge.progress import Progress
from u3p_edge.recipes.build import build_recipe

BASE, SIZE = 64, 320
"""The paper's."""


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


def cost(one: Case, graph: Graph, progress: Progress) -> Callable[[Graph], float]:
    """Return a function from a pruned, folded base-16 graph to the int8 milliseconds of the paper's model in its shape."""
    times = BASE // one.recipe.base_width
    whole = enlarged(graph, times, SIZE)
    paper = {name: shape for name, shape in network(BASE, SIZE)[0].shapes.items() if "head" not in name and name != "mask"}
    if any(whole.shapes.get(name) not in (None, shape) for name, shape in paper.items()):
        raise SystemExit("the enlarged network is not the paper's")
    predictor = Predictor(measure_table(whole, Target("int8"), progress, quick=True, checks=0))
    return lambda small: predictor.predict(enlarged(small, times, SIZE)).total_ms


def planned(one: Case, folder: Path, ms: float, updates: int, progress: Progress) -> PruningResult:
    """Return the base-16 network in the shape with which the paper's model takes so many milliseconds, also as pruned.h5."""
    source = read_source(one.trained)
    graph = fold_batch_norm(source.graph)
    estimate = cost(one, graph, progress)
    budget = Budget("latency of the paper's model, ms", ms, estimate, None, estimate(graph))
    print(f"{budget.start:.0f} ms before pruning, by the table; the budget is {ms:g} ms")
    pruning = dataclasses.replace(pruning_of(one.against), final_updates=updates, most_epochs=200)
    make_folder(folder / "steps")
    data = read_export_data(one.data, source.metadata, progress)
    recipe = build_recipe("exact", pruning=pruning, max_drop=100)
    result = prune_to(lambda: [budget], Context(source, data, recipe, Staging(folder / "steps"), progress))
    result.source.model.save(folder / "pruned.h5")
    return result


def main() -> None:
    """Plan for one data set and one time."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="data folder that has a recipe of its name")
    parser.add_argument("--ms", type=float, required=True, help="of the paper's model before rewriting, by the table")
    parser.add_argument("--updates", type=int, default=4000, help="of fine-tuning after the last cut (default: %(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs/base16"), help="where the runs go (default: %(default)s)")
    given = parser.parse_args()
    one = train_case(given.data, given.runs, "balanced")
    with stages() as progress:
        folder = one.runs / f"paper_plan_{given.ms:g}ms_{given.updates}"
        plan = planned(one, folder, given.ms, given.updates, progress)
        made = {
            "exact": one.export(one.trained, "exact", "exact"),
            "paper_shape": one.export(folder / "pruned.h5", "exact", f"{folder.name}_int8", *model_options(one, "unet")),
        }
        command = typed_command("paper_plan")
        compared, losses = compare(one, made, 40, command, progress)
    kept = results_folder("paper_model")
    steps = list(map(dataclasses.asdict, plan.steps))
    write_json(kept / "plan.json", {"plan": json.loads(plan.plan.to_json()), "steps": steps})
    save_result(kept / "plan_result.json", compared.result)
    text = [
        f"# A shape for the paper's model, chosen and trained on {one.data.name} at base {one.recipe.base_width}, "
        f"{one.recipe.size[0]}x{one.recipe.size[1]}",
        f"Planned for {given.ms:g} ms of the paper's model before rewriting, by a table of its layers. Dice is of the base-"
        f"{one.recipe.base_width} network in that shape, the mean over the foreground classes on the validation split; what is "
        "lost is against the float model in float32 TFLite, with a bootstrap over patients. One thread, one run.",
        table(compared.result, losses, one.runs / "compared"),
        f"{describe_machine(compared.result.environment)}. Command: `{command}`.",
    ]
    write_text(kept / "plan.md", "\n\n".join(text) + "\n")
    print("\n\n".join(text))


if __name__ == "__main__":
    main()
