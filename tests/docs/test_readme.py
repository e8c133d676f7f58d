"""The README is short, its table is the kept one, and its links and those of its neighbours lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.gen import results
from tests.support.pages import name_of
from tests.support.paths import REPOSITORY

README = REPOSITORY / "README.md"
MOST_WORDS = 900


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= MOST_WORDS


def test_its_table_is_that_of_a_kept_report() -> None:
    text = README.read_text(encoding="utf-8")
    directives = re.findall(r"^<!-- (?:result|tables): .* -->$", text, re.MULTILINE)
    assert directives
    for directive in directives:
        table = "\n".join(line for line in results.expand(directive).splitlines() if line.startswith("|"))
        assert f"{directive}\n\n{table}\n" in text


@pytest.mark.parametrize("page", [README, REPOSITORY / "CONTRIBUTING.md"], ids=name_of)
def test_links_lead_to_files_of_the_repository(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert links
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing
