"""The messages that the page on troubleshooting explains are messages of the program."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.pages import DOCS
from tests.support.paths import REPOSITORY

PAGE = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = [
    code for bold in re.findall(r"^\*\*(.+?)\*\*", PAGE, re.MULTILINE) for code in re.findall(r"`([^`]+)`", bold) if " " in code
]


def texts() -> Iterator[str]:
    """Every text of the package's code, with `...` for what is filled in."""
    for path in (REPOSITORY / "u3p_edge").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values)  # type: ignore[misc]  # text
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


TEXTS = tuple(texts())


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_one_of_the_program(message: str) -> None:
    wanted = re.compile(".*".join(map(re.escape, message.split("..."))), re.DOTALL)
    assert any(wanted.search(text) for text in TEXTS), message


def test_there_are_messages_and_a_made_up_one_is_noticed() -> None:
    assert len(MESSAGES) > 10
    assert not any("this message does not exist" in text for text in TEXTS)
