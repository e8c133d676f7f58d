"""A small real training or export in forked processes, each killed at one of its file operations and then begun again.

    python -m tests.support.crash_end_to_end {train,export} MODEL DATA FOLDER KILLS

MODEL is a Keras file and DATA a data folder, for the export. KILLS is how many file operations are killed at, spread evenly, or
"all". Every check that fails ends the program with a traceback; the last line says how many kills went well. TensorFlow is
imported once, which takes longest, and first used in the forked processes.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.support.killing import killed_at, operations
from tests.support.recipes import make_recipe
from tests.support.tiny_run import tiny_data, tiny_recipe
from u3p_edge.manifest import Manifest, is_whole, read_manifest
from u3p_edge.pipeline.export import export
from u3p_edge.pipeline.publish import NAMES, READY
from u3p_edge.progress import silent
from u3p_edge.training.checkpoint import load_checkpoint
from u3p_edge.training.loop import train
from u3p_edge.training.output import FORMATS

Work = Callable[[Path], object]
Check = Callable[[Path], None]


def trained(run: Path) -> None:
    train(tiny_recipe(base_width=2, epochs=1, augmentation=None), tiny_data(), run)


def exported(run: Path, model: Path, data: Path, *, half: bool) -> None:
    recipe = make_recipe(int8=False, formats=("tflite",), float16=half, rewrite=False, rounds=5)
    export(model, data, run, recipe, progress=silent)


def check_files(run: Path) -> Manifest:
    """Every file that has its final name is whole. The manifest."""
    for path in run.glob("[!.]*.json"):
        json.loads(path.read_text())
    load_checkpoint(run)
    manifest = read_manifest(run)
    assert [a.file for a in (*manifest.artifacts, *manifest.reports) if not is_whole(a, run)] == []
    waiting = run / manifest.staging / READY
    assert [a.file for a in manifest.pending if not (is_whole(a, run) or is_whole(a, waiting))] == []
    return manifest


def check_training(run: Path) -> None:
    """A killed training's files are known as ours."""
    manifest = check_files(run)
    assert {path.name for path in run.glob("[!.]*")} <= manifest.names


def check_trained(run: Path) -> None:
    manifest = check_files(run)
    assert {a.file for a in manifest.artifacts} == set(FORMATS)
    assert list(run.glob(".*")) == []


def check_exporting(run: Path) -> None:
    """The old export, the new one, or one that goes on: never some files of each without a word."""
    manifest = check_files(run)
    there = {path.name for path in run.iterdir() if path.name in NAMES}
    assert there <= manifest.names
    if not manifest.pending:
        assert there == {a.file for a in (*manifest.artifacts, *manifest.reports)}


def check_exported(run: Path) -> None:
    manifest = check_files(run)
    assert {a.file for a in manifest.artifacts} == {"model.float32.tflite"}
    assert {path.name for path in run.iterdir()} == manifest.names


def kill(work: Work, start: Path, folder: Path, kills: str, midway: Check, done: Check) -> int:
    """Kill some work in copies of a folder, and finish it each time. The number of kills."""
    total = operations(partial(work, Path(shutil.copytree(start, folder / "whole"))))
    count = total if kills == "all" else int(kills)
    for number in (1 + round((total - 1) * (index + 0.5) / count) for index in range(count)):
        run = Path(shutil.copytree(start, folder / str(number)))
        assert killed_at(partial(work, run), number), f"operation {number} of {total} was not reached"
        midway(run)
        assert not killed_at(partial(work, run), 0)
        done(run)
        shutil.rmtree(run)
    return count


def main(kind: str, model: str, data: str, folder: str, kills: str) -> None:
    """Kill and finish."""
    start = Path(folder) / "start"
    start.mkdir()
    if kind == "train":
        count = kill(trained, start, Path(folder), kills, check_training, check_trained)
    else:
        work = partial(exported, model=Path(model), data=Path(data))
        assert not killed_at(lambda: work(start, half=True), 0)
        count = kill(partial(work, half=False), start, Path(folder), kills, check_exporting, check_exported)
    print(f"{count} kills went well")


if __name__ == "__main__":
    main(*sys.argv[1:])
