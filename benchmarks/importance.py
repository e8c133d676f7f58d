"""The same cut of one trained model by each measure of importance, each fine-tuned for the same number of gradient steps.

    python -m benchmarks.importance ../shared/data/acdc_ed224 --updates 600

The model is the one that benchmarks/pruning.py trains. Scores are of the validation split. Kept in
benchmarks/results/<processor>/importance_<data>/. Finished epochs are not trained again.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.environment import describe_machine, results_folder
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.cli.progress import stages
from u3p_edge.files.atomic import make_folder, write_json, write_text
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import read_export_data
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.pruning_result import PruningResult
from u3p_edge.pipeline.source import read_source
from u3p_edge.pipeline.staging import Staging
from u3p_edge.recipes.build import build_recipe
from u3p_edge.recipes.named import read_export_recipe
from u3p_edge.recipes.recipe import ExportRecipe, ImportanceMeasure


def recipe_for(measure: ImportanceMeasure, updates: int, speedup: float) -> ExportRecipe:
    """Return the balanced recipe's cut by another measure, kept whatever it loses; the file's size is not bound."""
    balanced = read_export_recipe("balanced").recipe.pruning
    if balanced is None:
        raise SystemExit("the balanced recipe prunes nothing")
    cut = dataclasses.replace(balanced, importance=measure, speedup=speedup, steps=1, final_updates=updates)
    return build_recipe("exact", pruning=cut, max_drop=100.0)


def table(results: dict[str, PruningResult]) -> str:
    """Return a table with one row for each measure, the best first."""
    rows = [
        "| importance | original Dice | just after the cut | fine-tuned | points lost | ms | MB | GMAC | parameters |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, one in sorted(results.items(), key=lambda item: -item[1].steps[0].dice):
        step, whole = one.steps[0], one.float_dice or 0.0
        ms, size = (step.reached.get(key, float("nan")) for key in ("latency, ms", "file, MB"))
        rows.append(
            f"| {name} | {100 * whole:.2f} | {100 * step.cut_dice:.2f} | {100 * step.dice:.2f} "
            f"| {100 * (whole - step.dice):+.2f} | {ms:.2f} | {size:.3f} | {one.source.macs / 1e9:.3f} "
            f"| {one.source.parameters} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Run every measure on one data set."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="data folder")
    parser.add_argument("--runs", type=Path, default=Path("runs/base16"), help="where the runs are (default: %(default)s)")
    parser.add_argument("--updates", type=int, default=600, help="gradient steps of fine-tuning (default: %(default)s)")
    parser.add_argument("--speedup", type=float, default=30.0, help="against float32 TFLite (default: %(default)s)")
    given = parser.parse_args()
    trained = given.runs / given.data.name / "train"
    source = read_source(trained)
    results: dict[str, PruningResult] = {}
    with stages() as progress:
        data = read_export_data(given.data, source.metadata, progress)
        for measure in get_args(ImportanceMeasure):
            folder = given.runs / given.data.name / f"importance_{given.speedup:g}x_{given.updates}" / measure
            make_folder(folder)
            recipe = recipe_for(measure, given.updates, given.speedup)
            results[measure] = prune_source(Context(source, data, recipe, Staging(folder), progress))
    kept = results_folder(f"importance_{given.data.name}")
    write_json(kept / "steps.json", {name: [dataclasses.asdict(step) for step in one.steps] for name, one in results.items()})
    explanation = (
        f"The same cut by each measure, {given.updates} gradient steps of distillation after it, one run each (seed 0): "
        "differences of a few tenths of a point are within what another seed would give. Milliseconds are of int8 TFLite at "
        "one thread, before rewriting, each measured while the machine was quiet."
    )
    ran = f"{describe_machine(describe_environment())}. Command: `{typed_command('importance')}`."
    write_text(
        kept / "report.md", f"# Measures of importance, {given.data.name}\n\n{explanation}\n\n{table(results)}\n\n{ran}\n"
    )
    print(table(results))


if __name__ == "__main__":
    main()
