"""Find out what each output is for: the mask, the classification-guided gate, and outputs that only training needs.

Outputs come in any order and under any names, so the graph itself has to show it. A mask has the input's height and width. If
several outputs have them, a deep-supervision head differs from the mask as follows. Beyond the nodes that the two share, the
head merges nothing, while the mask's path goes on through the rest of the decoder, which joins feature maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, ancestors
from u3p_edge.graph.ops import Shape

_JOINS = ("concat", "add")


@dataclass(frozen=True)
class Roles:
    """Names of a graph's outputs by what they are for.

    Args:
        mask: the mask, [N, H, W, K] at the input's size.
        gate: the gate, [N, U] or [N, 1, 1, U]; None where there is none.
        others: the other outputs, in the graph's order.
    """

    mask: str
    gate: str | None
    others: tuple[str, ...]


def roles(graph: Graph, mask: str | None = None) -> Roles:
    """Return the roles of the graph's outputs; `mask` names the mask where the caller knows it.

    Raises:
        ModelError: no output is a mask, several could be, or several could be gates; the message lists the outputs.
    """
    shapes = graph.shapes
    names = tuple(dict.fromkeys(graph.outputs))
    size = shapes[graph.inputs[0]][1:3]
    masks = [name for name in names if len(shapes[name]) == 4 and shapes[name][1:3] == size]
    gates = [name for name in names if _is_gate(shapes[name]) and name not in masks]
    if mask is not None and mask not in masks:
        raise _error(f"the output {mask!r} is not a mask of the input's size {size[0]}x{size[1]}", names, shapes)
    if not masks:
        raise _error(f"no output is a mask of the input's size {size[0]}x{size[1]}", names, shapes)
    best = [name for name in masks if all(_outranks(graph, name, other) for other in masks)]
    if mask is None and not best:
        raise _error(f"any of {', '.join(map(repr, masks))} could be the mask", names, shapes)
    if len(gates) > 1:
        raise _error(f"any of {', '.join(map(repr, gates))} could be the mask's gate", names, shapes)
    chosen, gate = mask or best[0], gates[0] if gates else None
    return Roles(chosen, gate, tuple(name for name in names if name not in (chosen, gate)))


def _is_gate(shape: Shape) -> bool:
    return len(shape) == 2 or (len(shape) == 4 and shape[1:3] == (1, 1))


def _outranks(graph: Graph, best: str, other: str) -> bool:
    """Return whether `other` is a by-product on the way to `best` (an output outranks itself)."""
    mine, theirs = ancestors(graph, best), ancestors(graph, other)
    return theirs <= mine or (_joins(graph, mine - theirs) and not _joins(graph, theirs - mine))


def _joins(graph: Graph, names: frozenset[str]) -> bool:
    return any(graph[name].op in _JOINS for name in names)


def _error(symptom: str, names: tuple[str, ...], shapes: Mapping[str, Shape]) -> ModelError:
    listed = ", ".join(f"{name} [{', '.join(map(str, shapes[name][1:]))}]" for name in names)
    return ModelError(
        f"{symptom}; the outputs are {listed}",
        mend="Name the mask with --mask OUTPUT, or save a model whose outputs are the mask and its gate alone.",
    )
