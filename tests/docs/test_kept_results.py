"""The kept results are whole, name no path of a machine, and lose no more than their recipe allows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.gen.results import RESULTS
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.files.atomic import read_json
from u3p_edge.pipeline.quantization_choice import parse_choice
from u3p_edge.recipes.named import read_export_recipe

REPORTS = sorted(RESULTS.glob("*/*/report.json"))


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_a_kept_result_is_whole_and_names_no_machine_path(path: Path) -> None:
    result = read_result(path)
    assert result.data is not None
    assert all(a.accuracy and a.memory and len(a.latencies) >= 1 for a in result.artifacts)
    assert not re.search(r"(^|\s|')/(?!dev/null)", result.command)


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_kept_int8_loses_at_most_what_its_recipe_allows(path: Path) -> None:
    choice = parse_choice(read_json(path.with_name("quantization.json")))
    assert choice.drop <= read_export_recipe("exact" if choice.pruned_dice is None else "balanced").recipe.max_drop
