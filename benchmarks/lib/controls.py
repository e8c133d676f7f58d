"""The controls that pruning has to beat: networks of the same latency, cut by chance, built narrower, or built otherwise."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tf_keras

from benchmarks.lib import plain_unet
from benchmarks.lib.commands import run_program
from u3p_edge.distill.loop import finetune
from u3p_edge.distill.student import FinetuneConfig
from u3p_edge.files.atomic import make_folder, read_json, write_text
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.models.store import save_model
from u3p_edge.models.unet3plus import build
from u3p_edge.pipeline.budgets import int8_milliseconds
from u3p_edge.pipeline.source import Source, augmentation_of
from u3p_edge.pipeline.validation import float_model_dice
from u3p_edge.progress import Progress
from u3p_edge.recipes.named import path_of, read_export_recipe
from u3p_edge.recipes.recipe import Pruning
from u3p_edge.training.recipe import TrainRecipe

WIDTHS = range(2, 17)


@dataclasses.dataclass(frozen=True)
class Case:
    """One data set, its trained model, and where its runs go."""

    data: Path
    runs: Path
    recipe: TrainRecipe
    against: str

    @property
    def trained(self) -> Path:
        return self.runs / "train"

    def export(self, model: Path, recipe: str | Path, name: str, *more: str) -> Path:
        """Return the run folder of an export, made if it is not there."""
        out = self.runs / name
        run_program(
            "export", model, "--int8", "--data", self.data, "--recipe", recipe, "--formats", "tflite", "--out", out, *more
        )
        return out


def pruning_of(name: str) -> Pruning:
    """Return the pruning options of a recipe."""
    pruning = read_export_recipe(name).recipe.pruning
    if pruning is None:
        raise SystemExit(f"the recipe {name} prunes nothing that controls could be held against")
    return pruning


def trained_for(one: Case, run: Path) -> int:
    """Return the epochs of a pruned network: of the reference it came from, and of fine-tuning after every cut."""
    return one.recipe.epochs + sum(int(step["epochs"]) for step in read_json(run / "pruning.json")["steps"])


def by_chance(one: Case) -> Path:
    """Write and return the recipe with channels chosen at random, kept whatever it loses."""
    text = re.sub(r'importance = ".*?"', 'importance = "random"', path_of(one.against).read_text(encoding="utf-8"))
    path = one.runs / f"random_{one.against}.toml"
    write_text(path, re.sub(r"max_drop = .*", "max_drop = 100", text))
    return path


def narrow(one: Case, budget: float, epochs: int, source: Source) -> Path:
    """Return the run folder of a narrower UNet 3+ of that int8 latency, trained on labels alone."""
    width = fitting(budget, lambda width: build(dataclasses.replace(_config(one, source), base_width=width)))
    recipe = dataclasses.replace(one.recipe, base_width=width, epochs=epochs)
    folder = one.runs / f"narrow{width}"
    write_text(one.runs / f"narrow{width}.toml", recipe.to_toml())
    run_program("train", one.data, "--out", folder, "--recipe", one.runs / f"narrow{width}.toml")
    return folder


def teach(one: Case, name: str, budget: float, epochs: int, source: Source, data: Any, soft: Any, progress: Progress) -> Path:
    """Return a model file that `export` reads: a new network of that int8 latency, taught by the float model."""
    p, classes = source.metadata.preprocessing, source.metadata.channels_out

    def fresh(width: int) -> tf_keras.Model:
        tf_keras.utils.set_random_seed(0)
        if name == "unet":
            return plain_unet.build((p.height, p.width), p.channels, classes, plain_unet.doubling(width, 5))
        return build(dataclasses.replace(_config(one, source), base_width=width, deep_supervision=False))

    width = fitting(budget, fresh)
    pruning = pruning_of(one.against)
    tuning = FinetuneConfig(
        epochs=epochs, batch_size=pruning.batch_size, learning_rate=pruning.learning_rate,
        distillation=pruning.distillation, augmentation=augmentation_of(source),
    )  # fmt: skip
    folder = one.runs / f"{name}{width}"
    make_folder(folder)
    done = finetune(
        fresh(width), data.train, soft, tuning, folder=folder, progress=progress,
        validate=lambda model: float_model_dice(dataclasses.replace(source, model=model), data.val),
    )  # fmt: skip
    if name == "unet":
        done.model.save(folder / "unet.h5")
        return folder / "unet.h5"
    config = dataclasses.replace(_config(one, source), base_width=width, deep_supervision=False)
    model = build(config)
    model.set_weights(done.model.get_weights())
    save_model(folder, model, config, source.metadata)
    return folder


def fitting(budget: float, make: Callable[[int], tf_keras.Model]) -> int:
    """Return the width whose network, in int8 and not rewritten, takes as long as the budget, as near as whole widths come."""
    clock = int8_milliseconds()

    def off(width: int) -> float:
        return abs(clock(fold_batch_norm(inference_graph(from_keras(make(width))).graph)) - budget)

    return min(WIDTHS, key=off)


def _config(one: Case, source: Source) -> Any:
    recipe = dataclasses.replace(one.recipe, channels=source.metadata.preprocessing.channels, labels=source.metadata.labels)
    return recipe.model_config()


def model_options(one: Case, name: str) -> tuple[str, ...]:
    """Return the options of `export` for what a Keras file does not hold."""
    if name != "unet":
        return ()
    prepare, names = one.recipe.preprocessing(), one.recipe.class_names
    return ("--fit", prepare.fit, "--normalize", prepare.normalization, "--class-names", ",".join(names))
