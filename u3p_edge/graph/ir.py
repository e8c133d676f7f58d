"""A model as a value: an immutable graph of nodes, and pure functions that give another graph.

A node's name is also the name of the one tensor that it computes. Nodes are in topological order. No function here changes an
argument, and nothing imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.graph.ops import OPS, REQUIRED, Attrs, Op, Shape, Weights

KERAS = "keras"
"""The attribute that every node may have: the options of its Keras layer that inference does not need (initialisers, ...)."""


def freeze(value: Any) -> Any:
    """Return the same plain value, immutable: lists become tuples, dictionaries become read-only mappings, deeply."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: freeze(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    return value


def thaw(value: Any) -> Any:
    """Undo `freeze`, with lists for tuples."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    return value


@dataclass(frozen=True, eq=False)
class Node:
    """One operation and the tensor it gives.

    Args:
        name: unique in its graph.
        op: a key of `u3p_edge.graph.ops.OPS`.
        inputs: names of the nodes it reads, in order.
        attrs: its attributes; those left out get the op's defaults. Stored frozen.
        weights: its arrays; copied once and made read-only unless they are read-only already. Kernels are HWIO.

    Raises:
        ValueError: for an unknown op, attribute or weight, a missing one, or a wrong number of inputs.
    """

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    attrs: Attrs = field(default_factory=dict)
    weights: Weights = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.op not in OPS:
            raise ValueError(f"node {self.name!r}: there is no op {self.op!r}")
        kind = self.kind
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "attrs", freeze({**kind.attrs, **self.attrs}))
        object.__setattr__(self, "weights", MappingProxyType({k: _read_only(v) for k, v in self.weights.items()}))
        self._check("attribute", self.attrs, set(kind.attrs) | {KERAS}, ())
        self._check("weight", self.weights, {*kind.weights, *kind.optional}, kind.weights)
        missing = [key for key, value in self.attrs.items() if value is REQUIRED]
        if missing:
            raise ValueError(f"node {self.name!r} ({self.op}) lacks the attribute {missing[0]!r}")
        if (kind.arity is None and not self.inputs) or (kind.arity is not None and len(self.inputs) != kind.arity):
            raise ValueError(f"node {self.name!r} ({self.op}) cannot have {len(self.inputs)} inputs")

    def _check(self, what: str, given: Iterable[str], known: set[str], needed: Iterable[str]) -> None:
        unknown, missing = sorted(set(given) - known), sorted(set(needed) - set(given))
        if unknown:
            raise ValueError(f"node {self.name!r}: {self.op} has no {what} {unknown[0]!r}")
        if missing:
            raise ValueError(f"node {self.name!r} ({self.op}) lacks the {what} {missing[0]!r}")

    @property
    def kind(self) -> Op:
        """The record of the node's op."""
        return OPS[self.op]

    def __eq__(self, other: object) -> bool:
        """Return whether both are equal in everything, weights bit by bit."""
        if not isinstance(other, Node):
            return NotImplemented
        mine, theirs = (self.name, self.op, self.inputs, self.attrs), (other.name, other.op, other.inputs, other.attrs)
        return mine == theirs and self.weights.keys() == other.weights.keys() and all(map(_same_bits, *_pairs(self, other)))

    def __hash__(self) -> int:
        return hash((self.name, self.op, self.inputs))


def _pairs(a: Node, b: Node) -> tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]]]:
    return [a.weights[key] for key in a.weights], [b.weights[key] for key in a.weights]


def _same_bits(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _read_only(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # A writable array may be changed by whoever gave it, so it is copied; the copy is then shared by every graph.
    array = np.asarray(value)
    if array.flags.writeable or array.base is not None:
        array = np.array(array, order="C")
        array.flags.writeable = False
    return array


@dataclass(frozen=True)
class Graph:
    """A model: nodes in topological order, the names of its inputs and of its outputs, in order.

    Raises:
        ValueError: a name is used twice, a node reads one that is unknown or not yet computed, or there is no output.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str = "model"
    _index: Mapping[str, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known: dict[str, Node] = {}
        for node in self.nodes:
            if node.name in known:
                raise ValueError(f"two nodes are named {node.name!r}")
            late = [name for name in node.inputs if name not in known]
            if late:
                raise ValueError(f"node {node.name!r} reads {late[0]!r}, which no node before it computes")
            known[node.name] = node
        if not self.outputs or any(name not in known for name in self.outputs):
            raise ValueError(f"outputs {self.outputs} are not all nodes of the graph")
        if set(self.inputs) != {node.name for node in self.nodes if node.op == "input"}:
            raise ValueError(f"inputs {self.inputs} are not the graph's input nodes")
        object.__setattr__(self, "_index", MappingProxyType(known))

    def __getitem__(self, name: str) -> Node:
        """Return the node of that name. Raises KeyError."""
        return self._index[name]

    def __contains__(self, name: object) -> bool:
        return name in self._index

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """The shape of every node's tensor, batch axis first (1 unless an input fixes it); computed at the first use.

        Raises:
            ModelError: shapes do not fit, or the size of an input is not fixed; the message names the node.
        """
        known: dict[str, Shape] = {}
        for node in self.nodes:
            try:
                known[node.name] = node.kind.shape(node.attrs, node.weights, tuple(known[name] for name in node.inputs))
            except (ValueError, IndexError) as error:
                raise ModelError(f"node {node.name!r} ({node.op}): {error}", mend=_mend(node)) from error
        return MappingProxyType(known)

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """For every node, the names of the nodes that read it, in the graph's order, each once; computed at the first use."""
        readers: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name].append(node.name)
        return MappingProxyType({name: tuple(names) for name, names in readers.items()})


def ancestors(graph: Graph, *names: str) -> frozenset[str]:
    """Return the given nodes and everything that they are computed from."""
    needed: set[str] = set(names)
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return frozenset(needed)


def subgraph(graph: Graph, outputs: Sequence[str]) -> Graph:
    """Return the graph that computes only `outputs`, in that order, without the nodes and inputs that they do not need."""
    kept = ancestors(graph, *outputs)
    return replace(
        graph,
        nodes=tuple(node for node in graph.nodes if node.name in kept),
        inputs=tuple(name for name in graph.inputs if name in kept),
        outputs=tuple(outputs),
    )


def substitute(graph: Graph, name: str, new: Sequence[Node], *, result: str | None = None) -> Graph:
    """Return the graph with node `name` replaced by the nodes `new` (topological order), of which `result` takes its place.

    Everything that read `name`, outputs included, then reads `result` (default: the last of `new`). If `new` is empty,
    `result` must be a node before `name`: this removes the node. To insert nodes behind a node, give that node again first in
    `new`; it keeps its name, and only the later nodes of `new` read it.
    """
    target = result if result is not None else new[-1].name
    added = {node.name for node in new}

    def rewired(node: Node) -> Node:
        return rewire(node, {name: target})

    index = next(i for i, node in enumerate(graph.nodes) if node.name == name)
    nodes = (*graph.nodes[:index], *new, *(n if n.name in added else rewired(n) for n in graph.nodes[index + 1 :]))
    return replace(graph, nodes=nodes, outputs=tuple(target if output == name else output for output in graph.outputs))


def rewire(node: Node, renames: Mapping[str, str]) -> Node:
    """Return the node, reading `renames[x]` wherever it read `x`."""
    return replace(node, inputs=tuple(renames.get(name, name) for name in node.inputs))


def rename(graph: Graph, renames: Mapping[str, str]) -> Graph:
    """Return the graph with nodes renamed; names not in `renames` stay. Raises ValueError if two nodes get the same name."""

    def new(name: str) -> str:
        return renames.get(name, name)

    return replace(
        graph,
        nodes=tuple(replace(rewire(node, renames), name=new(node.name)) for node in graph.nodes),
        inputs=tuple(map(new, graph.inputs)),
        outputs=tuple(map(new, graph.outputs)),
    )


def unused_name(graph: Graph, name: str) -> str:
    """Return the name, with underscores appended as long as a node of the graph has it."""
    return name if name not in graph else unused_name(graph, f"{name}_")


def _mend(node: Node) -> str:
    return "Build the model for one size, for example Input((256, 256, 1))." if node.op == "input" else ""
