"""Lower the fused interpolated sum, a sum of interpolated and shifted maps, to depthwise convolutions of the small maps.

There is one convolution for each phase. With an upsampling factor s, output position s i + p, of phase p, depends only on the
positions i - 1, i and i + 1 of the k maps. The weights c[p] are the same for every i but the first and the last: there the
interpolation clamps, and the shifts fill with zeros. A phase that no shift fills (all but the first and the last of four or
more) only clamps: it is one convolution of a map that has its first and last position twice. Otherwise, for each phase p:

    first position    kernel of 2 positions ─┐
    inner positions   kernel of 3 positions ─┼─ CONCATENATION ─┐
    last position     kernel of 2 positions ─┘                 │   all phases ─ CONCATENATION, RESHAPE ─► the map
                                                               └─

In XNNPACK an interpolation takes 0.28 ns a value and an addition 0.15 ns. Three interpolations and two additions become one
depthwise convolution of nine taps, which takes 0.5 ns and rounds once instead of five times. In integers the weights are exact:
all are multiples of 1 / (2 s).

For an interpolation along rows the maps are side by side in the columns, [1, H, k W, C]; along columns they are side by side in
the channels, [1, H, W, k C]. A reshape to [1, k H, W, C] or [1, H, k W, C] moves nothing. In that shape the k values of a
position follow one another along the axis, and a kernel of size 3 k with stride k reads them all.

XNNPACK keeps 8 bytes for every tap at every output pixel of a depthwise convolution, once for all images and once for all
channels (see `layout_ops`): 4.7 MB for nine taps and a map of 256x256. The RESHAPEs before and after can go to any shape at no
cost, so where the tables are large, the operators between them get a shape that needs a smaller one:

    along rows       every column is treated alike: neighbouring columns become channels, [1, k H, W / g, g C]
    along columns    every row is treated alike: rows become images of a batch, [H, 1, k W, C]
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from u3p_edge.conversion.tflite.layout_ops import ADDRESS, TABLE_FROM, crop, reshape_to
from u3p_edge.conversion.tflite.pieces import VALID, Call, LoweringContext, joined, make_constant, quantized
from u3p_edge.conversion.tflite.schema import Tensor
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.reference import run

KERNEL = 13
"""Bytes that XNNPACK keeps, in every operator, for a channel of nine taps and its bias."""

_FIRST, _INNER, _LAST = range(3)
_READ = (slice(0, 2), slice(0, 3), slice(1, 3))
"""Of three neighbouring positions, those that the first, an inner and the last position depend on."""


@dataclass(frozen=True)
class _Sum:
    """One node while it is lowered.

    Args:
        at: the graph that contains it.
        view: the map that its convolutions read, [1, k H, W, C] or [1, H, k W, C].
        axis: 1 or 2.
        taps: k.
        weights: [phase, part, map, position], in units of `unit`; the parts are the first, the inner and the last positions.
        cut: whether the first and the last position are left out.
        out: the map that it computes.
        fused: the activation after it.
    """

    context: LoweringContext
    view: Tensor
    axis: int
    taps: int
    weights: npt.NDArray[np.int64]
    unit: np.float32
    cut: tuple[bool, bool]
    out: Tensor
    fused: int


def lower_interpolated_sum(context: LoweringContext, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
    """Lower a fused interpolated sum as described at the top of the module."""
    source, taps, axis = context.map(context.source(node)), node.attrs["taps"], node.attrs["axis"]
    unit, weights = np.float32(1 / (2 * node.attrs["factor"])), _weights(node)

    def lower(shape: Sequence[int]) -> tuple[Call, ...]:
        view = replace(source, name=f"{out.name}/view", shape=tuple(shape))
        one = _Sum(context, view, axis, taps, weights, unit, node.attrs["cut"], out, fused)
        return reshape_to(source.name, view), *_phases(one)

    shape = [*source.shape]
    shape[axis] *= taps
    shape[axis + 1] //= taps
    calls = lower(shape)
    if not context.layouts or _table(calls) < TABLE_FROM:
        return calls
    _, height, width, channels = shape
    if axis == 2:
        return lower((height, 1, width, channels))
    columns = _fewest_bytes(calls, width, channels)
    return lower((1, height, width // columns, channels * columns))


def _table(calls: Sequence[Call]) -> int:
    """Return the bytes of the address tables of all convolutions."""
    pairs = ((call.inputs[1], call.output.shape) for call in calls if call.code == "DEPTHWISE_CONV_2D")
    taps = ((math.prod(kernel.shape[1:3]), shape) for kernel, shape in pairs if isinstance(kernel, Tensor))
    return sum(ADDRESS * count * math.prod(shape[1:3]) for count, shape in taps)


def _fewest_bytes(calls: Sequence[Call], width: int, channels: int) -> int:
    """Return how many columns to treat as channels, so that tables and kernels together are smallest."""
    table = _table(calls)
    kernels = KERNEL * channels * sum(call.code == "DEPTHWISE_CONV_2D" for call in calls)
    return min((n for n in range(1, width + 1) if width % n == 0), key=lambda n: table / n + kernels * n)


def _weights(node: Node) -> npt.NDArray[np.int64]:
    """Read the weights off the node itself: its result for maps of three positions that are zero except for a single one."""
    taps, factor = node.attrs["taps"], node.attrs["factor"]
    ones = Node("ones", "input", (), {"shape": (None, 3, taps, 3 * taps)})
    alone = Node("sum", node.op, ("ones",), {**node.attrs, "axis": 1, "cut": (False, False)})
    feeds = {"ones": np.swapaxes(np.eye(3 * taps).reshape(1, taps, 3, 3 * taps), 1, 2)}
    sums = run(Graph((ones, alone), ("ones",), ("sum",)), feeds, dtype=np.float64)["sum"]
    counts = np.rint(2 * factor * sums).astype(np.int64)
    return np.swapaxes(counts.reshape(3, factor, taps, 3), 0, 1)


def _phases(one: _Sum) -> Iterator[Call]:
    """Yield the calls for all phases, which end up side by side: in the columns for rows, in the channels for columns."""
    clamping = [_only_clamps(weights) for weights in one.weights]
    wide: Tensor | None = None
    if sum(clamping) > 1 and not all(one.cut):
        calls = list(_clamped(one))
        yield from calls
        wide = calls[-1].output
    phases = []
    for phase, weights in enumerate(one.weights):
        name = f"{one.out.name}/phase{phase}"
        calls = [_convolve(one, name, wide, weights[_INNER])] if wide and clamping[phase] else [*_phase(one, name, weights)]
        yield from calls
        phases.append(calls[-1].output)
    together = _joined(phases, 1 + one.axis, f"{one.out.name}/phases")
    yield from together
    yield reshape_to(together[-1].output.name, one.out)


def _only_clamps(weights: npt.NDArray[np.int64]) -> bool:
    """Whether a phase's first and last position are like the inner ones, with the outermost values repeated beyond the ends."""
    first, inner, last = weights
    before, part_name, behind = inner.T
    ends = ((first, (before + part_name, behind, 0 * part_name)), (last, (0 * part_name, before, part_name + behind)))
    return all(np.array_equal(end, np.transpose(clamped)) for end, clamped in ends)


def _clamped(one: _Sum) -> Iterator[Call]:
    """Yield the calls that repeat the first and the last position of the view, where these are not left out."""
    parts, size = [one.view], one.view.shape[one.axis]
    for name, start, cut in (("first", 0, one.cut[0]), ("last", size - one.taps, one.cut[1])):
        if not cut:
            end = _part(one, f"{one.out.name}/{name}", one.taps)
            yield _cut(one, end, start)
            parts = [end, *parts] if name == "first" else [*parts, end]
    yield from _joined(parts, one.axis, f"{one.out.name}/clamped")


def _phase(one: _Sum, name: str, weights: npt.NDArray[np.int64]) -> Iterator[Call]:
    """Yield the calls that compute one phase of every position, with separate convolutions for the first and the last."""
    size = one.view.shape[one.axis]
    first, last = one.cut
    spans = [] if first else [(_FIRST, 0, 2 * one.taps)]
    spans += [(_INNER, 0, size)] if size > 2 * one.taps else []
    spans += [] if last else [(_LAST, size - 2 * one.taps, size)]
    parts: list[Tensor] = []
    for part, start, end in spans:
        part_name = f"{name}_{part}" if len(spans) > 1 else name
        source = one.view
        if end - start < size:
            source = _part(one, f"{part_name}/read", end - start)
            yield _cut(one, source, start)
        call = _convolve(one, part_name, source, weights[part][:, _READ[part]])
        yield call
        parts.append(call.output)
    if len(parts) > 1:
        yield from _joined(parts, one.axis, name)


def _part(one: _Sum, name: str, size: int) -> Tensor:
    """Return a stretch of the view along the axis."""
    shape = [*one.view.shape]
    shape[one.axis] = size
    return replace(one.view, name=name, shape=tuple(shape))


def _cut(one: _Sum, part: Tensor, start: int) -> Call:
    """Return the call that cuts a stretch out of the view, starting at `begin`."""
    return crop(one.view.name, part, *((start, 0) if one.axis == 1 else (0, start)))


def _convolve(one: _Sum, name: str, source: Tensor, weights: npt.NDArray[np.int64]) -> Call:
    """Return a convolution along the axis, with weights [map, position]."""
    kernel = weights.T.reshape((-1, 1) if one.axis == 1 else (1, -1))
    given = [*source.shape]
    given[one.axis] = (given[one.axis] - kernel.size) // one.taps + 1
    steps = (one.taps, 1) if one.axis == 1 else (1, one.taps)
    options = {
        "strideH": steps[0], "strideW": steps[1], "dilationHFactor": 1, "dilationWFactor": 1, "padding": VALID,
        "depthMultiplier": 1, "fusedActivationFunction": one.fused,
    }  # fmt: skip
    constants = _constants(one, f"{name}/kernel", kernel)
    return Call("DEPTHWISE_CONV_2D", (source.name, *constants), replace(one.out, name=name, shape=tuple(given)), options)


def _constants(one: _Sum, name: str, kernel: npt.NDArray[np.int64]) -> Sequence[Tensor]:
    """Return the kernel [1, rows, columns, C], with the same weights for every channel, and a bias of zeros."""
    channels = one.view.shape[3]
    whole = np.repeat(kernel[None, :, :, None], channels, axis=3)
    if one.context.scheme is None:
        return make_constant(name, whole.astype(np.float32) * one.unit), make_constant(
            f"{name}_bias", np.zeros(channels, np.float32)
        )
    scale = np.asarray([one.unit])  # one for all channels: one for each would be most of the kernel's bytes
    return (
        quantized(name, whole.astype(np.int8), scale, 0),
        quantized(f"{name}_bias", np.zeros(channels, np.int32), one.view.scale * scale, 0),
    )


def _joined(parts: Sequence[Tensor], axis: int, name: str) -> tuple[Call, ...]:
    """Concatenate the parts along an axis; the last call computes the joined map."""
    shape = [*parts[0].shape]
    shape[axis] = sum(part.shape[axis] for part in parts)
    return joined([(part.name, part.shape) for part in parts], replace(parts[0], name=name, shape=tuple(shape)), axis)
