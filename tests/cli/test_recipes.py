"""`recipes` shows the recipes of `export`, whose files are there to copy; what is typed comes before what a recipe says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.command_line import Program, refusal
from u3p_edge.cli.budgets import Budgets, export_options
from u3p_edge.errors import ConfigError
from u3p_edge.quantize.zeros import Zeros
from u3p_edge.recipes.named import DEFAULT, FOLDER, NAMES, read_export_recipe
from u3p_edge.recipes.recipe import ExportRecipe, Pruning


@pytest.fixture(scope="module")
def balanced() -> Pruning:
    pruning = read_export_recipe("balanced").pruning
    assert pruning is not None
    assert None not in (pruning.speedup, pruning.shrink), "what is replaced below"
    return pruning


def recipe(name: str, *, int8: bool = True, **typed: object) -> ExportRecipe:
    """What an export is told by a recipe's name and what was typed."""
    return ExportRecipe(int8=int8, **export_options(name, Budgets(**typed), int8=int8))  # type: ignore[arg-type]


# --- the command


def test_all_are_listed_with_what_they_do_and_may_lose(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")  # a line each
    done = program("recipes")
    assert done.code == 0, done.err
    for name in NAMES:
        row = next(line for line in done.out.splitlines() if line.startswith(f" {name} "))
        own = read_export_recipe(name)
        assert own.description in row
        assert row.split()[-1] == f"{own.max_drop:g}"
        assert ("(default)" in row) == (name == DEFAULT)
        if own.pruning is None:
            assert "none" in row
        else:
            assert f"{own.pruning.speedup:g}x as fast as float32" in row
            assert f"{own.pruning.shrink:g}x smaller than float32" in row


def test_one_is_printed_as_its_file_is(program: Program) -> None:
    for name in NAMES:
        assert program("recipes", name).out == (FOLDER / f"{name}.toml").read_text(encoding="utf-8")


def test_a_users_own_file_is_checked_before_it_is_printed(program: Program, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("description = 'mine' # as it is\n\n")
    assert program("recipes", mine).out == mine.read_text()
    mine.write_text("description = 'mine'\nspeed = 3\n")
    assert f"{mine}: " in refusal(program("recipes", mine))
    assert "there is no recipe 'absent'. Give exact, balanced, small" in refusal(program("recipes", "absent"))


# --- a file of one's own


def test_a_copied_and_changed_file_is_what_export_does(
    program: Program, keras_files: dict[str, Path], pictures: Path, tmp_path: Path, balanced: Pruning
) -> None:
    mine, out = tmp_path / "mine.toml", tmp_path / "out"
    text = program("recipes", "balanced").out
    assert f"speedup = {balanced.speedup:g}\n" in text
    mine.write_text(text.replace(f"speedup = {balanced.speedup:g}\n", "speedup = 7\n").replace("taylor", "norm_scale"))
    options = ("export", keras_files[".keras"], "--int8", "--data", pictures, "--out", out, "--dry-run", "--recipe", mine)
    done = program(*options)
    assert done.code == 0, done.err
    (said,) = [line for line in done.out.splitlines() if line.startswith("prune ")]
    for words in (
        "to 7x as fast as float32",
        f"{balanced.shrink:g}x smaller than float32",
        "by norm_scale",
        f"{balanced.steps} step",
        f"{balanced.final_updates} gradient steps of distillation",
        f"at most {read_export_recipe('balanced').max_drop:g} points lost",
    ):
        assert words in said
    assert not out.exists()
    mine.write_text("description = 'mine'\nspeed = 3\n")
    assert f"{mine}: " in refusal(program(*options))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--int8", "--recipe", "exact"), "prune   no"),
        ((), "prune   no"),
        (("--int8", "--recipe", "exact", "--latency-budget-ms", 2.5), "prune   to 2.5 ms, by taylor"),
        (("--int8", "--recipe", "exact", "--size-budget-mb", 0.1), "prune   to a file of 0.1 MB, by"),
        (("--int8", "--recipe", "{steps}"), "to 3x as fast as float32, by taylor; 2 steps, 70 gradient steps of distillation"),
        (("--int8", "--recipe", "small", "--max-drop", 3), "at most 3 points lost"),
        (("--int8", "--recipe", "exact", "--sparsity", "2:4"), "zeros   50 % of the weights (2:4)"),
    ],
)
def test_a_dry_run_says_in_words_what_would_be_dropped(
    program: Program,
    keras_files: dict[str, Path],
    pictures: Path,
    tmp_path: Path,
    options: tuple[object, ...],
    said: str,
) -> None:
    steps = tmp_path / "steps.toml"
    steps.write_text("description = 'mine'\n[pruning]\nspeedup = 3\nsteps = 2\nfinal_updates = 70\n")
    given = [str(option).format(steps=steps) for option in options]
    done = program("export", keras_files[".keras"], "--data", pictures, "--dry-run", *given)
    assert (done.code, said in done.out) == (0, True), done


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--int8", "--speedup", 3, "--latency-budget-ms", 3), "exclude each other. Give one of them."),
        (("--int8", "--shrink", 3, "--size-budget-mb", 3), "exclude each other. Give one of them."),
        (("--int8", "--recipe", "exact", "--shrink", -1), "shrink cannot be -1"),
        (("--int8", "--speedup", "nan"), "speedup cannot be nan"),
        (("--speedup", 3), "no int8 was asked for. Add --int8."),
        (("--sparsity", 0.5), "no int8 was asked for. Add --int8."),
        (("--int8", "--sparsity", "half"), "--sparsity 'half' is no share of the weights. Give for example 0.5, or 2:4."),
        (("--int8", "--sparsity", "1.5"), "a share of 1.5 of the weights cannot become zero"),
        (("--int8", "--sparsity", "nan"), "a share of nan of the weights cannot become zero"),
        (("--int8", "--recipe", "absent.toml"), "there is no recipe 'absent.toml'"),
        (("--int8", "--device", "absent.json", "--latency-budget-ms", 3), "absent.json does not exist"),
        (("--int8", "--device", "{there}", "--recipe", "exact"), "nothing is pruned. Give --latency-budget-ms"),
    ],
)
def test_what_cannot_be_typed_is_refused_before_anything_is_read(
    program: Program, tmp_path: Path, options: tuple[object, ...], said: str
) -> None:
    there = tmp_path / "there.json"
    there.write_text("{}")
    told = [str(option).format(there=there) for option in options]
    assert said in refusal(program("export", "--out", tmp_path / "out", *told))
    assert not (tmp_path / "out").exists()


# --- typed before written


def test_without_anything_typed_it_is_the_recipe() -> None:
    for name in NAMES:
        assert recipe(name) == ExportRecipe(**read_export_recipe(name).options())  # type: ignore[arg-type]


def test_a_typed_budget_replaces_its_own_kind_and_leaves_the_rest(balanced: Pruning) -> None:
    assert recipe("balanced", speedup=5).pruning == replace(balanced, speedup=5)
    assert recipe("balanced", shrink=5).pruning == replace(balanced, shrink=5)
    assert recipe("balanced", latency_budget_ms=5).pruning == replace(balanced, speedup=None, latency_budget_ms=5)
    assert recipe("balanced", size_budget_mb=5).pruning == replace(balanced, shrink=None, size_budget_mb=5)
    both = replace(balanced, speedup=None, shrink=None, latency_budget_ms=5, size_budget_mb=1)
    assert recipe("balanced", latency_budget_ms=5, size_budget_mb=1).pruning == both


def test_two_typed_budgets_of_one_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match="a speed-up and a latency budget exclude each other"):
        recipe("balanced", speedup=3, latency_budget_ms=5)


def test_a_budget_prunes_where_the_recipe_does_not() -> None:
    found = recipe("exact", speedup=5)
    assert (found.pruning, found.max_drop) == (Pruning(speedup=5), read_export_recipe("exact").max_drop)


def test_the_rest_that_is_typed_comes_first_too() -> None:
    own = recipe("balanced")
    found = recipe("balanced", max_drop=3.0, strips=2, qat_epochs=9)
    assert found == replace(own, max_drop=3.0, strips=2, qat_epochs=9)
    assert recipe("balanced", max_drop=0.0).max_drop == 0, "nothing lost is not nothing typed"


def test_sparsity_is_a_share_or_a_pattern(tmp_path: Path) -> None:
    assert recipe("exact", sparsity="0.7").zeros == Zeros(share=0.7)
    assert recipe("exact", sparsity="2:4").zeros == Zeros(share=0.5, pattern="2:4")
    mine = tmp_path / "mine.toml"
    mine.write_text("description = 'mine'\n[zeros]\nshare = 0.3\nepochs = 7\n")
    assert recipe(str(mine)).zeros == Zeros(share=0.3, epochs=7)
    assert recipe(str(mine), sparsity="2:4").zeros == Zeros(pattern="2:4")


def test_a_recipe_prunes_no_float_files(tmp_path: Path) -> None:
    found = recipe("balanced", int8=False)
    assert (found.pruning, found.zeros, found.max_drop) == (None, None, read_export_recipe("balanced").max_drop)
    mine = tmp_path / "mine.toml"
    mine.write_text("description = 'mine'\n[zeros]\nshare = 0.3\n")
    assert recipe(str(mine), int8=False).zeros is None
