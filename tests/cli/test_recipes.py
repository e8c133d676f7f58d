"""`recipes` shows the recipes of `export`, whose files are there to copy; what is typed comes before what a recipe says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import Program, refusal
from tests.support.recipes import balanced_pruning
from u3p_edge.recipes.named import DEFAULT, NAMES, read_export_recipe
from u3p_edge.recipes.recipe import Pruning
from u3p_edge.recipes.toml_text import recipe_to_toml


@pytest.fixture(scope="module")
def balanced() -> Pruning:
    return balanced_pruning()


# --- the command


def test_all_are_listed_with_what_they_do_and_may_lose(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")  # a line each
    done = program("recipes", "list")
    assert done.code == 0, done.err
    assert program("recipes").out == done.out
    for name in NAMES:
        row = next(line for line in done.out.splitlines() if line.startswith(f" {name} "))
        named = read_export_recipe(name)
        own = named.recipe
        assert named.description in row
        assert row.split()[-1] == f"{own.max_drop:g}"
        assert ("(default)" in row) == (name == DEFAULT)
        if own.pruning is None:
            assert "none" in row
        else:
            assert f"{own.pruning.speedup:g}x as fast as float32" in row
            assert f"{own.pruning.shrink:g}x smaller than float32" in row


def test_one_is_printed_with_every_option(program: Program) -> None:
    for name in NAMES:
        assert program("recipes", "show", name).out == recipe_to_toml(read_export_recipe(name))


def test_a_users_own_file_is_checked_before_it_is_printed(program: Program, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("description = 'mine'\nmax_drop = 3\n")
    assert "\nmax_drop = 3.0\n" in program("recipes", "show", mine).out
    mine.write_text("description = 'mine'\nspeed = 3\n")
    assert f"{mine}: " in refusal(program("recipes", "show", mine))
    assert "there is no recipe 'absent'. Give exact, balanced, small" in refusal(program("recipes", "show", "absent"))


# --- a file of one's own


def test_a_copied_and_changed_file_is_what_export_does(
    program: Program, keras_files: dict[str, Path], pictures: Path, tmp_path: Path, balanced: Pruning
) -> None:
    mine, out = tmp_path / "mine.toml", tmp_path / "out"
    text = program("recipes", "show", "balanced").out
    assert f"speedup = {balanced.speedup}\n" in text
    mine.write_text(text.replace(f"speedup = {balanced.speedup}\n", "speedup = 7\n").replace("taylor", "norm_scale"))
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
        f"at most {read_export_recipe('balanced').recipe.max_drop:g} points lost",
    ):
        assert words in said
    assert not out.exists()
    mine.write_text("description = 'mine'\nspeed = 3\n")
    assert f"{mine}: " in refusal(program(*options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--int8", "--recipe", "exact"), "prune   no"),
        ((), "prune   no"),
        (("--int8", "--recipe", "exact", "--latency-budget-ms", 2.5), "prune   to 2.5 ms, by taylor"),
        (("--int8", "--recipe", "exact", "--size-budget-mb", 0.1), "prune   to a file of 0.1 MB, by"),
        (("--int8", "--recipe", "{steps}"), "to 3x as fast as float32, by taylor; 2 steps, 70 gradient steps of distillation"),
        (("--int8", "--recipe", "small", "--max-drop", 3), "at most 3 points lost"),
        (("--int8", "--recipe", "exact", "--speedup", 9, "--search-minutes", 5), "search  1 shape, at most about 5 min on two"),
        (("--int8", "--recipe", "exact", "--sparsity", "2:4"), "sparse  50 % of the weights (2:4)"),
    ],
)
def test_a_dry_run_says_in_words_what_would_be_dropped(
    program: Program,
    keras_files: dict[str, Path],
    pictures: Path,
    tmp_path: Path,
    options: tuple[object, ...],
    message: str,
) -> None:
    steps = tmp_path / "steps.toml"
    steps.write_text("description = 'mine'\n[pruning]\nspeedup = 3\nsteps = 2\nfinal_updates = 70\n")
    given = [str(option).format(steps=steps) for option in options]
    done = program("export", keras_files[".keras"], "--data", pictures, "--dry-run", *given)
    assert (done.code, message in done.out) == (0, True), done


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--int8", "--speedup", 3, "--latency-budget-ms", 3), "exclude each other. Give one of them."),
        (("--int8", "--shrink", 3, "--size-budget-mb", 3), "exclude each other. Give one of them."),
        (("--int8", "--recipe", "exact", "--shrink", -1), "shrink cannot be -1"),
        (("--int8", "--speedup", "nan"), "speedup cannot be nan"),
        (("--speedup", 3), "no int8 was asked for. Add --int8."),
        (("--sparsity", 0.5), "no int8 was asked for. Add --int8."),
        (("--int8", "--sparsity", "half"), "--sparsity 'half' is no share of the weights. Give for example 0.5, or 2:4."),
        (("--int8", "--sparsity", "1.5"), "a share of 1.5 of the weights cannot become zero"),
        (("--int8", "--sparsity", "nan"), "Sparsity.share cannot be nan"),
        (("--int8", "--recipe", "absent.toml"), "there is no recipe 'absent.toml'"),
        (("--int8", "--device", "absent.json", "--latency-budget-ms", 3), "absent.json does not exist"),
        (("--int8", "--device", "{there}", "--recipe", "exact"), "nothing is pruned. Give --latency-budget-ms"),
    ],
)
def test_what_cannot_be_typed_is_refused_before_anything_is_read(
    program: Program, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    there = tmp_path / "there.json"
    there.write_text("{}")
    typed = [str(option).format(there=there) for option in options]
    assert message in refusal(program("export", "--out", tmp_path / "out", *typed))
    assert not (tmp_path / "out").exists()
