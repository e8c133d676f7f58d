"""An export under a lock: what is checked before anything is made, and what is written so that the next one can be replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from u3p_edge.errors import ConfigError
from u3p_edge.manifest import Manifest
from u3p_edge.pipeline.lock import (
    Lock,
    Machine,
    calibration_digests,
    check_calibration,
    check_origins,
    check_recipe,
    compare_files,
    compare_machines,
    describe_machine,
    locked_files,
    read_lock,
)
from u3p_edge.recipes.build import build_recipe
from u3p_edge.recipes.named import DEFAULT
from u3p_edge.recipes.recipe import ExportRecipe

if TYPE_CHECKING:
    from u3p_edge.pipeline.context import Context
    from u3p_edge.pipeline.inputs import Inputs


def open_lock(path: str | Path | None, device: str | Path | None) -> Lock | None:
    """Read the lock that is to be replayed; None where there is none.

    Raises:
        ArtifactError: the file is no lock. ConfigError: a device's table is given too.
    """
    if path is None:
        return None
    if device is not None:
        raise ConfigError("a lock and a device's table exclude each other", mend="Leave --device out: the lock has the plan.")
    return read_lock(path)


def choose_recipe(recipe: str | Path | ExportRecipe | None, options: Mapping[str, Any], lock: Lock | None) -> ExportRecipe:
    """Return the recipe of an export: the given one, else the lock's, else the default, with options put over it.

    Raises:
        ConfigError: it differs from the lock's in what decides files, or is no recipe.
    """
    start = recipe if recipe is not None else DEFAULT if lock is None else lock.options
    chosen = build_recipe(start, **options)
    if lock is not None:
        check_recipe(lock, chosen)
    return chosen


def prepare_machine(lock: Lock | None) -> Machine:
    """Set TensorFlow's threads to those of the lock, before it computes anything, and return what computes here."""
    from u3p_edge.training.device import count_threads, use_threads

    return describe_machine(count_threads() if lock is None else use_threads(lock.machine.threads))


def check_inputs(lock: Lock | None, inputs: Inputs) -> None:
    """Raise ConfigError where the model, the data or the calibration images are not those of the lock."""
    if lock is not None:
        check_origins(lock, inputs.origins)
        check_calibration(lock, inputs.data.train)


def make_lock(context: Context, inputs: Inputs, manifest: Manifest, machine: Machine) -> Lock:
    """Return the lock of a finished export, from its decisions and the manifest of its files."""
    count = context.recipe.quantization.calibration_images
    replayed = {} if context.lock is None else context.lock.decisions
    return Lock(
        origins=inputs.origins,
        recipe=json.loads(context.recipe.to_json()),
        calibration=calibration_digests(inputs.data.train, count),
        decisions={**replayed, **context.staging.decisions()},
        machine=machine,
        files=locked_files(manifest.artifacts),
        device=context.table_sha256,
    )


def replay_notes(lock: Lock | None, machine: Machine, manifest: Manifest) -> tuple[str, ...]:
    """Return sentences on what was replayed and whether it gave the same bytes; none without a lock."""
    if lock is None:
        return ()
    return (compare_files(lock, locked_files(manifest.artifacts)), *compare_machines(lock, machine))
