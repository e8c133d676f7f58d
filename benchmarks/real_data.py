"""Train and export on real patients, through the same commands that a user types, and keep the reports.

    python benchmarks/real_data.py ../shared/data/hippocampus_64 ../shared/data/acdc_ed224

The recipes are benchmarks/recipes/<folder name>.toml. Reports are kept in benchmarks/results/<processor>/<folder name>;
the sample pictures stay in the run folder, since the images' licences do not allow everyone to pass them on.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.result import Environment

HERE = Path(__file__).resolve().parent
KEPT = ("report.md", "report.json", "quantization.json")


def command(*words: str | Path) -> None:
    """Run u3p-edge as a user does; its failure is this script's."""
    subprocess.run([sys.executable, "-m", "u3p_edge.cli.main", *map(str, words)], check=True)


def results_folder(name: str) -> Path:
    """Where the reports of a data set are kept: by processor, so that runs of two machines lie side by side."""
    environment = describe_environment()
    processor = re.sub(r"[^a-z0-9]+", "-", f"{environment.cpu} {environment.cores} cores".lower()).strip("-")
    return HERE / "results" / processor / name


def machine_of(environment: Environment) -> str:
    """Where a report's figures come from: processor, cores, versions."""
    versions = ", ".join(f"{name} {version}" for name, version in environment.libraries)
    return f"{environment.cpu}, {environment.cores} cores, {versions}"


def run(data: Path, runs: Path, keep: bool) -> None:
    """One data set: train, export with int8, keep the reports."""
    recipe = HERE / "recipes" / f"{data.name}.toml"
    trained, exported = runs / data.name / "train", runs / data.name / "export"
    command("train", data, "--out", trained, "--recipe", recipe)
    # As it came: what int8 alone costs and gains. Rewrites and pruning have benchmarks of their own.
    command("export", trained, "--int8", "--recipe", "exact", "--no-rewrite", "--data", data, "--out", exported)
    if keep:
        folder = results_folder(data.name)
        folder.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            shutil.copyfile(exported / name, folder / name)
        shutil.copyfile(trained / "scores.json", folder / "train_scores.json")
        shutil.copyfile(trained / "recipe.toml", folder / "recipe.toml")
        print(f"kept in {folder.relative_to(HERE.parent)}")


def main() -> None:
    """Every data set named on the command line, one after the other; an interrupted one goes on where it was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="data folders; each needs a recipe of its name")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders go (default: %(default)s)")
    parser.add_argument("--no-keep", action="store_true", help="do not copy the reports into benchmarks/results")
    given = parser.parse_args()
    for data in given.data:
        run(data, given.runs, not given.no_keep)


if __name__ == "__main__":
    main()
