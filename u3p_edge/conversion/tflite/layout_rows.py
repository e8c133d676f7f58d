"""A layout pass that treats rows as images of a batch, [H, 1, W, C] instead of [1, H, W, C].

`layout_ops` explains why this helps an interpolation along columns and a 1xk convolution, at two copies for each. Sums, crops,
padding and concatenation along columns or channels compute the same in either shape, and a RESHAPE that is in the network
anyway goes to either shape at no cost. So a whole stretch of operators between RESHAPEs gets the layout where the copies at its
other ends are no more than those around each operator would be. Elsewhere only the operators that gain get it, each alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace

import numpy as np

from u3p_edge.conversion.tflite.layout_ops import RESIZES, gains_by_rows, reshape_to, treats_rows_alike
from u3p_edge.conversion.tflite.pieces import Call, integers
from u3p_edge.conversion.tflite.schema import Tensor
from u3p_edge.graph.ops import Shape

Maps = Mapping[str, Tensor]
_EITHER = ("ADD", "SUB", "MUL", "STRIDED_SLICE", "PAD", "CONCATENATION", "CONV_2D", *RESIZES)


def rows_as_images(calls: Sequence[Call], inputs: Sequence[Tensor], outputs: Sequence[str]) -> tuple[Call, ...]:
    """Return the calls, with rows as images in the stretches where that pays.

    Args:
        calls: in order.
        inputs, outputs: of the network; their shapes do not change.
    """
    maps = {tensor.name: tensor for tensor in (*inputs, *(call.output for call in calls))}
    makers = {call.output.name: call for call in calls}
    readers: dict[str, list[Call]] = {name: [] for name in maps}
    for call in calls:
        for name in _read(call):
            readers[name].append(call)
    laid: set[str] = set()
    for stretch in _stretches(calls, maps, readers, outputs):
        if _pays(stretch, maps, makers, readers):
            laid.update(call.output.name for call in stretch)
        else:
            laid.update(call.output.name for call in stretch if gains_by_rows(call, maps[next(_read(call))]))
    return _merge_reshapes(tuple(_laid(calls, maps, laid)), outputs) if laid else tuple(calls)


def _read(call: Call) -> Iterator[str]:
    """Yield the names of the maps that a call reads, each once."""
    return iter(dict.fromkeys(name for name in call.inputs if isinstance(name, str)))


def _either(call: Call, maps: Maps, outputs: Sequence[str]) -> bool:
    """Whether a call computes the same with rows as images."""
    shapes = [maps[name].shape for name in (call.output.name, *_read(call))]
    if call.code not in _EITHER or call.output.name in outputs or any(len(s) != 4 or s[0] != 1 or s[1] == 1 for s in shapes):
        return False
    if call.code in ("ADD", "SUB", "MUL"):
        return len(set(shapes)) == 1 and all(isinstance(given, str) for given in call.inputs)
    if call.code == "CONCATENATION":
        return call.options["axis"] in (2, 3)
    return call.code in ("STRIDED_SLICE", "PAD") or treats_rows_alike(call, maps[next(_read(call))])


def _stretches(
    calls: Sequence[Call], maps: Maps, readers: Mapping[str, Sequence[Call]], outputs: Sequence[str]
) -> list[list[Call]]:
    """Group the calls that compute the same in either shape: calls that share a map are in the same stretch."""
    able = [call for call in calls if _either(call, maps, outputs)]
    group = {call.output.name: call.output.name for call in able}

    def root(name: str) -> str:
        while group[name] != name:
            group[name] = name = group[group[name]]
        return name

    for name in maps:
        together = [call.output.name for call in readers[name] if call.output.name in group]
        if name in group:
            together.append(name)
        for other in together[1:]:
            group[root(other)] = root(together[0])
    stretches: dict[str, list[Call]] = {}
    for call in able:
        stretches.setdefault(root(call.output.name), []).append(call)
    return list(stretches.values())


def _pays(stretch: Sequence[Call], maps: Maps, makers: Mapping[str, Call], readers: Mapping[str, Sequence[Call]]) -> bool:
    """Whether the copies at a stretch's ends are no more than the copies around each operator that gains, in elements."""
    members = {call.output.name for call in stretch}
    gaining = [call for call in stretch if gains_by_rows(call, maps[next(_read(call))])]
    around = sum(_size(maps[next(_read(call))]) + _size(call.output) for call in gaining)
    given = {name for call in stretch for name in _read(call)} - members
    entries = sum(_size(maps[name]) for name in given if name not in makers or makers[name].code != "RESHAPE")
    left = {name for name in members if any(r.code != "RESHAPE" and r.output.name not in members for r in readers[name])}
    return bool(gaining) and entries + sum(_size(maps[name]) for name in left) <= around


def _size(tensor: Tensor) -> int:
    return math.prod(tensor.shape)


def _laid(calls: Sequence[Call], maps: Maps, laid: Set[str]) -> Iterator[Call]:
    """Yield the calls, those of `laid` with rows as images; a map read in both shapes gets a second name for the other."""
    known: set[str] = set()
    for call in calls:
        inside = call.output.name in laid
        names: dict[str, str] = {}
        for name in _read(call):
            if inside != (name in laid):
                other = f"{name}/{'rows' if inside else 'map'}"
                if other not in known:
                    shape = _rows(maps[name].shape) if inside else maps[name].shape
                    yield reshape_to(name, replace(maps[name], name=other, shape=shape))
                    known.add(other)
                names[name] = other
        moved = _as_images(call) if inside else call
        yield replace(moved, inputs=tuple(names.get(x, x) if isinstance(x, str) else x for x in moved.inputs))


def _rows(shape: Shape) -> Shape:
    return (shape[1], 1, *shape[2:])


def _as_images(call: Call) -> Call:
    """Return the call with rows as images: its output and the constants that refer to rows are changed."""
    out = replace(call.output, shape=_rows(call.output.shape))
    constants = [given for given in call.inputs if isinstance(given, Tensor)]
    if call.code in ("STRIDED_SLICE", "PAD"):
        new = [replace(c, data=swap_axes(np.asarray(c.data))) for c in constants]
    elif call.code == "CONCATENATION":
        new = [replace(c, shape=_rows(c.shape), data=np.asarray(c.data).reshape(_rows(c.shape))) for c in constants]
    elif call.code in RESIZES:
        new = [integers(f"{out.name}/size", *out.shape[1:3])]
    else:
        new = constants
    moved = iter(new)
    return replace(call, inputs=tuple(next(moved) if isinstance(given, Tensor) else given for given in call.inputs), output=out)


def swap_axes(positions: np.ndarray) -> np.ndarray:
    """Exchange the entries of the first two axes in an array with one entry for every axis."""
    return np.ascontiguousarray(positions[[1, 0, 2, 3]])


def _merge_reshapes(calls: Sequence[Call], outputs: Sequence[str]) -> tuple[Call, ...]:
    """Let a RESHAPE behind another one read what that one reads, and leave out those that nothing reads any more."""
    sources = {call.output.name: str(call.inputs[0]) for call in calls if call.code == "RESHAPE"}

    def source(name: str) -> str:
        return source(sources[name]) if name in sources else name

    short = [replace(c, inputs=(source(str(c.inputs[0])), *c.inputs[1:])) if c.code == "RESHAPE" else c for c in calls]
    read = {name for call in short for name in _read(call)} | set(outputs)
    return tuple(call for call in short if call.code != "RESHAPE" or call.output.name in read)
