"""Compare networks that a trained UNet 3+ teaches with controls of the same time, on patients that no choice has seen.

    python -m benchmarks.students ../shared/data/acdc_ed224 --seeds 0,1,2

Every step is skipped where its files are there: prepare the reference, train it, prepare the students, train them, measure.
Training needs PyTorch. Where it is missing, the command says which one to run on a machine that has it, with this folder; then
it goes on from there. The report is of the students that are trained with all the seeds, and is kept in
benchmarks/results/<processor>/students_<data set>/ for one seed, in students_<data set>_3_seeds/ for three.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.environment import results_folder
from benchmarks.students import finish, report, trained
from benchmarks.students.prepare import prepare_reference, prepare_students
from benchmarks.students.quantize import quantize_students
from benchmarks.students.study import REFERENCE, STUDENTS, Study
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.cli.progress import stages
from u3p_edge.files.atomic import make_folder, write_json, write_text
from u3p_edge.progress import Progress

TRAINER = Path(__file__).with_name("train_torch.py")


def train(study: Study, name: str, seeds: str) -> None:
    """Train the jobs of a file in a process of its own, as far as they are not trained.

    Raises:
        SystemExit: PyTorch is not installed, or the training failed.
    """
    jobs = study.jobs(name)
    if importlib.util.find_spec("torch") is None:
        raise SystemExit(
            f"Training needs PyTorch. Install it (python -m pip install torch), or copy {study.folder} and {TRAINER.name} to a "
            f"machine that has it, run `python {TRAINER.name} {jobs.name} --seeds {seeds}` there, and copy `trained` back."
        )
    done = subprocess.run([sys.executable, str(TRAINER), str(jobs), "--seeds", seeds], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def run(study: Study, seeds: str, rounds: int, progress: Progress, *, train_more: bool) -> None:
    """Do the steps of one data set that are left, and keep the report.

    Args:
        study: the data set.
        seeds: of the students, comma-separated; the reference has seed 0.
        rounds: of timing.
        progress: shows the stages.
        train_more: train what is not trained yet.
    """
    if train_more:
        if not study.jobs(REFERENCE).exists():
            prepare_reference(study, progress)
        if not study.weights(REFERENCE, 0).with_suffix(".json").exists():
            train(study, REFERENCE, "0")
        if not study.jobs(STUDENTS).exists():
            prepare_students(study, progress)
        train(study, STUDENTS, seeds)
    measure(study, tuple(map(int, seeds.split(","))), rounds, progress)


def measure(study: Study, seeds: tuple[int, ...], rounds: int, progress: Progress) -> None:
    """Quantize, choose, measure and keep what is trained with all the seeds."""
    students, data, source = trained.read_trained(study, seeds), study.read_data(progress), study.read_reference()
    make_folder(study.files)
    reference = finish.write_reference(study, source, data)
    files = quantize_students(study, students, source, data, progress)
    comparisons = finish.choose_finalists(students, files)
    finalists = dict.fromkeys(name for one in comparisons for name in one.names)
    paths = {finish.FLOAT: [reference[0]], finish.INT8: [reference[1]]}
    paths |= {name: [study.files / each.file for each in files[name]] for name in finalists}
    every = [path for each in paths.values() for path in each]
    result = finish.measure_files(every, study, data, rounds, typed_command("students"), progress)
    folder = results_folder(f"students_{study.data.name}" + (f"_{len(seeds)}_seeds" if len(seeds) > 1 else ""))
    save_result(folder / "result.json", result)
    write_json(folder / "trained.json", trained.describe_trained(study, students))
    write_json(folder / "int8.json", {name: [asdict(each) for each in some] for name, some in files.items()})
    measured = finish.join_seeds(result, paths)
    text = report.describe_study(study.data.name, result, comparisons, measured, students, files)
    write_text(folder / "report.md", text)
    print(text)


def main() -> None:
    """Run every data set named on the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, nargs="+", help="data folders; each needs a recipe of its name")
    parser.add_argument("--runs", type=Path, default=Path("runs/students"), help="where files go (default: %(default)s)")
    parser.add_argument("--seeds", default="0,1,2", help="of the students, comma-separated (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=40, help="of timing (default: %(default)s)")
    parser.add_argument("--trained", action="store_true", help="measure the students that are trained, and train no more")
    given = parser.parse_args()
    for data in given.data:
        with stages() as progress:
            run(Study(data, given.runs / data.name), given.seeds, given.rounds, progress, train_more=not given.trained)


if __name__ == "__main__":
    main()
