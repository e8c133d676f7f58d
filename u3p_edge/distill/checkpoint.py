"""The checkpoint of a fine-tuning run: one file from which the run continues."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import CheckpointError
from u3p_edge.graph.ir import Graph
from u3p_edge.optim.fit import History
from u3p_edge.training.checkpoint import Tensors, read_tensors, write_tensors

CHECKPOINT = "recover.safetensors"
"""Name of the file in the run's folder."""

_MEND = "Delete it, or give another folder."


@dataclass(frozen=True)
class Saved:
    """A fine-tuning run after its last finished epoch.

    Args:
        history: its losses and scores.
        weights, moments: of the student and of its optimizer, by name.
        best: the student's weights after the best epoch.
    """

    history: History
    weights: Tensors
    moments: Tensors
    best: Tensors


def save_state(folder: Path, key: str, saved: Saved) -> None:
    """Write a run's state whole or not at all. Raises ArtifactError.

    Args:
        folder: of this run alone.
        key: from `state_key`.
        saved: the state.
    """
    parts = {"model": saved.weights, "adam": saved.moments, "best": saved.best}
    tensors = {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
    # JSON has no infinity.
    scores = [score if math.isfinite(score) else None for score in saved.history.scores]
    write_tensors(folder / CHECKPOINT, tensors, {"key": key, "losses": saved.history.losses, "scores": scores})


def load_state(folder: Path, key: str, epochs: int, keep_epoch: int | None = None) -> Saved | None:
    """Return what `save_state` wrote last for the run of `epochs` epochs with that key; None where there is nothing.

    Raises:
        CheckpointError: the file is of another run, or damaged.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    tensors, stored = read_tensors(path, _MEND)
    if not isinstance(stored, dict) or stored.get("key") != key:
        raise CheckpointError(f"{path} is of a run with other settings, images, masks or weights", mend=_MEND)

    def part(name: str) -> Tensors:
        return {key.removeprefix(f"{name}/"): array for key, array in tensors.items() if key.startswith(f"{name}/")}

    scores = tuple(-math.inf if score is None else score for score in stored["scores"])
    history = History(epochs, scores, tuple(stored["losses"]), keep_epoch)
    return Saved(history, part("model"), part("adam"), part("best"))


def state_key(settings: Any, graph: Graph, arrays: Iterable[npt.NDArray[Any]]) -> str:
    """Return the hexadecimal sha256 of a run's settings (a dataclass), the graph that it starts from and further arrays."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(settings), sort_keys=True).encode())
    for node in graph.nodes:
        digest.update(repr((node.name, node.op, node.inputs, node.attrs)).encode())
    for array in (*(weight for node in graph.nodes for weight in node.weights.values()), *arrays):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
