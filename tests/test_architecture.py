"""The walls between the rooms hold, and the package shows no more than what is meant."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import u3p_edge
from tests.support.paths import REPOSITORY


def test_the_walls_hold() -> None:
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kept = re.search(r"Contracts: (\d+) kept, 0 broken", done.stdout)
    assert kept is not None
    assert int(kept[1]) >= 3, "every contract of pyproject.toml was checked"


def test_the_package_itself_is_its_version_and_its_picture() -> None:
    public = {name for name in vars(u3p_edge) if not name.startswith("_")} - {"annotations"}
    modules = {name for name in public if f"u3p_edge.{name}" in sys.modules}
    assert public == modules, "nothing but its rooms, once they are imported"
    assert re.fullmatch(r"\d+\.\d+\.\d+", u3p_edge.__version__)
    assert "One way down" in str(u3p_edge.__doc__)


def test_no_room_is_called_utils() -> None:
    names = {path.stem for path in (REPOSITORY / "u3p_edge").rglob("*.py")}
    assert not {name for name in names if "util" in name or "helper" in name}
