"""Keyword arguments go before what a recipe says; every option is one in a file, as a keyword and as a flag."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import typer

from tests.support.recipes import balanced_pruning
from u3p_edge.cli.main import app
from u3p_edge.cli.recipe_options import parse_options
from u3p_edge.config.options import Option
from u3p_edge.errors import ConfigError
from u3p_edge.quantization.sparsity import Sparsity
from u3p_edge.recipes.build import OPTIONS, build_recipe
from u3p_edge.recipes.named import NAMES, NamedRecipe, read_export_recipe
from u3p_edge.recipes.recipe import ExportRecipe, Pruning
from u3p_edge.recipes.toml_text import recipe_to_toml

TEXTS = {
    "formats": ("onnx", ("onnx",)),
    "mean": ("1,2.5", (1.0, 2.5)),
    "std": ("1,2", (1.0, 2.0)),
    "class_names": ("a,b", ("a", "b")),
    "label_map": ("1:0,2:1", ((1, 0), (2, 1))),
    "mask_colours": ("#000000:0,#Ff0000:1", (("#000000", 0), ("#ff0000", 1))),
    "size": ("192x224", (192, 224)),
    "pruning_shares": ("0.25,0.5", (0.25, 0.5)),
}
"""What is typed for an option that is a list, and its value."""

TOGETHER: dict[str, dict[str, Any]] = {
    "mean": {"normalization": "meanstd", "std": (1.0, 1.0)},
    "std": {"normalization": "meanstd", "mean": (1.0, 1.0)},
    "sparsity_pattern": {"sparsity": 0.5},
}
"""Other options that one needs."""


def another_value(entry: Option) -> Any:
    """A value of the option that is not its default."""
    if entry.hint is bool:
        return not entry.default
    if get_origin(entry.hint) is Literal:
        return next(word for word in get_args(entry.hint) if word not in (entry.default, "meanstd"))
    if entry.key in TEXTS:
        return TEXTS[entry.key][1]
    if entry.key == "rewrites":
        return (("conv", "winograd"),)
    return {int: 7, float: 0.75, str: "word"}[entry.hint]


def value_of(recipe: ExportRecipe, entry: Option) -> Any:
    holder = getattr(recipe, entry.group) if entry.group else recipe
    return getattr(holder, entry.field)


def start(entry: Option) -> ExportRecipe:
    """A recipe in which the option has its default, and whose group is on."""
    sparse = Sparsity() if entry.group == "sparsity" else None
    return ExportRecipe(pruning=Pruning(speedup=2), sparsity=sparse)


@pytest.mark.parametrize("entry", OPTIONS.values(), ids=lambda entry: entry.key)
def test_a_key_of_a_file_a_keyword_and_a_flag_are_one_option(entry: Option, tmp_path: Path) -> None:
    value, more = another_value(entry), TOGETHER.get(entry.key, {})
    by_keyword = build_recipe(start(entry), **more, **{entry.key: value})
    assert value_of(by_keyword, entry) == value
    if entry.key == "int8":
        return  # without it pruning is left out, see below; its flag is a switch
    text = recipe_to_toml(NamedRecipe("", by_keyword))
    assert f"\n{entry.field} = {json.dumps(value)}\n" in text
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert read_export_recipe(str(path)).recipe == by_keyword
    if entry.key != "rewrites":  # a file, read in tests/cli/test_rewrite.py
        typed = TEXTS[entry.key][0] if entry.key in TEXTS else str(value) if entry.key == "sparsity" else value
        assert build_recipe(start(entry), **more, **parse_options(OPTIONS, {entry.key: typed})) == by_keyword


def test_every_option_is_a_flag_of_export_with_its_meaning() -> None:
    command = typer.main.get_command(app).commands["export"]  # type: ignore[attr-defined]  # a group
    flags = {param.name: param for param in command.params}
    for key, entry in OPTIONS.items():
        assert entry.flag in flags[key].opts
        assert entry.meaning in flags[key].help
        assert flags[key].default is None
    assert len({entry.flag for entry in OPTIONS.values()}) == len(OPTIONS)


@pytest.fixture(scope="module")
def balanced() -> Pruning:
    return balanced_pruning()


def test_without_options_it_is_the_recipe() -> None:
    for name in NAMES:
        assert build_recipe(name) == read_export_recipe(name).recipe
    assert build_recipe("exact", speedup=None) == ExportRecipe()


def test_a_budget_replaces_its_own_kind_and_leaves_the_rest(balanced: Pruning) -> None:
    assert build_recipe("balanced", speedup=5).pruning == replace(balanced, speedup=5)
    assert build_recipe("balanced", shrink=5).pruning == replace(balanced, shrink=5)
    assert build_recipe("balanced", latency_budget_ms=5).pruning == replace(balanced, speedup=None, latency_budget_ms=5)
    assert build_recipe("balanced", size_budget_mb=5).pruning == replace(balanced, shrink=None, size_budget_mb=5)
    both = replace(balanced, speedup=None, shrink=None, latency_budget_ms=5, size_budget_mb=1)
    assert build_recipe("balanced", latency_budget_ms=5, size_budget_mb=1).pruning == both
    tiled = build_recipe("exact", tiles=3)
    assert build_recipe(tiled, memory_budget_mb=2.0) == build_recipe("exact", memory_budget_mb=2.0)


def test_two_budgets_of_one_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match="a speed-up and a latency budget exclude each other"):
        build_recipe("balanced", speedup=3, latency_budget_ms=5)


def test_a_budget_prunes_where_the_recipe_does_not() -> None:
    assert build_recipe("exact", speedup=5) == ExportRecipe(pruning=Pruning(speedup=5))


def test_no_points_lost_is_a_value() -> None:
    assert build_recipe("balanced", max_drop=0).max_drop == 0


def test_epochs_of_training_ask_for_training() -> None:
    assert build_recipe("exact", qat_epochs=3).quantization.method == "qat"
    assert build_recipe("exact", qat_epochs=3, method="auto").quantization.method == "auto"


def test_sparsity_is_a_share_or_a_pattern() -> None:
    assert build_recipe("exact", sparsity="0.7").sparsity == Sparsity(share=0.7)
    assert build_recipe("exact", sparsity="2:4").sparsity == Sparsity(share=0.5, pattern="2:4")
    own = build_recipe("exact", sparsity=0.3, sparsity_epochs=7)
    assert own.sparsity == Sparsity(share=0.3, epochs=7)
    assert build_recipe(own, sparsity="2:4").sparsity == Sparsity(pattern="2:4", epochs=7)
    assert build_recipe(build_recipe("exact", sparsity="2:4"), sparsity=0.7).sparsity == Sparsity(share=0.7)


def test_float_files_are_neither_pruned_nor_sparse() -> None:
    base = build_recipe("balanced", sparsity=0.3)
    result = build_recipe(base, int8=False)
    assert (result.pruning, result.sparsity, result.max_drop) == (None, None, base.max_drop)
    with pytest.raises(ConfigError, match="no int8 was asked for"):
        build_recipe(base, int8=False, speedup=3)


def test_a_group_can_be_given_whole() -> None:
    assert build_recipe("exact", pruning=Pruning(shrink=3)) == build_recipe("exact", shrink=3)


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"an export has no option 'speed_up'. Do you mean 'speedup'\?"):
        build_recipe("exact", speed_up=3)
    with pytest.raises(ConfigError, match="`u3p-edge recipes show exact` lists them"):
        build_recipe("exact", xyz=3)
