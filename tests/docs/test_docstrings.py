"""Everything public says what it is: the reference of the documentation is made of docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages import name_of
from tests.support.paths import REPOSITORY

MODULES = sorted((REPOSITORY / "u3p_edge").rglob("*.py"))


def without_docstring(module: Path) -> Iterator[str]:
    """The public functions and classes of a module, and their methods, that have no docstring.

    A method of a class with a base is left out: the base says what it does.
    """
    tree = ast.parse(module.read_text(encoding="utf-8"))
    yield from ["the module"] if ast.get_docstring(tree) is None else []
    for node in public(tree.body):
        yield from [node.name] if ast.get_docstring(node) is None else []
        if isinstance(node, ast.ClassDef) and not node.bases:
            yield from (f"{node.name}.{one.name}" for one in public(node.body) if ast.get_docstring(one) is None)


def public(body: list[ast.stmt]) -> list[ast.FunctionDef | ast.ClassDef]:
    return [node for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_everything_public_has_a_docstring(module: Path) -> None:
    assert not list(without_docstring(module))


def test_a_function_without_one_is_noticed(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""A module."""\n\ndef silent() -> None: ...\n\nclass Named:\n    """A class."""\n    def method(self): ...\n'
    )
    assert list(without_docstring(module)) == ["silent", "Named.method"]
