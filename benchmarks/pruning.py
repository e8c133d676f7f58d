"""Pruning to a budget against its controls, on real images, all measured side by side in one run.

    python -m benchmarks.pruning ../shared/data/acdc_ed224 ../shared/data/hippocampus_64 ../shared/data/dsb2018_256

For each data set (recipes in benchmarks/recipes/base16/) the float UNet 3+ is trained, exported unchanged, and pruned by each
recipe. Then follow the controls that pruning has to beat. Each has the int8 latency of one recipe's network, as near as whole
widths come, and is trained for as many epochs:

    random        the same cut with channels chosen by chance
    narrow        a UNet 3+ simply built narrower, trained as the reference was
    distilled     the same, taught by the reference as a pruned network is
    unet          a plain UNet, taught likewise

Scores are of the validation split, with a bootstrap interval over patients (or images) of what is lost against the float model
in float32 TFLite. Kept in benchmarks/results/<processor>/pruning_<data>/. What is done already is not done again.
`python -m benchmarks.promote recipes` then takes the figures of the recipes into the package.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.controls import Case, by_chance, model_options, narrow, teach, trained_for
from benchmarks.lib.environment import describe_machine, results_folder
from benchmarks.lib.side_by_side import compare, table, train_case
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.benchmark.suite import Measured
from u3p_edge.cli.progress import stages
from u3p_edge.distill.loop import teacher_probabilities
from u3p_edge.files.atomic import read_json, write_json, write_text
from u3p_edge.pipeline.data import read_export_data
from u3p_edge.pipeline.source import read_source
from u3p_edge.progress import Progress
from u3p_edge.recipes.named import NAMES

CONTROLS = ("random", "narrow", "distilled", "unet")


def variants(one: Case, recipes: Sequence[str], controls: Sequence[str], progress: Progress) -> dict[str, Path]:
    """Return the run folders of all exports, by name."""
    made = {name: one.export(one.trained, name, name) for name in recipes}
    if "random" in controls:
        made["random"] = one.export(one.trained, by_chance(one), f"random_{one.against}")
    if not {"narrow", "distilled", "unet"} & set(controls):
        return made
    source = read_source(one.trained)
    budget = float(read_json(made[one.against] / "pruning.json")["steps"][-1]["reached"]["latency, ms"])
    epochs = trained_for(one, made[one.against])
    if "narrow" in controls:
        made["narrow"] = one.export(narrow(one, budget, epochs, source), "exact", "narrow")
    taught = [name for name in ("distilled", "unet") if name in controls]
    if taught:
        data = read_export_data(one.data, source.metadata, progress)
        soft = teacher_probabilities(
            source.model, data.train.images, progress("Predict with the teacher", len(data.train.images))
        )
        for name in taught:
            model = teach(one, name, budget, epochs, source, data, soft, progress)
            made[name] = one.export(model, "exact", name, *model_options(one, name))
    return made


def keep(one: Case, made: Mapping[str, Path], measured: Measured, losses: Mapping[str, Interval]) -> None:
    """Write the table with its raw samples, and how each network was made."""
    folder = results_folder(f"pruning_{one.data.name}")
    save_result(folder / "result.json", measured.result)
    write_json(folder / "lost.json", {name: dataclasses.asdict(value) for name, value in losses.items()})
    for name, run in made.items():
        for file in ("pruning.json", "quantization.json"):
            if (run / file).exists():
                shutil.copyfile(run / file, folder / f"{name}.{file}")
    shutil.copyfile(one.trained / "recipe.toml", folder / "reference_recipe.toml")
    title = f"# Pruning, {one.data.name}, base {one.recipe.base_width}, {one.recipe.size[0]}x{one.recipe.size[1]}"
    explanation = (
        "Dice is the mean over the foreground classes on the validation split; what is lost is against the float model in "
        "float32 TFLite, with a bootstrap over patients or images. One thread, all files interleaved in one run. Controls that "
        f"are built anew have the {one.against} network's int8 latency before rewriting, as near as whole widths come, and "
        f"{trained_for(one, made[one.against])} epochs of training, as many as it has together with its reference."
    )
    machine = f"{describe_machine(measured.result.environment)}. Command: `{measured.result.command}`."
    write_text(
        folder / "report.md",
        "\n\n".join([title, explanation, table(measured.result, losses), machine]) + "\n",
    )


def main() -> None:
    """Run every data set named on the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, nargs="+", help="data folders; each needs a recipe of its name")
    parser.add_argument("--runs", type=Path, default=Path("runs/base16"), help="where the runs go (default: %(default)s)")
    parser.add_argument("--recipes", default=",".join(NAMES), help="comma-separated, exact among them (default: %(default)s)")
    parser.add_argument("--against", default="balanced", help="recipe that controls are held against (default: %(default)s)")
    parser.add_argument("--controls", default=",".join(CONTROLS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=40, help="of timing (default: %(default)s)")
    given = parser.parse_args()
    command = typed_command("pruning")
    for data in given.data:
        one = train_case(data, given.runs, given.against)
        with stages() as progress:
            recipes, controls = ([name for name in text.split(",") if name] for text in (given.recipes, given.controls))
            made = variants(one, recipes, controls, progress)
            measured, losses = compare(one, made, given.rounds, command, progress)
        keep(one, made, measured, losses)
        print(table(measured.result, losses))


if __name__ == "__main__":
    main()
