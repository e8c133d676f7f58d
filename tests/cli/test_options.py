"""Options: whole in the help of a usual terminal, completed by the shell, and refused where they would change nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from tests.support.command_line import Program, make_pictures, refusal, run_process
from tests.support.small_artifacts import Zoo
from u3p_edge.cli.main import app
from u3p_edge.cli.recipe_options import PANELS
from u3p_edge.recipes.named import NAMES

COMMANDS = (
    *("export", "recipes list", "recipes show", "train", "predict", "bench", "gate", "inspect", "rewrite"),
    *("data check", "device profile"),
)


def found(name: str) -> typer.core.TyperCommand:
    """The command of that name."""
    command = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]  # type: ignore[attr-defined]
    return command  # type: ignore[return-value]


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_cut_at_80_columns(program: Program, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = program(*name.split(), "--help-all" if name == "export" else "--help")
    words = {word.strip(",") for word in done.out.split()}
    for parameter in found(name).params:
        if parameter.param_type_name == "option":
            assert {*parameter.opts, *parameter.secondary_opts} <= words
    assert "…" not in done.out
    examples = ("u3p-edge ", "Usage: ")
    assert all(len(line) <= 80 for line in done.out.splitlines() if not line.strip().startswith(examples))


def test_the_shell_completes_recipes_by_their_names() -> None:
    recipe = next(parameter for parameter in found("export").params if "--recipe" in parameter.opts)
    context = typer.Context(found("export"))
    assert [item.value for item in recipe.shell_complete(context, "")] == list(NAMES)
    assert [item.value for item in recipe.shell_complete(context, "b")] == ["balanced"]
    assert recipe.shell_complete(context, "x") == []


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is enough of a run for options to be checked before it is read."""
    return tmp_path_factory.mktemp("run")


@pytest.mark.parametrize(
    "options",
    [("--fit", "pad"), ("--normalize", "zscore"), ("--class-names", "a,b"), ("--trust",)],
    ids=lambda options: options[0],
)
def test_what_a_run_folder_says_itself_cannot_be_said_again(
    program: Program, run_folder: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    message = refusal(program("export", run_folder, "--out", tmp_path / "out", *options))
    assert (
        message == f"{options[0]} is for a Keras or ONNX file, and the run folder {run_folder} says that itself. Leave it out."
    )
    assert f"{options[0]} is for a Keras or ONNX file, and the embedded model" in refusal(program("export", *options))


@pytest.mark.parametrize(
    "options",
    [("--ptq",), ("--qat-epochs", 2), ("--max-drop", 1), ("--require-shown",), ("--float-io",), ("--min-sqnr", 3)],
    ids=lambda o: o[0],
)
def test_options_of_int8_need_int8(program: Program, tmp_path: Path, options: tuple[object, ...]) -> None:
    message = refusal(program("export", "--out", tmp_path / "out", *options))
    assert message == f"{options[0]} is for int8 files, and no int8 was asked for. Add --int8."


def test_other_options_that_would_change_nothing(program: Program, zoo: Zoo) -> None:
    model = zoo.path("int8.tflite")
    assert "--split is about a data folder" in refusal(program("bench", model, "--split", "val"))
    assert "--threads is for timing, and nothing is timed" in refusal(program("inspect", model, "--threads", 2))


def test_a_budget_that_goes_before_the_recipe_is_reported(program: Program, tmp_path: Path) -> None:
    options = ("--int8", "--recipe", "exact", "--latency-budget-ms", 5, "--device", tmp_path / "absent.json")
    done = program("export", *options, "--out", tmp_path / "out")
    assert "Note: --latency-budget-ms drops channels, though the recipe exact by itself drops none." in done.err


def test_a_dry_run_refuses_the_data_that_the_run_refuses(
    program: Program, keras_files: dict[str, Path], tmp_path: Path
) -> None:
    from PIL import Image

    from tests.support.small_artifacts import truth

    folder = make_pictures(tmp_path / "pictures")
    Image.fromarray(truth(0) + 1).save(folder / "masks" / "p0.png")  # four classes, for a model of three
    options = (keras_files[".keras"], "--int8", "--recipe", "exact", "--data", folder, "--out", tmp_path / "out")
    dry, real = refusal(program("export", *options, "--dry-run")), refusal(program("export", *options))
    assert dry == real
    assert "p0.png" in dry
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_flips_have_switches_of_their_own() -> None:
    from u3p_edge.errors import ConfigError
    from u3p_edge.pipeline.train import build_train_recipe

    augmentation = build_train_recipe(flip_horizontal=False).augmentation
    assert augmentation is not None
    assert (augmentation.flip_horizontal, augmentation.flip_vertical) == (False, True)
    with pytest.raises(ConfigError, match="--flip-vertical says how images vary, and they do not vary"):
        build_train_recipe(augment=False, flip_vertical=True)


@pytest.mark.parametrize(("command", "hidden"), [("train", "None"), ("export", "-1"), ("predict", "-1")])
def test_a_gpu_is_hidden_from_commands_that_do_not_train(command: str, hidden: str) -> None:
    code = (
        "import os, sys, u3p_edge.cli.main as m; os.environ.pop('CUDA_VISIBLE_DEVICES', None); m.app = lambda: None; "
        f"sys.argv[1:] = [{command!r}]; m.main(); print(os.environ.get('CUDA_VISIBLE_DEVICES'))"
    )
    assert run_process(code=code).out.strip() == hidden


def test_the_help_of_export_shows_the_ten_options_that_people_use(program: Program) -> None:
    def flags(text: str) -> list[str]:
        return re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)", text, re.MULTILINE)

    short, whole = program("export", "--help").out, program("export", "--help-all").out
    used = ("data", "out", "int8", "max-drop", "speedup", "latency-budget-ms", "size-budget-mb", "recipe", "device", "dry-run")
    assert flags(short) == [*(f"--{name}" for name in used), "--help-all", "--help"]
    assert len(flags(whole)) == len(set(flags(whole))) > 50
    titles = re.findall(r"^(\w.*):$", whole, re.MULTILINE)
    assert titles == ["Arguments", *PANELS, "Help"]
