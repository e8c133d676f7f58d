"""The sum of interpolated and shifted maps as depthwise convolutions of the small maps, one for each phase.

With a factor s, output place s i + p depends on the places i - 1, i and i + 1 of the k maps alone, by weights c[p] that are the
same for every i but the first and the last: there the interpolation clamps, and the shifts fill with zeros. So for each phase p

    first place    kernel of 2 places ─┐
    inner places   kernel of 3 places ─┼─ CONCATENATION ─┐
    last place     kernel of 2 places ─┘                 │   all phases ─ CONCATENATION, RESHAPE ─► the map
                                                         └─

An interpolation takes XNNPACK 0.28 ns a value and an addition 0.15; three of the one and two of the other are a depthwise
convolution of nine taps, 0.5 ns, and round once instead of five times. In integers the weights are exact: all are multiples of
1 / 2s.

The maps stand side by side in the columns, [1, H, k W, C]. Seen as [1, k H, W, C], which moves nothing, the k of a row are rows
one below another, and a kernel that steps over k rows reads them all: of 3 k rows and one column to interpolate along rows, of
k rows and three columns to do so along columns. `tflite_phases` gives both smaller tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from u3p_edge.export.flatbuffer import Tensor
from u3p_edge.export.tflite_pieces import VALID, Call, Context, constant, joined, quantized
from u3p_edge.export.tflite_views import crop, reshaped
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.reference import run

_FIRST, _INNER, _LAST = range(3)
_READ = (slice(0, 2), slice(0, 3), slice(1, 3))
"""Of three places, those that the first, the middle and the last one depend on."""


@dataclass(frozen=True)
class _Sum:
    """One node on its way.

    Args:
        at: the graph it is of.
        view: what its convolutions read, [1, k H, W, C].
        axis: 1 or 2.
        taps: k.
        weights: [phase, part, map, place], in units of `unit`.
        cut: whether the first and the last place are left out.
        out: the map it gives.
        fused: activation behind it.
    """

    at: Context
    view: Tensor
    axis: int
    taps: int
    weights: npt.NDArray[np.int64]
    unit: np.float32
    cut: tuple[bool, bool]
    out: Tensor
    fused: int


def interpolated_sum(at: Context, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
    """See the module."""
    source, taps = at.map(at.source(node)), node.attrs["taps"]
    _, height, width, channels = source.shape
    view = replace(source, name=f"{out.name}/view", shape=(1, taps * height, width // taps, channels))
    unit = np.float32(1 / (2 * node.attrs["factor"]))
    one = _Sum(at, view, node.attrs["axis"], taps, _weights(node), unit, node.attrs["cut"], out, fused)
    return reshaped(source.name, view), *_phases(one)


def _weights(node: Node) -> npt.NDArray[np.int64]:
    """Read off the node itself: what it makes of maps of three places that are zero but for a one."""
    taps, factor = node.attrs["taps"], node.attrs["factor"]
    ones = Node("ones", "input", (), {"shape": (None, 1, 3 * taps, 3 * taps)})
    alone = Node("sum", node.op, ("ones",), {**node.attrs, "axis": 2, "cut": (False, False)})
    feeds = {"ones": np.eye(3 * taps)[None, None]}
    found = run(Graph((ones, alone), ("ones",), ("sum",)), feeds, dtype=np.float64)["sum"]
    counts = np.rint(2 * factor * found).astype(np.int64)
    return np.swapaxes(counts.reshape(3, factor, taps, 3), 0, 1)


def _phases(one: _Sum) -> Iterator[Call]:
    """All phases of a place side by side: along the columns for rows, along the channels for columns."""
    phases = []
    for phase, weights in enumerate(one.weights):
        calls = list(_phase(one, f"{one.out.name}/phase{phase}", weights))
        yield from calls
        phases.append(calls[-1].output)
    together = _side_by_side(phases, 1 + one.axis, f"{one.out.name}/phases")
    yield from joined([(part.name, part.shape) for part in phases], together, 1 + one.axis)
    yield reshaped(together.name, one.out)


def _phase(one: _Sum, name: str, weights: npt.NDArray[np.int64]) -> Iterator[Call]:
    """One value of every place."""
    step = one.taps if one.axis == 1 else 1
    length = one.view.shape[one.axis] // step
    first, last = one.cut
    spans = [] if first else [(_FIRST, 0, 2)]
    spans += [(_INNER, 0, length)] if length > 2 else []
    spans += [] if last else [(_LAST, length - 2, length)]
    parts: list[Tensor] = []
    for part, begin, end in spans:
        own = f"{name}_{part}" if len(spans) > 1 else name
        calls = list(_places(one, own, weights[part][:, _READ[part]], (step * begin, step * end)))
        yield from calls
        parts.append(calls[-1].output)
    if len(parts) > 1:
        yield from joined([(part.name, part.shape) for part in parts], _side_by_side(parts, one.axis, name), one.axis)


def _places(one: _Sum, name: str, weights: npt.NDArray[np.int64], span: tuple[int, int]) -> Iterator[Call]:
    """A convolution of some of the view along the axis, with weights [map, place]; cut out where it is not all."""
    source, (first, last) = one.view, span
    if last - first != source.shape[one.axis]:
        shape = [*source.shape]
        shape[one.axis] = last - first
        source = replace(source, name=f"{name}/read", shape=tuple(shape))
        yield crop(one.view.name, source, *((first, 0) if one.axis == 1 else (0, first)))
    kernel = weights.T.reshape(-1, 1) if one.axis == 1 else weights
    _, rows, columns, channels = source.shape
    given = (1, (rows - len(kernel)) // one.taps + 1, columns - kernel.shape[1] + 1, channels)
    options = {
        "strideH": one.taps, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": VALID,
        "depthMultiplier": 1, "fusedActivationFunction": one.fused,
    }  # fmt: skip
    constants = _constants(one, f"{name}/kernel", kernel)
    yield Call("DEPTHWISE_CONV_2D", (source.name, *constants), replace(one.out, name=name, shape=given), options)


def _constants(one: _Sum, name: str, kernel: npt.NDArray[np.int64]) -> Sequence[Tensor]:
    """The same weights for every channel, [1, rows, columns, C], and a bias of zeros."""
    channels = one.view.shape[3]
    whole = np.repeat(kernel[None, :, :, None], channels, axis=3)
    if one.at.scheme is None:
        return constant(name, whole.astype(np.float32) * one.unit), constant(f"{name}_bias", np.zeros(channels, np.float32))
    scale = np.asarray([one.unit])  # one for all channels: theirs would be most of the kernel's bytes
    return (
        quantized(name, whole.astype(np.int8), scale, 0),
        quantized(f"{name}_bias", np.zeros(channels, np.int32), one.view.scale * scale, 0),
    )


def _side_by_side(parts: Sequence[Tensor], axis: int, name: str) -> Tensor:
    """The map that the parts make joined along an axis."""
    shape = [*parts[0].shape]
    shape[axis] = sum(part.shape[axis] for part in parts)
    return replace(parts[0], name=name, shape=tuple(shape))
