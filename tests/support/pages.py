"""The pages of the documentation and what a reader would type from them: commands, options and Python."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = (*(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md")), *sorted(DOCS.rglob("*.md")))

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Line:
    """A command as its words, and the page that has it."""

    page: str
    words: tuple[str, ...]


def name_of(page: Path) -> str:
    """Path of a page inside the repository."""
    return page.relative_to(REPOSITORY).as_posix()


def blocks(page: Path, language: str) -> tuple[str, ...]:
    """The blocks of code of a page in one language, in order."""
    return tuple(text for kind, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language)


def shell_lines(page: Path) -> Iterator[Line]:
    """Every command of a page's `sh` blocks, without comments, redirections and environment; `a && b` are two."""
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            for command in re.split(r"&&", re.sub(r"(?:^| )#.*$", "", line)):
                words = [word for word in shlex.split(command.partition(" > ")[0]) if not re.match(r"nice$|[A-Z_0-9]+=", word)]
                if words:
                    yield Line(name_of(page), tuple(words))


def inline_code(page: Path) -> tuple[str, ...]:
    """The code inside sentences of a page."""
    return tuple(_INLINE.findall(_BLOCK.sub("", page.read_text(encoding="utf-8"))))
