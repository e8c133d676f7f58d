"""The tutorial works from its first line to its last, and the Python of every page runs on what the tutorial left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Program
from tests.support.hasty_measuring import measure_hastily
from tests.support.nifti_files import nifti_folder
from tests.support.onnx_networks import save_unet
from tests.support.pages import DOCS, PAGES, blocks, name_of, shell_lines
from tests.support.slow import mark_slow
from tests.support.torch_files import TORCH_FILES

QUICK = {
    "train": "--size 32x32 --width 2 --epochs 1 --no-deep-supervision",
    "export": "--recipe exact --ptq --no-rewrite --rounds 5 --calibration-images 2 --min-sqnr -20 --formats tflite",
    "bench": "--rounds 5 --memory 0",
}
"""Options that a command of the tutorial gets at its end, where they replace those before: the same work on less."""

QUICK_RECIPE = (
    'recipe="exact", method="ptq", rewrite=False, rounds=5, calibration_images=2, min_sqnr=-20.0, formats=("tflite",)'
)
"""What Python gets in place of `recipe="balanced"`."""

TUTORIAL = DOCS / "tutorial.md"

PYTHON = {block: name_of(page) for page in PAGES if page != TUTORIAL for block in blocks(page, "python")}
"""Every block once, each of which stands alone, and a page that has it."""


@pytest.fixture(scope="module", autouse=True)
def hasty() -> Iterator[None]:
    """Nothing here looks at what is measured."""
    with measure_hastily():
        yield


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
    for block in blocks(TUTORIAL, "python"):
        exec(compile(block, "tutorial.md", "exec"), {})
    leave_few_images(folder / "scans")
    for line in shell_lines(TUTORIAL):
        name, *rest = line.words[1:]
        done = program(name, *rest, *QUICK.get(name, "").split())
        assert done.code == 0, (line.words, done.out, done.err)
    assert sorted(path.stem for path in (folder / "masks").glob("*.png"))
    assert (folder / "exported" / "report.md").is_file()


# `tests/test_api.py` calls the stages one by one and `tests/test_examples.py` a whole export, as these blocks do.
@pytest.mark.parametrize(
    "block", mark_slow(PYTHON, [block for block in PYTHON if "quantize(" in block or "export(" in block]), ids=PYTHON.get
)
def test_python_runs(block: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not (folder / "exported" / "model.int8.tflite").is_file():
        pytest.fail("the tutorial left no exported files")
    monkeypatch.chdir(tmp_path)
    for name in ("run", "scans", "exported"):
        shutil.copytree(folder / name, name)
    shutil.copy(folder / "exported" / "model.int8.tflite", "model.int8.tflite")
    shutil.copy(next((folder / "scans" / "images").glob("*.png")), "scan.png")
    save_unet(Path("model.onnx"), size=("height", "width"))
    shutil.copy(TORCH_FILES / "plain.pth", "unet3plus.pth")
    nifti_folder(Path("nifti"))
    exec(compile(block.replace('recipe="balanced"', QUICK_RECIPE), PYTHON[block], "exec"), {})
