"""The checkpoint of a training run, from which it resumes after a kill at any moment: one file with all that is needed.

Weights, optimizer, best weights and the history are in one safetensors file, the history as JSON in its header, so they
always belong together; the file is replaced as a whole. It has data and nothing that could run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from u3p_edge.config.plain import from_dict
from u3p_edge.data.load import Arrays
from u3p_edge.errors import CheckpointError, ConfigError
from u3p_edge.files.atomic import write_bytes
from u3p_edge.files.json_toml import parse_json
from u3p_edge.training.recipe import TrainRecipe, first_difference
from u3p_edge.training.state import RunState

RESUME = "resume.safetensors"
"""Name of the file in the run folder."""

Tensors = Mapping[str, npt.NDArray[Any]]
_STATE, _SHA256 = "u3p_edge.state", "u3p_edge.sha256"
_MEND = "Start anew with --restart, or give another --out folder."


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to continue: the state, and tensors by name.

    Their names are "model/NAME" (weights), "adam/MOMENT/NAME", "best/model/NAME" and "gate/model/NAME" (best epochs).
    """

    state: RunState
    tensors: Tensors


def save_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint of a run folder whole or not at all. Raises ArtifactError."""
    write_tensors(run / RESUME, checkpoint.tensors, dataclasses.asdict(checkpoint.state))


def load_checkpoint(run: Path) -> Checkpoint | None:
    """Read the checkpoint of a run folder; None if it has none.

    Raises:
        CheckpointError: the file is not such a checkpoint, or is damaged.
    """
    path = run / RESUME
    if not path.exists():
        return None
    tensors, state = read_tensors(path, _MEND)
    try:
        return Checkpoint(from_dict(RunState, state), tensors)
    except ConfigError as error:
        raise _unusable(path, error, _MEND) from error


def is_checkpoint(path: Path) -> bool:
    """Return whether a file is a checkpoint of this package, according to its header."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="numpy") as file:
            return _STATE in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def write_tensors(path: Path, tensors: Tensors, state: Mapping[str, Any]) -> None:
    """Write tensors by name and a state of plain values as one safetensors file, whole or not at all. Raises ArtifactError."""
    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    text = json.dumps(state, allow_nan=False)
    write_bytes(path, save(whole, metadata={_STATE: text, _SHA256: _digest(whole, text)}))


def read_tensors(path: Path, mend: str) -> tuple[Tensors, Any]:
    """Read what `write_tensors` wrote.

    Raises:
        CheckpointError: the file is not such a checkpoint, or is damaged. `mend` is the error's advice.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
        # Checkpoints of older versions hold no sha256.
        if header.get(_SHA256, "") not in ("", _digest(tensors, header[_STATE])):
            raise ValueError("its content does not have the sha256 that it holds")
        return tensors, parse_json(header[_STATE])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise _unusable(path, error, mend) from error


def _digest(tensors: Tensors, state: str) -> str:
    """Return the hexadecimal sha256 of a checkpoint's content, whatever the order of its tensors."""
    digest = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        digest.update(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _unusable(path: Path, error: Exception, mend: str) -> CheckpointError:
    return CheckpointError(f"{path} is not a checkpoint that can be resumed ({error})", mend=mend)


def check_same_run(run: Path, state: RunState, recipe: TrainRecipe, data: str) -> None:
    """Raise ConfigError, naming what differs, unless the run in that folder had this recipe and these images."""
    difference = first_difference(state.recipe, recipe)
    if difference:
        raise ConfigError(f"{run} holds a run with {difference}", mend=_MEND)
    if state.data != data:
        raise ConfigError(f"{run} holds a run on other images or masks", mend=_MEND)


def fingerprint(*splits: Arrays) -> str:
    """Return the hexadecimal sha256 of the images and labels of some splits, in order."""
    digest = hashlib.sha256()
    for arrays in splits:
        for array in (arrays.images, arrays.labels):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
