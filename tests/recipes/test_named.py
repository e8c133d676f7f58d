"""The named recipes read and mean what they say; a file that does not is named, with the mend."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from u3p_edge.config.options import list_options
from u3p_edge.errors import ConfigError
from u3p_edge.quantization.sparsity import Sparsity
from u3p_edge.recipes import named
from u3p_edge.recipes.named import DEFAULT, FOLDER, NAMES, NamedRecipe, read_export_recipe
from u3p_edge.recipes.recipe import (
    BUDGETS,
    QUANTIZATION_DROP,
    ExportRecipe,
    Pruning,
    QuantizationOptions,
    RewritingOptions,
    TilingOptions,
)
from u3p_edge.recipes.toml_text import recipe_to_toml


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_printed_with_all_options_reads_back(name: str, tmp_path: Path) -> None:
    named = read_export_recipe(name)
    assert named.description
    text = recipe_to_toml(named)
    assert read_export_recipe(str(written(tmp_path, text))) == named
    for entry in list_options(ExportRecipe):
        assert f"{entry.field} = " in text
        assert entry.flag in text


def test_every_recipe_file_of_the_package_has_a_name() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.toml")) == sorted(NAMES)
    assert DEFAULT in NAMES


def test_exact_drops_nothing_and_is_what_an_export_does_by_itself() -> None:
    assert read_export_recipe("exact").recipe == ExportRecipe()


def test_the_recipes_go_from_the_most_careful_to_the_smallest() -> None:
    exact, *pruning = (read_export_recipe(name).recipe for name in NAMES)
    assert exact.pruning is None
    budgets = [(r.pruning.speedup, r.pruning.shrink, r.max_drop) for r in pruning if r.pruning]
    assert len(budgets) == len(NAMES) - 1
    for careful, small in itertools.pairwise(budgets):
        assert all(a is not None and b is not None and a < b for a, b in zip(careful, small, strict=True))


def test_a_file_has_a_table_for_each_group(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'description = "mine"\nmax_drop = 2\n[tiling]\ntiles = 3\n[quantization]\nqat_epochs = 4\nqat_learning_rate = 1e-3\n'
        "[pruning]\nlatency_budget_ms = 5\nsize_budget_mb = 0.25\nimportance = 'norm_scale'\n"
        "steps = 3\nupdates = 0\nfeatures = 10\n"
        "[sparsity]\npattern = '2:4'\nepochs = 0\n",
    )
    recipe = ExportRecipe(
        max_drop=2.0,
        pruning=Pruning(latency_budget_ms=5, size_budget_mb=0.25, importance="norm_scale", steps=3, updates=0, features=10),
        quantization=QuantizationOptions(qat_epochs=4, qat_learning_rate=1e-3),
        sparsity=Sparsity(pattern="2:4", epochs=0),
        tiling=TilingOptions(tiles=3),
    )
    assert read_export_recipe(str(path)) == NamedRecipe("mine", recipe)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("description = 'a\n", "is not TOML"),
        ("description = 1", "the description is not a text"),
        ("description = 'a'\nspeedup = 3", "speedup"),
        ("strips = 3", "'strips' is now tiles in a table [tiling]. `u3p-edge recipes show exact` prints a whole recipe."),
        ("[zeros]\nshare = 0.5", "'zeros' is now a table [sparsity]"),
        ("qat_epochs = 3", "'qat_epochs' is now qat_epochs in a table [quantization]"),
        ("description = 'a'\n[pruning]\nspeedup = 3\ntemperature = 2", "temperature"),
        ("description = 'a'\n[pruning]\nspeedup = 'much'", "speedup"),
        ("description = 'a'\n[pruning]\nspeedup = 3\nimportance = 'size'", "importance"),
        ("description = 'a'\n[pruning]\nspeedup = 3\nlatency_budget_ms = 3", "exclude each other. Give one of them."),
        ("description = 'a'\n[pruning]\nshrink = 3\nsize_budget_mb = 3", "exclude each other. Give one of them."),
        ("description = 'a'\n[pruning]\nsteps = 3", "no budget. Give speedup, latency_budget_ms"),
        ("description = 'a'\n[pruning]\nspeedup = 0", "speedup cannot be 0. It is above 0."),
        ("description = 'a'\n[pruning]\nshrink = nan", "shrink cannot be nan"),
        ("description = 'a'\n[pruning]\nspeedup = 3\nsteps = 0", "pruning.steps cannot be 0. It is 1 to 1000."),
        ("description = 'a'\n[pruning]\nspeedup = 3\nfinal_updates = -1", "pruning.final_updates cannot be -1"),
        ("description = 'a'\n[sparsity]\nshare = 1.0", "a share of 1 of the weights cannot become zero. Use for example 0.5."),
        ("description = 'a'\n[sparsity]\nshare = 0.7\npattern = '2:4'", "half its weights at zero"),
        ("description = 'a'\n[sparsity]\nepochs = -1", "sparsity.epochs cannot be -1"),
    ],
)
def test_what_a_file_cannot_say_is_named_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        read_export_recipe(str(path))
    assert message in str(refused.value)
    assert str(refused.value).count(str(path)) == 1


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00description")
    with pytest.raises(ConfigError, match=r"mine\.toml cannot be read"):
        read_export_recipe(str(path))


def test_a_name_that_is_none_lists_those_there_are(tmp_path: Path) -> None:
    for name in ("ballanced", str(tmp_path), ""):
        with pytest.raises(ConfigError, match=r"there is no recipe .*\. Give exact, balanced, small, or a TOML file"):
            read_export_recipe(name)


def test_a_folders_own_file_does_not_hide_a_named_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exact").write_text("description = 'another'\nmax_drop = 50\n")
    assert read_export_recipe("exact").recipe.max_drop == ExportRecipe().max_drop


def test_what_was_measured_is_of_recipes_that_exist() -> None:
    entries = named.read_measured()
    assert {entry.recipe for entry in entries} <= set(NAMES)
    assert all(min(entry.speedup, entry.size_share) > 0 for entry in entries)


# --- an export's recipe


def test_pruning_is_for_int8_files() -> None:
    with pytest.raises(ConfigError, match=r"no int8 was asked for. Add --int8"):
        ExportRecipe(int8=False, pruning=Pruning(speedup=2))
    with pytest.raises(ConfigError, match="no int8 was asked for"):
        ExportRecipe(int8=False, sparsity=Sparsity())


def test_any_one_budget_is_enough() -> None:
    assert all(getattr(Pruning(**dict[str, Any]({name: 2.0})), name) == 2 for name in BUDGETS)


def test_of_what_a_pruned_network_may_lose_its_integers_get_little() -> None:
    assert ExportRecipe(max_drop=0.5).ptq_may_lose == 0.5
    pruning = Pruning(speedup=2)
    assert ExportRecipe(max_drop=0.5, pruning=pruning).ptq_may_lose == QUANTIZATION_DROP
    assert ExportRecipe(max_drop=0.05, pruning=pruning).ptq_may_lose == 0.05


def test_a_pruned_sparse_or_tiled_network_is_not_the_original() -> None:
    off = RewritingOptions(enabled=False)
    assert ExportRecipe(rewriting=off).keeps_original
    assert not ExportRecipe(rewriting=off, pruning=Pruning(speedup=2)).keeps_original
    assert not ExportRecipe(rewriting=off, sparsity=Sparsity()).keeps_original
    assert not ExportRecipe(rewriting=off, tiling=TilingOptions(tiles=1)).keeps_original
    assert not ExportRecipe().keeps_original


def test_two_recipes_that_prune_otherwise_have_another_text() -> None:
    texts = {
        ExportRecipe(pruning=pruning, sparsity=sparsity).to_json()
        for pruning in (None, Pruning(speedup=2), Pruning(speedup=3))
        for sparsity in (None, Sparsity())
    }
    assert len(texts) == 6
