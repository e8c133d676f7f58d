"""Train and export on real patients, through the same commands that a user types, and keep the reports.

    python -m benchmarks.real_data ../shared/data/hippocampus_64 ../shared/data/acdc_ed224

The recipes are benchmarks/recipes/<folder name>.toml. Reports are kept in benchmarks/results/<processor>/<folder name>;
the sample pictures stay in the run folder, since the images' licences do not allow everyone to pass them on.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.lib.commands import make_parser, run_program
from benchmarks.lib.environment import BENCHMARKS, results_folder

KEPT = ("report.md", "report.json", "quantization.json")


def run(data: Path, runs: Path, keep: bool) -> None:
    """Train and export one data set with int8, and keep the reports."""
    recipe = BENCHMARKS / "recipes" / f"{data.name}.toml"
    trained, exported = runs / data.name / "train", runs / data.name / "export"
    run_program("train", data, "--out", trained, "--recipe", recipe)
    # Neither pruned nor rewritten: what int8 alone costs and gains. Rewrites and pruning have other benchmarks.
    run_program("export", trained, "--int8", "--recipe", "exact", "--no-rewrite", "--data", data, "--out", exported)
    if keep:
        folder = results_folder(data.name)
        for name in KEPT:
            shutil.copyfile(exported / name, folder / name)
        shutil.copyfile(trained / "scores.json", folder / "train_scores.json")
        shutil.copyfile(trained / "recipe.toml", folder / "recipe.toml")
        print(f"kept in {folder}")


def main() -> None:
    """Run every data set named on the command line, one after the other; an interrupted run continues where it stopped."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, nargs="+", help="data folders; each needs a recipe of its name")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders go (default: %(default)s)")
    parser.add_argument("--no-keep", action="store_true", help="do not copy the reports into benchmarks/results")
    given = parser.parse_args()
    for data in given.data:
        run(data, given.runs, not given.no_keep)


if __name__ == "__main__":
    main()
