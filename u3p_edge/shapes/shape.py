"""The shape of a UNet 3+: which topology of the search space it has, as a value that JSON can hold."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, total_ordering
from itertools import product
from types import MappingProxyType
from typing import Any, Literal, get_args, get_type_hints

from u3p_edge.errors import ConfigError

Fold = Literal[1, 2, 4]
Head = Literal[1, 2, 3]
Topology = Literal["full", "plain"]
Fusion = Literal["concat", "add"]

_ORDINALS = {2: "second", 3: "third"}


@total_ordering
@dataclass(frozen=True)
class Shape:
    """What is changed of a network; `Shape()` changes nothing, and is the least. The changes are made in this order.

    Args:
        fold: the network starts at a coarser level, with one strided convolution of fold x fold pixels, and its mask ends in
            a depth-to-space by as many (`u3p_edge.shapes.folding`). 1 for neither.
        head: the decoder that gives the mask, counted from the finest of those that folding leaves
            (`u3p_edge.shapes.deeper_head`).
        topology: "full" for branches from all scales, "plain" for those of a plain UNet (`u3p_edge.shapes.branches`).
        fusion: whether a decoder's branches are concatenated or added (`u3p_edge.shapes.fusion`).

    Raises:
        ConfigError: a value that is not allowed.

    >>> Shape(fold=2, topology="plain").name
    'folded by 2, plain topology'
    >>> Shape().name
    'unchanged'
    """

    fold: Fold = 1
    head: Head = 1
    topology: Topology = "full"
    fusion: Fusion = "concat"

    def __post_init__(self) -> None:
        for name, choices in list_choices().items():
            value = getattr(self, name)
            if value not in choices:
                raise ConfigError(f"{name} cannot be {value!r}", mend=f"It is one of {', '.join(map(repr, choices))}.")

    def __lt__(self, other: Shape) -> bool:
        """Return whether this comes before: field by field, by the order of its choices."""
        mine, theirs = (
            [choices.index(getattr(shape, name)) for name, choices in list_choices().items()] for shape in (self, other)
        )
        return mine < theirs

    @property
    def name(self) -> str:
        """Short plain words; no two shapes share them."""
        words = {
            f"folded by {self.fold}": self.fold > 1,
            f"mask from the {_ORDINALS.get(self.head, 'first')} decoder": self.head > 1,
            "plain topology": self.topology == "plain",
            "added branches": self.fusion == "add",
        }
        return ", ".join(word for word, holds in words.items() if holds) or "unchanged"


@cache
def list_choices() -> Mapping[str, tuple[Any, ...]]:
    """Return what each field of a shape may be, the default first, in the order of the fields."""
    hints = get_type_hints(Shape)
    return MappingProxyType({field.name: get_args(hints[field.name]) for field in fields(Shape)})


def find_shape(name: str) -> Shape:
    """Return the shape of a name.

    Raises:
        ConfigError: no shape has it.

    >>> find_shape("folded by 2")
    Shape(fold=2, head=1, topology='full', fusion='concat')
    """
    by_name = {shape.name: shape for shape in (Shape(*values) for values in product(*list_choices().values()))}
    if name not in by_name:
        close = difflib.get_close_matches(name, by_name, n=1)
        mend = f"Do you mean {close[0]!r}?" if close else f"A shape is for example {Shape(fold=2).name!r}."
        raise ConfigError(f"there is no shape {name!r}", mend=mend)
    return by_name[name]
