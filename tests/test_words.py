"""Names mean one thing in the whole package, and neither names nor prose use words that the field has better ones for."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

PACKAGE = REPOSITORY / "u3p_edge"

ONE_MEANING = {
    "list_cases": "of each kind of source of scans: list its scans",
    "open_file": "of each runtime: open a model file in it",
    "recognize": "of each kind of source of scans: whether a path is one",
    "score_elements": "of each measure of importance: score the elements of a channel group",
    "train": "train a network, on a folder of images and on arrays of them",
}
"""Public functions that may have one name in several modules, and the meaning that they share."""

SHELLS = ("api/", "cli/")
"""Modules whose functions carry the names of what they call."""

VAGUE = frozenset(
    (
        *("at", "bare", "found", "own", "place", "places", "said", "stands", "strip", "strips", "told", "way", "ways"),
        *("advance", "begin", "gather", "settle", "spread"),
    )
)
"""Names of parameters, variables and functions that do not say what they are."""

COINED = {
    "calm": "quiet", "cascaded": "cascade_pools", "gathered": "fuse_interpolated_sums", "handoff": "core_to_core",
    "judged": "scored", "judging": "score_channels", "meetings": "merge_readers", "proven": "validated", "recover": "finetune",
    "recovery": "finetune", "relief": "cost_reduction", "settled": "hoist_pointwise", "skeleton": "shape_only_graph",
    "stopwatch": "timer", "survivors": "live_inputs", "viewed": "undo_layouts", "weigh": "measure", "weighed": "measured",
    "weighing": "measuring", "yardstick": "reference_kernel",
}  # fmt: skip
"""Words that are no part of any name, each with the word of the field that takes its place."""

PROSE = re.compile(
    r"\b(told|as (it|they) came|hangs? on|strips?|depth[- ]first(?! order)|weigh(s|ed|ing)?|yardsticks?|handoffs?|stand-?ins?|"
    r"gathered|settled|cascaded|judged|judging|relief|survivors|skeletons?|stopwatch)\b",
    re.IGNORECASE,
)


@cache
def module(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def public(kind: type[ast.ClassDef] | type[ast.FunctionDef]) -> dict[str, list[str]]:
    """The modules that define each public name of a kind."""
    homes = defaultdict(list)
    for path in files():
        home = path.relative_to(PACKAGE).as_posix()
        for node in module(path).body:
            if isinstance(node, kind) and not node.name.startswith("_") and not home.startswith(SHELLS):
                homes[node.name].append(home)
    return homes


def test_no_class_has_a_namesake() -> None:
    assert {name: homes for name, homes in public(ast.ClassDef).items() if len(homes) > 1} == {}


def test_functions_of_one_name_have_one_meaning() -> None:
    namesakes = {name: homes for name, homes in public(ast.FunctionDef).items() if len(homes) > 1}
    assert {name: homes for name, homes in namesakes.items() if name not in ONE_MEANING} == {}
    assert set(ONE_MEANING) <= set(namesakes), "the list names what is still there"


def names(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module(path)):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Docstrings, messages and comments, by the first line of each."""
    kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type in kinds:
            yield token.start[0], token.string


def odd_names(path: Path) -> Iterator[tuple[int, str]]:
    for line, name in names(path):
        parts = {part.lower() for part in re.split(r"_|(?<=[a-z])(?=[A-Z])", name.strip("_"))}
        if name.strip("_") in VAGUE or parts & COINED.keys():
            yield line, name


def odd_prose(path: Path) -> Iterator[tuple[int, str]]:
    keys = {'"strips"'} if path.name == "named.py" else set()  # the key that a message names as one of before
    return ((line, match.group()) for line, text in prose(path) if text not in keys for match in PROSE.finditer(text))


@pytest.mark.parametrize("find", [odd_names, odd_prose])
def test_words_are_those_of_the_field(find: Callable[[Path], Iterator[tuple[int, str]]]) -> None:
    by_file = {str(path.relative_to(PACKAGE)): list(find(path)) for path in files()}
    assert {file: odd for file, odd in by_file.items() if odd} == {}
