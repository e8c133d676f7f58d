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
from u3p_edge.training.checkpoint import Tensors, read_tensors, write_tensors

CHECKPOINT = "recover.safetensors"
"""Name of the file in the run's folder."""

_MEND = "Delete it, or give another folder."


@dataclass(frozen=True)
class State:
    """A run after its last finished epoch.

    Args:
        key: hash of everything that decides the run.
        losses: of each epoch.
        scores: before training and after each epoch; -inf for one that is not a number.
    """

    key: str
    losses: tuple[float, ...]
    scores: tuple[float, ...]

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.losses)

    @property
    def best_epoch(self) -> int:
        """The first epoch with the highest score; 0 is before training."""
        return self.scores.index(max(self.scores))

    def after(self, loss: float, score: float) -> State:
        """Return the state one epoch later."""
        return State(self.key, (*self.losses, loss), (*self.scores, score))


def save_state(folder: Path, state: State, parts: dict[str, Tensors]) -> None:
    """Write state and tensors, those of each part as "PART/NAME", whole or not at all. Raises ArtifactError."""
    tensors = {f"{part}/{name}": array for part, own in parts.items() for name, array in own.items()}
    # JSON has no infinity.
    scores = [score if math.isfinite(score) else None for score in state.scores]
    write_tensors(folder / CHECKPOINT, tensors, {"key": state.key, "losses": state.losses, "scores": scores})


def load_state(folder: Path, key: str) -> tuple[State, dict[str, Tensors]] | None:
    """Return what `save_state` wrote last for the run with that key; None where there is nothing.

    Raises:
        CheckpointError: the file is of another run, or damaged.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    tensors, stored = read_tensors(path, _MEND)
    if not isinstance(stored, dict) or stored.get("key") != key:
        raise CheckpointError(f"{path} is of a run with other settings, images, masks or weights", mend=_MEND)
    parts: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for name, array in tensors.items():
        part, _, own = name.partition("/")
        parts.setdefault(part, {})[own] = array
    scores = tuple(-math.inf if score is None else score for score in stored["scores"])
    return State(key, tuple(stored["losses"]), scores), dict(parts)


def state_key(settings: Any, graph: Graph, arrays: Iterable[npt.NDArray[Any]]) -> str:
    """Return the hexadecimal sha256 of a run's settings (a dataclass), the graph that it starts from and further arrays."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(settings), sort_keys=True).encode())
    for node in graph.nodes:
        digest.update(repr((node.name, node.op, node.inputs, node.attrs)).encode())
    for array in (*(weight for node in graph.nodes for weight in node.weights.values()), *arrays):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
