"""Take results into the package, which no benchmark does by itself.

    python -m benchmarks.promote recipes benchmarks/results/<processor>/pruning_*
    python -m benchmarks.promote reference runs/reference/packed

The first writes what the named recipes gave in kept results of `benchmarks.pruning`, for `u3p-edge recipes`; the figures of
other data sets are unchanged. The second copies the model that `benchmarks.train_reference` packed.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.lib.commands import make_parser
from benchmarks.lib.environment import PACKAGE
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.files.atomic import read_json, write_json
from u3p_edge.recipes.named import MEASURED, NAMES, MeasuredRecipe, read_measured
from u3p_edge.training.recipe import read_train_recipe


def measured_recipes(folder: Path) -> tuple[MeasuredRecipe, ...]:
    """Return what the named recipes gave, from the folder of a kept result of `benchmarks.pruning`."""
    result, losses = read_result(folder / "result.json"), read_json(folder / "lost.json")
    training = read_train_recipe(folder / "reference_recipe.toml")
    name = folder.name.removeprefix("pruning_")
    data = f"{name}, base {training.base_width}, {training.size[0]}x{training.size[1]}"
    first, *others = result.artifacts
    return tuple(
        MeasuredRecipe(
            data,
            recipe,
            speedup=round(ratio(first.latencies[0].samples_ms, a.latencies[0].samples_ms).estimate, 1),
            lost=round(losses[a.name]["median"], 2),
            size_share=a.bytes / first.bytes,
        )
        for a in others
        if (recipe := a.name.removesuffix(".int8.tflite")) in NAMES
    )


def promote_recipes(folders: Sequence[Path]) -> None:
    """Write the figures of these results into the package."""
    new = [entry for folder in folders for entry in measured_recipes(folder)]
    kept = [entry for entry in read_measured() if entry.data not in {other.data for other in new}]
    write_json(MEASURED, {"results": [dataclasses.asdict(entry) for entry in (*kept, *new)]})


def promote_reference(packed: Path) -> None:
    """Copy the files of a packed model into the package."""
    for path in sorted(packed.iterdir()):
        shutil.copyfile(path, PACKAGE / "models" / "reference" / path.name)


def main() -> None:
    """Promote recipes or the reference model."""
    parser = make_parser(__doc__)
    kinds = parser.add_subparsers(dest="what", required=True)
    kinds.add_parser("recipes").add_argument("folders", type=Path, nargs="+", help="kept results of benchmarks.pruning")
    kinds.add_parser("reference").add_argument("packed", type=Path, help="folder that benchmarks.train_reference packed")
    given = parser.parse_args()
    if given.what == "recipes":
        promote_recipes(given.folders)
    else:
        promote_reference(given.packed)


if __name__ == "__main__":
    main()
