"""The lock of an export: everything that decides its files, in `export.lock.json` of the run folder.

`u3p-edge export --locked FILE` replays it: the same model, data and recipe, and every choice as it is listed here, so that
nothing is timed or compared to choose. With the same versions on the same kind of processor, the files have the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from u3p_edge import __version__
from u3p_edge.config.options import list_options
from u3p_edge.config.plain import from_dict
from u3p_edge.data.calibration import calibration_indices
from u3p_edge.data.load import Arrays
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.atomic import read_json
from u3p_edge.manifest import Artifact, Origin
from u3p_edge.pipeline.decisions import check_decisions
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.runtime.packages import installed_version
from u3p_edge.runtime.processor import cpu_name, describe_processor

SCHEMA = 1

PACKAGES = (
    "tensorflow", "tf_keras", "tensorflow_model_optimization", "ai-edge-litert", "onnx", "onnxruntime", "flatbuffers",
    "safetensors", "numpy", "scipy", "pillow",
)  # fmt: skip
"""The packages whose arithmetic or writing shapes the bytes of the files."""

MOST_THREADS = 1024

DECIDE_NOTHING = ("measurement.rounds", "require_shown")
"""Options that say what is done with finished files; a replay may have its own."""


@dataclass(frozen=True)
class Machine:
    """What computed the files: with another one, the same choices may give other bytes.

    Args:
        versions: of Python, of this package and of others, by name.
        processor: its model and instruction sets, which decide the kernels that the libraries select.
        threads: over which TensorFlow splits one operation; it decides in which order partial sums are added.
    """

    versions: Mapping[str, str]
    processor: str
    threads: int

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MOST_THREADS:
            raise ConfigError(f"TensorFlow cannot have {self.threads} threads", mend=f"It is 1 to {MOST_THREADS}.")


@dataclass(frozen=True)
class Lock:
    """Everything that decides the files of an export.

    Args:
        origins: the float model and the data, with their sha256.
        recipe: all options by group, as in a TOML recipe; `seed` is that of every order and augmentation.
        device: sha256 of the latency table of another device; empty where the files are for this machine.
        calibration: the sha256 of each preprocessed image that ranges were measured on, by its stem.
        decisions: what was chosen, by name; `prune0/plan` is the plan of the first pruning step.
        machine: what computed the files.
        files: the sha256 of each model file, by its name.
        schema: version of this file.

    Raises:
        ConfigError: the recipe has an option or a value that cannot be, or a decision has another form.
    """

    origins: tuple[Origin, ...]
    recipe: Mapping[str, Any]
    calibration: Mapping[str, str]
    decisions: Mapping[str, Any]
    machine: Machine
    files: Mapping[str, str]
    device: str = ""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        _ = self.options
        check_decisions(self.decisions)

    @property
    def options(self) -> ExportRecipe:
        """The recipe as a value."""
        return from_dict(ExportRecipe, self.recipe)

    @property
    def sha256(self) -> str:
        """Hexadecimal sha256 of all values."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()


def describe_machine(threads: int) -> Machine:
    """Return what computes here; `threads` are TensorFlow's."""
    versions = {"python": platform.python_version(), "u3p_edge": __version__}
    return Machine(
        {**versions, **{name: installed_version(name) or "none" for name in PACKAGES}}, describe_processor(), threads
    )


def locked_files(artifacts: Sequence[Artifact]) -> dict[str, str]:
    """Return the sha256 of each artifact, by its file's name."""
    return {artifact.file: artifact.sha256 for artifact in sorted(artifacts, key=lambda one: one.file)}


def calibration_digests(arrays: Arrays, count: int) -> dict[str, str]:
    """Return the sha256 of each of up to `count` calibration images float32 [H, W, C], by its stem."""
    chosen = calibration_indices(arrays, count)
    return {arrays.stems[i]: hashlib.sha256(np.ascontiguousarray(arrays.images[i]).data).hexdigest() for i in chosen}


def read_lock(path: str | Path) -> Lock:
    """Read a lock that an export wrote.

    Raises:
        ArtifactError: the file is missing, or is no lock of this version; the message names it.
    """
    value = read_json(Path(path))
    mend = "Give export.lock.json of an export's run folder."
    if value.get("schema") != SCHEMA:
        raise ArtifactError(f"{path} is no lock of version {SCHEMA}", mend=mend)
    try:
        return from_dict(Lock, value)
    except ConfigError as error:
        raise ArtifactError(f"{path} is no lock: {error}", mend=mend) from error


def check_recipe(lock: Lock, recipe: ExportRecipe) -> None:
    """Raise ConfigError for an option that decides files and differs from the lock's; it names the first."""
    for option in list_options(ExportRecipe):
        locked, given = (_value(one, option.group, option.field) for one in (lock.options, recipe))
        if option.path not in DECIDE_NOTHING and locked != given:
            raise ConfigError(
                f"the lock was made with {option.path} = {json.dumps(locked)}, and {json.dumps(given)} is asked for",
                mend="Leave the option out: the lock has the recipe. For another recipe, export without --locked.",
            )


def check_origins(lock: Lock, origins: Sequence[Origin]) -> None:
    """Raise ConfigError for a model or data that is not the lock's; it names the first."""
    locked = {origin.kind: origin for origin in lock.origins}
    for origin in origins:
        before = locked.get(origin.kind)
        if before is None or before.sha256 != origin.sha256:
            known = "no sha256" if before is None else f"{before.name or before.kind} with sha256 {before.sha256[:12]}..."
            raise ConfigError(
                f"the lock was made from another {origin.kind}: it has {known}, and {origin.name} has {origin.sha256[:12]}...",
                mend="Give the model and the data that the lock was made from, or export without --locked.",
            )


def check_calibration(lock: Lock, arrays: Arrays) -> None:
    """Raise ConfigError where ranges would be measured on other images than the lock's."""
    if dict(lock.calibration) != calibration_digests(arrays, lock.options.quantization.calibration_images):
        raise ConfigError(
            "the lock lists other calibration images than this version of the program would take",
            mend="Install the version that the lock lists, or export without --locked.",
        )


def compare_machines(lock: Lock, here: Machine) -> tuple[str, ...]:
    """Return sentences on what computes here and differs from the lock's machine."""
    before = lock.machine
    changed = [
        f"{name} {before.versions.get(name, 'none')} (here {here.versions.get(name, 'none')})"
        for name in sorted({*before.versions, *here.versions})
        if before.versions.get(name) != here.versions.get(name)
    ]
    if before.processor != here.processor:
        changed.append(f"another processor (here {cpu_name()})")
    if before.threads != here.threads:
        changed.append(f"{before.threads} threads of TensorFlow (here {here.threads})")
    if not changed:
        return ()
    return (f"The lock was made with {', '.join(changed)}: the choices are the same, and the bytes of the files may differ.",)


def compare_files(lock: Lock, files: Mapping[str, str]) -> str:
    """Return a sentence on whether the files of a replayed export have the bytes that the lock lists."""
    other = sorted(name for name in {*lock.files, *files} if lock.files.get(name) != files.get(name))
    if not other:
        return f"Replayed from a lock: all {len(files)} model files have the bytes that it lists."
    return f"Replayed from a lock: the choices are its own, and the bytes of {', '.join(other)} are not those that it lists."


def _value(recipe: ExportRecipe, group: str, name: str) -> Any:
    owner = getattr(recipe, group) if group else recipe
    return getattr(owner, name, None)
