"""Pruning to a budget against its controls, on real images, all measured side by side in one run.

    python benchmarks/pruning.py ../shared/data/acdc_ed224 ../shared/data/hippocampus_64 ../shared/data/dsb2018_256

For each data set (recipes in benchmarks/recipes/base16/): the float UNet 3+ is trained, exported as it is and pruned by each
recipe; then what pruning has to beat, of the int8 latency of one recipe's network, as near as whole widths come, trained for as
many epochs:

    random        the same cut with channels chosen by chance
    narrow        a UNet 3+ simply built narrower, trained as the reference was
    distilled     the same, taught by the reference as a pruned network is
    unet          a plain UNet, taught likewise

Scores are of the validation split, with a bootstrap interval over patients (or images) of what is lost against the float model
in float32 TFLite. Kept in benchmarks/results/<processor>/pruning_<data>/. What is done already is not done again.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pruning_controls import Case, by_chance, narrow, teach, told, trained_for
from real_data import HERE, command, machine_of, results_folder

from u3p_edge.artifact import make_folder, read_json, write_json, write_text
from u3p_edge.benchmark.paired import paired_loss
from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.benchmark.statistics import Interval, quartiles, ratio
from u3p_edge.benchmark.suite import EvaluationData, Settings, measure
from u3p_edge.benchmark.suite import Measured as Compared
from u3p_edge.cli.progress import stages
from u3p_edge.distill.loop import teacher_probabilities
from u3p_edge.graph import memory
from u3p_edge.pipeline.data import read_export_data
from u3p_edge.pipeline.source import read_source
from u3p_edge.progress import Progress
from u3p_edge.recipes.named import MEASURED, NAMES, MeasuredRecipe
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.tools.device_profile import read_networks as read_network
from u3p_edge.training.recipe import read_train_recipe as read_training

CONTROLS = ("random", "narrow", "distilled", "unet")
REFERENCE = "reference.float32.tflite"
MB = 1_000_000


def case(data: Path, runs: Path, against: str) -> Case:
    """The data set's reference, trained."""
    recipe = HERE / "recipes" / "base16" / f"{data.name}.toml"
    folder = runs / data.name
    command("train", data, "--out", folder / "train", "--recipe", recipe)
    return Case(data, folder, read_training(recipe), against)


def variants(one: Case, recipes: Sequence[str], controls: Sequence[str], progress: Progress) -> dict[str, Path]:
    """Run folders of all exports, by name."""
    made = {name: one.export(one.trained, name, name) for name in recipes}
    if "random" in controls:
        made["random"] = one.export(one.trained, by_chance(one), f"random_{one.against}")
    if not {"narrow", "distilled", "unet"} & set(controls):
        return made
    source = read_source(one.trained, ExportRecipe())
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
            made[name] = one.export(model, "exact", name, *told(one, name))
    return made


def side_by_side(
    one: Case, made: Mapping[str, Path], rounds: int, said: str, progress: Progress
) -> tuple[Compared, dict[str, Interval]]:
    """All int8 files and the float reference in one run, on the validation split; and what each loses."""
    folder = one.runs / "compared"
    make_folder(folder)
    shutil.copyfile(made["exact"] / REFERENCE, folder / REFERENCE)
    for name, run in made.items():
        shutil.copyfile(run / "model.int8.tflite", folder / f"{name}.int8.tflite")
    source = read_source(one.trained, ExportRecipe())
    data = read_export_data(one.data, source.metadata, progress)
    paths = [folder / REFERENCE, *(folder / f"{name}.int8.tflite" for name in made)]
    found = measure(
        paths, reference=REFERENCE, data=EvaluationData(one.data.name, "val", data.val), command=said,
        settings=Settings(threads=(1,), rounds=rounds), progress=progress,
    )  # fmt: skip
    truth, groups, labels = data.val.labels, data.val.groups, source.metadata.labels
    before = found.predictions[REFERENCE]
    losses = {name: paired_loss(truth, before, labels_of, groups, labels) for name, labels_of in found.predictions.items()}
    return found, losses


def arena(path: Path, bytes_per_element: int) -> int:
    """Peak of the arena plan of a TFLite file, bytes."""
    return memory.plan_memory(read_network(path), bytes_per_element=bytes_per_element).peak


def table(result: RunResult, losses: Mapping[str, Interval], folder: Path) -> str:
    """One row a network."""
    rows = [
        "| network | Dice | points lost (95 %) | ms | times faster (95 %) | file, MB | of float | arena, MB | of float |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    first = result.artifacts[0]
    peaks = {a.name: arena(folder / a.name, 1 if "int8" in a.name else 4) for a in result.artifacts}
    for a in result.artifacts:
        own, loss = a.latencies[0].samples_ms, losses[a.name]
        gain, peak = ratio(first.latencies[0].samples_ms, own), peaks[a.name]
        dice = 0.0 if a.accuracy is None else 100 * (a.accuracy.mean_dice or 0.0)
        rows.append(
            f"| {a.name.removesuffix('.tflite')} | {dice:.2f} | {loss.median:+.2f} ({loss.low:+.2f} to {loss.high:+.2f}) "
            f"| {quartiles(own).median:.2f} | {gain.median:.1f} ({gain.low:.1f}–{gain.high:.1f}) "
            f"| {a.bytes / MB:.3f} | 1/{first.bytes / a.bytes:.0f} | {peak / MB:.3f} | 1/{peaks[first.name] / peak:.1f} |"
        )
    return "\n".join(rows)


def keep(one: Case, made: Mapping[str, Path], found: Compared, losses: Mapping[str, Interval]) -> None:
    """The table with its raw samples, and how each network came about."""
    folder = results_folder(f"pruning_{one.data.name}")
    make_folder(folder)
    save_result(folder / "result.json", found.result)
    write_json(folder / "lost.json", {name: dataclasses.asdict(value) for name, value in losses.items()})
    for name, run in made.items():
        for file in ("pruning.json", "quantization.json"):
            if (run / file).exists():
                shutil.copyfile(run / file, folder / f"{name}.{file}")
    shutil.copyfile(one.trained / "recipe.toml", folder / "reference_recipe.toml")
    title = f"# Pruning, {one.data.name}, base {one.recipe.base_width}, {one.recipe.size[0]}x{one.recipe.size[1]}"
    said = (
        "Dice is the mean over the foreground classes on the validation split; what is lost is against the float model in "
        "float32 TFLite, with a bootstrap over patients or images. One thread, all files interleaved in one run. Controls that "
        f"are built anew have the {one.against} network's int8 latency before rewriting, as near as whole widths come, and "
        f"{trained_for(one, made[one.against])} epochs of training, as many as it has together with its reference."
    )
    machine = f"{machine_of(found.result.environment)}. Command: `{found.result.command}`."
    write_text(
        folder / "report.md", "\n\n".join([title, said, table(found.result, losses, one.runs / "compared"), machine]) + "\n"
    )


def record(one: Case, result: RunResult, losses: Mapping[str, Interval]) -> None:
    """What the recipes gave, for `u3p-edge recipes`; what stands there of other data stays."""
    data = f"{one.data.name}, base {one.recipe.base_width}, {one.recipe.size[0]}x{one.recipe.size[1]}"
    first = result.artifacts[0]
    stored = read_json(MEASURED)["results"] if MEASURED.is_file() else []
    entries = [entry for entry in stored if entry["data"] != data]
    for a in result.artifacts[1:]:
        recipe = a.name.removesuffix(".int8.tflite")
        if recipe in NAMES:
            gain = ratio(first.latencies[0].samples_ms, a.latencies[0].samples_ms).median
            found = MeasuredRecipe(data, recipe, round(gain, 1), round(losses[a.name].median, 2), a.bytes / first.bytes)
            entries.append(dataclasses.asdict(found))
    write_json(MEASURED, {"results": entries})


def main() -> None:
    """Every data set named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="data folders; each needs a recipe of its name")
    parser.add_argument("--runs", type=Path, default=Path("runs/base16"), help="where the runs go (default: %(default)s)")
    parser.add_argument("--recipes", default=",".join(NAMES), help="comma-separated, exact among them (default: %(default)s)")
    parser.add_argument("--against", default="balanced", help="recipe that controls are held against (default: %(default)s)")
    parser.add_argument("--controls", default=",".join(CONTROLS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=40, help="of timing (default: %(default)s)")
    given = parser.parse_args()
    said = shlex.join(["python", "benchmarks/pruning.py", *sys.argv[1:]])
    for data in given.data:
        one = case(data, given.runs, given.against)
        with stages() as progress:
            recipes, controls = ([name for name in text.split(",") if name] for text in (given.recipes, given.controls))
            made = variants(one, recipes, controls, progress)
            found, losses = side_by_side(one, made, given.rounds, said, progress)
        keep(one, made, found, losses)
        record(one, found.result, losses)
        print(table(found.result, losses, one.runs / "compared"))


if __name__ == "__main__":
    main()
