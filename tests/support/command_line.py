"""The program as a user starts it, and the small data folder and model files that its tests give it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.paths import REPOSITORY
from tests.support.small_artifacts import Zoo, picture, truth

ROUNDS = ("--rounds", "5")
"""No more than must be."""

QUICK = (*ROUNDS, "--recipe", "exact")
"""Of an export: no channel is dropped, whatever the default recipe does."""


@dataclass(frozen=True)
class Ended:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str


class Program:
    """`u3p-edge ARGUMENTS`, run in this process through the real `main`."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = patch, capture
        # Without it main would turn this whole process's standard error away from pytest.
        patch.setenv("U3P_EDGE_VERBOSE", "1")
        patch.setenv("COLUMNS", "160")

    def __call__(self, *arguments: object) -> Ended:
        from u3p_edge.cli.main import main

        self._patch.setattr(sys, "argv", ["u3p-edge", *map(str, arguments)])
        self._capture.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        output = self._capture.readouterr()
        return Ended(code if isinstance(code, int) else 0, output.out, output.err)


def command(*arguments: object) -> list[str]:
    """The command line of a process of its own."""
    return [sys.executable, "-m", "u3p_edge.cli.main", *map(str, arguments)]


def run_process(*arguments: object, code: str = "", **environment: str) -> Ended:
    """`u3p-edge ARGUMENTS` in a process of its own; or Python `code` with them in sys.argv."""
    line = [sys.executable, "-c", code, *map(str, arguments)] if code else command(*arguments)
    kept = {k: v for k, v in os.environ.items() if k not in ("TF_CPP_MIN_LOG_LEVEL", "U3P_EDGE_VERBOSE")}
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    done = subprocess.run(
        line, capture_output=True, encoding=encoding, check=False, cwd=REPOSITORY, env={**kept, **environment}
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def make_pictures(root: Path, splits: tuple[str, ...] = ("train",) * 6 + ("val",) * 3 + ("test",) * 3) -> Path:
    """A data folder of the zoo's pictures, one a split named."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    rows = ["name,split"]
    for seed, split in enumerate(splits):
        Image.fromarray((255 * picture(seed)[:, :, 0]).astype(np.uint8)).save(root / "images" / f"p{seed}.png")
        Image.fromarray(truth(seed)).save(root / "masks" / f"p{seed}.png")
        rows.append(f"p{seed},{split}")
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root


def make_keras_files(zoo: Zoo) -> dict[str, Path]:
    """The zoo's network as tf_keras saves it, by suffix."""
    files = {suffix: zoo.path(f"saved{suffix}") for suffix in (".keras", ".h5")}
    for path in files.values():
        if not path.exists():
            zoo.model.save(path)
    return files


def refusal(done: Ended) -> str:
    """The one sentence in which a command ended with exit code 2."""
    assert done.code == 2, done
    assert "Traceback" not in done.err
    sentences = [line for line in done.err.splitlines() if line.startswith("u3p-edge: ")]
    assert len(sentences) == 1, done.err
    assert done.err.rstrip().endswith(sentences[0]), "something follows, or the sentence has several lines"
    return sentences[0].removeprefix("u3p-edge: ")


def left_in(out: Path) -> list[str]:
    """What lies in an output folder, the staged files of an export that can go on left aside; nothing may be partial."""
    files = [path for path in out.rglob("*") if path.is_file()] if out.is_dir() else []
    assert not [path for path in files if "partial" in path.name]
    return sorted(str(p.relative_to(out)) for p in files if not any(part.startswith(".u3p-edge-staging-") for part in p.parts))
