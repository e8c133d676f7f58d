"""The walls between the rooms hold, and the package shows no more than what is meant."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import u3p_edge
from tests.support.paths import REPOSITORY

TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))


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


def test_the_package_has_a_version_and_a_picture() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", u3p_edge.__version__)
    assert "One way down" in str(u3p_edge.__doc__)


def test_no_room_is_called_utils() -> None:
    names = {path.stem for path in (REPOSITORY / "u3p_edge").rglob("*.py")}
    assert not {name for name in names if "util" in name or "helper" in name}


TEST_LINES = 350
"""Above it a file of tests is about several things, and is split by them."""


def test_files_of_tests_are_short() -> None:
    lengths = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in TESTS}
    assert {path: length for path, length in lengths.items() if length > TEST_LINES} == {}


def test_what_tests_share_is_in_support() -> None:
    """No module of tests imports another, so who changes a test changes that test alone."""
    shared = re.compile(r"^\s*(?:from|import) (?:tests\.(?!support)|test_|conftest)", re.MULTILINE)
    assert [str(path) for path in TESTS if shared.search(path.read_text(encoding="utf-8"))] == []


def test_no_test_changes_where_modules_are_looked_for() -> None:
    """But for a while, by pytest's own `syspath_prepend`."""
    changed = re.compile(r"\bsys\.path\.(?:insert|append|extend)\b|\bsite\.addsitedir\b")
    assert [str(path) for path in TESTS if changed.search(path.read_text(encoding="utf-8"))] == []
