"""The tutorial works from its first line to its last, and the Python of every page runs on what the tutorial left."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.command_line import Program
from tests.support.pages import DOCS, PAGES, blocks, name_of, shell_lines

QUICK = {
    "train": "--size 32x32 --width 2 --epochs 1 --no-deep-supervision",
    "export": "--recipe exact --ptq --no-rewrite --rounds 5 --calibration-images 2 --min-sqnr -20 --formats tflite",
    "bench": "--rounds 5 --memory 0",
}
"""Options that a command of the tutorial gets at its end, where they replace those before: the same work on less."""

WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader of the tutorial sits."""
    return tmp_path_factory.mktemp("reader")


def leave_few_images(scans: Path, of_each: int = 4) -> None:
    """Leave that many images of each split in a data folder."""
    header, *rows = (scans / "split.csv").read_text(encoding="utf-8").splitlines()
    split = header.split(",").index("split")
    by_split: dict[str, list[str]] = {}
    for row in rows:
        by_split.setdefault(row.split(",")[split], []).append(row)
    kept = [row for listed in by_split.values() for row in listed[:of_each]]
    (scans / "split.csv").write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
    stems = {row.split(",")[0] for row in kept}
    for path in (*(scans / "images").iterdir(), *(scans / "masks").iterdir()):
        if path.stem not in stems:
            path.unlink()


def test_the_tutorial_runs(folder: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for block in blocks(DOCS / "tutorial.md", "python"):
        exec(compile(block, "tutorial.md", "exec"), {})
    leave_few_images(folder / "scans")
    for line in shell_lines(DOCS / "tutorial.md"):
        name, *rest = line.words[1:]
        done = program(name, *rest, *QUICK.get(name, "").split())
        assert done.code == 0, (line.words, done.out, done.err)
    assert sorted(path.stem for path in (folder / "masks").glob("*.png"))
    assert (folder / "exported" / "report.md").is_file()


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_runs(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not (folder / "exported" / "model.int8.tflite").is_file():
        pytest.fail("the tutorial left no exported files")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder / "run", "run")
    shutil.copy(folder / "exported" / "model.int8.tflite", "model.int8.tflite")
    shutil.copy(next((folder / "scans" / "images").glob("*.png")), "scan.png")
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, name_of(page), "exec"), names)
