from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from u3p_edge.cli.image_memory import describe_memory
from u3p_edge.cli.train import train
from u3p_edge.data.augmentation import Augmentation
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.models.store import load_model
from u3p_edge.pipeline.train import build_train_recipe
from u3p_edge.training.checkpoint import RESUME, load_checkpoint
from u3p_edge.training.recipe import TrainRecipe

TINY = ["--width", "4", "--size", "32x32", "--batch", "4", "--no-deep-supervision", "--no-augment"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 grey images of 40x40 with a bright square each, of three labels; split.csv puts 8, 4 and 2 into the splits."""
    root = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    rows = ["name,patient,split"]
    for i, split in enumerate(["train"] * 8 + ["val"] * 4 + ["test"] * 2):
        mask = np.zeros((40, 40), np.uint8)
        top, left = rng.integers(4, 16, 2)
        mask[top : top + 16, left : left + 16] = 1
        mask[top + 4 : top + 12, left + 4 : left + 12] = 2
        image = 60 + 70 * mask + rng.integers(0, 20, mask.shape)
        for kind, array in (("images", image.astype(np.uint8)), ("masks", mask)):
            (root / kind).mkdir(exist_ok=True)
            Image.fromarray(array).save(root / kind / f"s{i}.png")
        rows.append(f"s{i},p{i},{split}")
    (root / "split.csv").write_text("\n".join(rows))
    return root


def call(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(train)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_run_from_a_folder_and_the_same_command_again(folder: Path, tmp_path: Path) -> None:
    command = (folder, "--out", tmp_path, *TINY, "--epochs", 2, "--class-names", "background, ring, core", "--cgm")
    result = call(*command)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 2
    assert all(word in lines[0] for word in ("1/2", "ring", "core", "gate", "best"))
    assert "u3p-edge export" in result.output
    model, config, metadata = load_model(tmp_path)
    assert (metadata.class_names, config.classes, config.cgm) == (("background", "ring", "core"), 3, True)
    assert (metadata.preprocessing.height, metadata.preprocessing.channels) == (32, 1)
    assert len(model.outputs) == 2
    again = call(*command)
    assert again.exit_code == 0
    assert "is finished" in again.output
    changed = call(*command, "--seed", 5)
    assert isinstance(changed.exception, ConfigError)
    assert "seed = 0, not 5" in str(changed.exception)


def test_ctrl_c_leaves_a_run_that_can_be_resumed(folder: Path, tmp_path: Path) -> None:
    def press() -> None:
        while not (tmp_path / RESUME).exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    result = call(folder, "--out", tmp_path, *TINY, "--epochs", 100_000)
    assert result.exit_code == 130
    assert "same command again" in result.output
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert f"after epoch {checkpoint.state.epoch}" in " ".join(result.output.split())


def test_dry_run_says_the_cost_and_what_a_resize_throws_away_and_writes_nothing(folder: Path, tmp_path: Path) -> None:
    done = call("--dry-run", "--out", tmp_path / "run", folder, "--size", "16x16", "--width", 1, "--no-deep-supervision")
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "8 training, 4 validation, 2 test images of 16x16x1, 3 labels" in text
    assert "GMAC an image" in text
    assert not (tmp_path / "run").exists()
    assert "memory 0.00 GB for the images" in text
    assert "kept on disk" not in text
    assert "what is larger than 1.0 GB is kept on disk" in describe_memory(2_000_000_000, 1_000_000_000)
    assert "becomes 16x16" in text


def test_foreground_that_a_crop_leaves_out_is_reported_or_refused(tmp_path: Path) -> None:
    corner = np.zeros((64, 64), np.uint8)
    corner[:8, :8] = 255
    for folder, mask in (("corner", corner), ("both", np.where(np.arange(64) // 4 == 8, 255, corner).astype(np.uint8))):
        for kind, pixels in (("images", mask // 2), ("masks", mask)):
            (tmp_path / folder / kind).mkdir(parents=True)
            for index in range(4):
                Image.fromarray(pixels).save(tmp_path / folder / kind / f"{index}.png")
        (tmp_path / folder / "split.csv").write_text("name,split\n0,train\n1,train\n2,val\n3,test\n")
    options = ("--size", "32x32", "--fit", "pad", "--width", 1, "--epochs", 1, "--no-deep-supervision", "--no-augment")
    lost = call(tmp_path / "corner", "--out", tmp_path / "a", *options)
    assert isinstance(lost.exception, DataError)
    assert "crops all foreground away: the images have up to 64x64 pixels" in str(lost.exception)
    assert not (tmp_path / "a").exists()
    some = call(tmp_path / "both", "--out", tmp_path / "b", *options)
    assert some.exit_code == 0, some.output
    # A bar of 4 columns and 64 rows, of which 32 are kept, and a corner of 8x8, in each of the three images that are cropped;
    # the test image is scored whole.
    share = 1 - 4 * 32 / (4 * 64 + 8 * 8)
    text = " ".join(some.output.split())
    assert (
        f"3 of 4 images are cropped to the 32x32 in their middle: {100 * share:.1f} % of their foreground is left out" in text
    )


def test_options_go_before_the_recipe_file(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('base_width = 4\nbatch_size = 3\naugmentation = "none"\n')
    assert build_train_recipe(path, batch_size=5) == TrainRecipe(base_width=4, batch_size=5, augmentation=None)
    assert build_train_recipe(path, augment=True).augmentation == Augmentation()
    assert build_train_recipe(augment=False) == TrainRecipe(augmentation=None)


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        (["--size", "32"], ConfigError, "HEIGHTxWIDTH"),
        (["--size", "30x32"], ConfigError, "16 or 32"),
        (["--lr", "0"], ConfigError, "learning_rate"),
        (["--class-names", "background,one"], ConfigError, "3 labels"),
        (["--labels", "2"], DataError, "has the value 2"),
        (["--recipe", "absent.toml"], ConfigError, "absent.toml"),
    ],
)
def test_a_wrong_option_is_named(folder: Path, tmp_path: Path, options: list[str], error: type[Exception], named: str) -> None:
    result = call(folder, "--out", tmp_path / "run", *options)
    assert isinstance(result.exception, error)
    assert named in str(result.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("option", "words"), [("--preset", ("paper", "article")), ("--loss", ("dice_ce", "hybrid"))])
def test_a_word_that_an_option_does_not_know_is_refused_with_those_it_knows(
    folder: Path, tmp_path: Path, option: str, words: tuple[str, str]
) -> None:
    result = call(folder, "--out", tmp_path / "run", option, "vgg")
    assert result.exit_code == 2
    assert all(word in result.output for word in (option, "vgg", *words))
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = call(tmp_path / "absent", "--out", tmp_path / "run")
    assert isinstance(result.exception, DataError)
    assert "absent" in str(result.exception)


def test_help_teaches_by_examples() -> None:
    output = " ".join(call("--help").output.split())
    assert "--dry-run" in output
    assert "u3p-edge train scans --out run" in output
