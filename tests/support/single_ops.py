"""Graphs of a single op, with weights and images to feed them, for the tests of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from u3p_edge.graph.ir import Graph, Node

Array = np.ndarray[Any, Any]
SHAPE = (9, 11, 4)


def weights(seed: int = 0, low: float = -1.0, **shapes: tuple[int, ...]) -> dict[str, Array]:
    """Uniform from `low` to 1, float32."""
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(low, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def single(op: str, attrs: dict[str, Any] | None = None, given: dict[str, Array] | None = None, arity: int = 1) -> Graph:
    """The op as node "y" on the input "x" of `SHAPE`, which it reads `arity` times."""
    return of(Node("y", op, ("x",) * arity, attrs or {}, given or {}))


def of(*nodes: Node, shape: tuple[int, ...] = SHAPE) -> Graph:
    """The nodes behind an input "x" of that shape; the last is the output."""
    return Graph((Node("x", "input", attrs={"shape": (None, *shape)}), *nodes), ("x",), (nodes[-1].name,))


def images(graph: Graph, seed: int = 1) -> Array:
    """Two images in -3..3. Some values are equal, some are whole numbers, so that comparisons meet their borders."""
    drawn = np.random.default_rng(seed).uniform(-3, 3, (2, *graph["x"].attrs["shape"][1:]))
    return np.where(np.abs(drawn) < 1.5, np.round(drawn), drawn).astype(np.float32)
