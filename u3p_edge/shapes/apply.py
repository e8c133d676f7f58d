"""The space of shapes of a network, and the network in each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, subgraph
from u3p_edge.graph.roles import roles
from u3p_edge.shapes.branches import reduce_to_plain
from u3p_edge.shapes.deeper_head import deepen_head
from u3p_edge.shapes.folding import fold_levels
from u3p_edge.shapes.fusion import add_branches
from u3p_edge.shapes.shape import Shape, list_choices

COARSEST = 4
"""How many times smaller than the image, along each side, the map may be from which a listed shape takes its mask."""

_CHANGES: Mapping[str, Callable[[Graph, Any, Graph], Graph]] = MappingProxyType(
    {
        "fold": fold_levels,
        "head": deepen_head,
        "topology": lambda graph, _plain, _training: reduce_to_plain(graph),
        "fusion": lambda graph, _add, _training: add_branches(graph),
    }
)
"""For every field of a shape: the graph with another value than the default, from graph, value and training graph."""


def list_shapes(graph: Graph) -> tuple[Shape, ...]:
    """Return every shape that a graph can take, in ascending order, so `Shape()` comes first.

    There is only that one for a graph that is no UNet 3+. Shapes that take their mask from a map more than `COARSEST` times
    smaller than the image are left out.

    Args:
        graph: for inference or as it was trained, before channels are pruned: maps of unequal channels cannot be added.
    """
    try:
        made = {Shape(): _mask_of(graph)}
    except ModelError:
        return (Shape(),)
    for name, (_, *others) in list_choices().items():
        for shape, base in tuple(made.items()):
            for value in others:
                wanted = replace(shape, **{name: value})
                changed = _attempt(_CHANGES[name], base, value) if _is_fine(wanted) else None
                if changed is not None:
                    made[wanted] = changed
    return tuple(sorted(made))


def apply_shape(graph: Graph, shape: Shape, training: Graph | None = None) -> Graph:
    """Return a graph in another shape. Weights are inherited wherever a channel is left.

    The mask, and its gate where there is one, keep their names; other outputs are dropped. `Shape()` gives the graph as it is.

    Args:
        graph: for inference or as it was trained, float, with or without batch normalisation folded.
        shape: one of `list_shapes(graph)`.
        training: the graph as it was trained, if `graph` has lost the heads that only training needs. A new head inherits from
            the head that was trained at its decoder.

    Raises:
        ModelError: the graph cannot take the shape; the message gives the reason.
    """
    made = graph if shape == Shape() else _mask_of(graph)
    for name, (default, *_) in list_choices().items():
        if getattr(shape, name) != default:
            made = _CHANGES[name](made, getattr(shape, name), training or graph)
    return made


def _mask_of(graph: Graph) -> Graph:
    """Return the graph of the mask and its gate alone."""
    role = roles(graph)
    return subgraph(graph, [name for name in graph.outputs if name in (role.mask, role.gate)])


def _is_fine(shape: Shape) -> bool:
    return shape.fold << shape.head - 1 <= COARSEST


def _attempt(change: Callable[[Graph, Any, Graph], Graph], graph: Graph, value: Any) -> Graph | None:
    try:
        return change(graph, value, graph)
    except ModelError:
        return None
