"""The named recipes read and mean what they say; a file that does not is named, with the mend."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from u3p_edge.errors import ConfigError
from u3p_edge.quantize.zeros import Zeros
from u3p_edge.recipes import named
from u3p_edge.recipes.named import DEFAULT, FOLDER, NAMES, Recipe, read_export_recipe
from u3p_edge.recipes.recipe import BUDGETS, QUANTIZATION_DROP, ExportRecipe, Pruning


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_every_named_recipe_is_one_of_an_export(name: str) -> None:
    recipe = read_export_recipe(name)
    told = ExportRecipe(**dict[str, Any](recipe.options()))
    assert (told.pruning, told.max_drop) == (recipe.pruning, recipe.max_drop)
    assert recipe.description


def test_every_recipe_file_of_the_package_has_a_name() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.toml")) == sorted(NAMES)
    assert DEFAULT in NAMES


def test_exact_drops_nothing_and_is_what_an_export_does_by_itself() -> None:
    assert ExportRecipe(**dict[str, Any](read_export_recipe("exact").options())) == ExportRecipe()


def test_the_recipes_go_from_the_most_careful_to_the_smallest() -> None:
    exact, *pruning = (read_export_recipe(name) for name in NAMES)
    assert exact.pruning is None
    budgets = [(r.pruning.speedup, r.pruning.shrink, r.max_drop) for r in pruning if r.pruning]
    assert len(budgets) == len(NAMES) - 1
    for careful, small in itertools.pairwise(budgets):
        assert all(a is not None and b is not None and a < b for a, b in zip(careful, small, strict=True))


def test_a_file_says_all_there_is_to_say(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'description = "mine"\nmax_drop = 2\nstrips = 3\nqat_epochs = 4\nqat_learning_rate = 1e-3\n'
        "[pruning]\nlatency_budget_ms = 5\nsize_budget_mb = 0.25\nimportance = 'norm_scale'\n"
        "steps = 3\nupdates = 0\nfeatures = 10\n"
        "[zeros]\npattern = '2:4'\nepochs = 0\n",
    )
    pruning = Pruning(latency_budget_ms=5, size_budget_mb=0.25, importance="norm_scale", steps=3, updates=0, features=10)
    assert read_export_recipe(str(path)) == Recipe("mine", 2.0, pruning, Zeros(pattern="2:4", epochs=0), 3, 4, 1e-3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("description = 'a\n", "is not TOML"),
        ("max_drop = 1", "description"),
        ("description = 'a'\nspeedup = 3", "speedup"),
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
        ("description = 'a'\n[zeros]\nshare = 1.0", "a share of 1 of the weights cannot become zero. Use for example 0.5."),
        ("description = 'a'\n[zeros]\nshare = 0.7\npattern = '2:4'", "half its weights at zero"),
        ("description = 'a'\n[zeros]\nepochs = -1", "zeros.epochs cannot be -1"),
    ],
)
def test_what_a_file_cannot_say_is_named_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        read_export_recipe(str(path))
    assert said in str(refused.value)
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
    assert read_export_recipe("exact").max_drop == ExportRecipe.max_drop


def test_what_was_measured_is_of_recipes_that_exist() -> None:
    found = named.read_measured()
    assert {entry.recipe for entry in found} <= set(NAMES)
    assert all(min(entry.speedup, entry.size_share) > 0 for entry in found)


# --- an export's recipe


def test_pruning_is_for_int8_files() -> None:
    with pytest.raises(ConfigError, match=r"no int8 was asked for. Add --int8"):
        ExportRecipe(int8=False, pruning=Pruning(speedup=2))
    with pytest.raises(ConfigError, match="no int8 was asked for"):
        ExportRecipe(int8=False, zeros=Zeros())


def test_any_one_budget_is_enough() -> None:
    assert all(getattr(Pruning(**dict[str, Any]({name: 2.0})), name) == 2 for name in BUDGETS)


def test_of_what_a_pruned_network_may_lose_its_integers_get_little() -> None:
    assert ExportRecipe(max_drop=0.5).ptq_may_lose == 0.5
    pruning = Pruning(speedup=2)
    assert ExportRecipe(max_drop=0.5, pruning=pruning).ptq_may_lose == QUANTIZATION_DROP
    assert ExportRecipe(max_drop=0.05, pruning=pruning).ptq_may_lose == 0.05


def test_a_pruned_network_or_one_with_zeros_is_not_as_it_came() -> None:
    untouched = ExportRecipe(rewrite=False)
    assert untouched.as_it_came
    assert not ExportRecipe(rewrite=False, pruning=Pruning(speedup=2)).as_it_came
    assert not ExportRecipe(rewrite=False, zeros=Zeros()).as_it_came


def test_two_recipes_that_prune_otherwise_have_another_text() -> None:
    texts = {
        ExportRecipe(pruning=pruning, zeros=zeros).to_json()
        for pruning in (None, Pruning(speedup=2), Pruning(speedup=3))
        for zeros in (None, Zeros())
    }
    assert len(texts) == 6
