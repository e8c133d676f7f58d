"""Operators that move values: joined, cut, padded, reshaped; and those that change nothing at inference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.graph.ops import Shape
from u3p_edge.importing.onnx.call import ONNXOperator, same_order
from u3p_edge.importing.onnx.operators.operator import OperatorReader
from u3p_edge.importing.onnx.tensors import NCHW, FileTensor, with_order

_MAP, _GROUPED = 4, 3
Spans = dict[int, tuple[int, int]]
"""First index and one past the last, by axis of the file."""


def _same(call: ONNXOperator) -> FileTensor:
    if call.op == "Dropout" and call.has(2) and bool(np.any(call.constant(2))):
        raise ModelError("it is in training mode", mend="Export the model for inference (model.eval() in PyTorch).")
    return call.tensor()


def _cast(call: ONNXOperator) -> FileTensor:
    if call.attrs.get("to") != 1:  # TensorProto.FLOAT
        raise ModelError("it casts a map to another type than float32", mend="Export the model in float32.")
    return call.tensor()


def _transpose(call: ONNXOperator) -> FileTensor:
    x = call.tensor()
    axes = call.integers("perm") or tuple(reversed(range(x.rank)))
    if sorted(axes) != list(range(x.rank)) or x.order[axes[0]] != 0:
        raise ModelError("it moves the axis of the batch")
    return with_order(x, tuple(x.order[axis] for axis in axes))


def _concat(call: ONNXOperator) -> FileTensor:
    tensors = same_order([call.tensor(index) for index in range(len(call.inputs))])
    if len(tensors) == 1:
        return tensors[0]
    axis = tensors[0].graph_axis(int(call.attrs["axis"]))
    return call.node("concat", *tensors, attrs={"axis": -1 if axis == tensors[0].rank - 1 else axis})


def _crop(call: ONNXOperator, x: FileTensor, spans: Spans, output: int = 0) -> FileTensor:
    """Return a part of a map."""
    kept = {x.order[axis]: span for axis, span in spans.items() if span != (0, x.file_shape[axis])}
    if not kept:
        return x
    if x.rank != _MAP or 0 in kept:
        raise ModelError("it cuts something else than rows, columns or channels of a map")
    ends = [(first, x.shape[axis] - last) for axis in (1, 2) for first, last in [kept.get(axis, (0, x.shape[axis]))]]
    return call.node("crop", x, attrs={"cropping": tuple(ends), "channels": kept.get(3)}, output=output)


def _slice(call: ONNXOperator) -> FileTensor:
    """Read a Slice (inputs: map, starts, ends, axes, steps)."""
    x = call.tensor()
    starts, ends = (tuple(int(n) for n in call.constant(i).ravel()) for i in (1, 2))
    axes = tuple(int(n) % x.rank for n in call.constant(3).ravel()) if call.has(3) else tuple(range(len(starts)))
    if call.has(4) and any(n != 1 for n in call.constant(4).ravel()):
        raise ModelError("it takes only every so many-th pixel", mend="Use a pooling or a convolution with strides.")
    spans: Spans = {}
    for axis, start, end in zip(axes, starts, ends, strict=True):
        first, last, _ = slice(start, end).indices(x.file_shape[axis])
        spans[axis] = (first, last)
    return _crop(call, x, spans)


def _split(call: ONNXOperator) -> tuple[FileTensor, ...]:
    x, axis = call.tensor(), int(call.attrs.get("axis", 0))
    length, count = x.file_shape[axis], len(call.names)
    each = -(-length // count)
    sizes = call.integers("split", 1) or tuple(min(each, length - each * i) for i in range(count))
    edges = [sum(sizes[:i]) for i in range(count + 1)]
    if len(sizes) != count or min(sizes) < 1 or edges[-1] != length:
        raise ValueError(f"{length} cannot be split into {sizes}")
    return tuple(_crop(call, x, {axis % x.rank: (edges[i], edges[i + 1])}, i) for i in range(count))


def _pad(call: ONNXOperator) -> FileTensor:
    """Read a Pad (inputs: map, pads, value, axes); negative pads cut."""
    x, pads = call.tensor(), [int(n) for n in call.constant(1).ravel()]
    axes = [int(n) % x.rank for n in call.constant(3).ravel()] if call.has(3) else list(range(x.rank))
    if not any(pads):
        return x
    mode, value = call.attrs.get("mode", "constant"), call.constant(2).ravel().tolist() if call.has(2) else [0]
    if len(pads) != 2 * len(axes) or x.rank != _MAP:
        raise ValueError(f"{len(pads)} pads do not fit {len(axes)} axes")
    border = {x.order[axis]: (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)}
    if any(border.get(axis, (0, 0)) != (0, 0) for axis in (0, 3)):
        raise ModelError("it pads the batch or the channels")
    rows, columns = (border.get(axis, (0, 0)) for axis in (1, 2))
    cut = [(max(-a, 0), max(-b, 0)) for a, b in (rows, columns)]
    grown = [(max(a, 0), max(b, 0)) for a, b in (rows, columns)]
    if np.any(grown) and (mode != "constant" or any(value)):
        raise ModelError(
            f"it pads with something else than zeros ({mode})", mend="Use zeros, train the model so, and export it."
        )
    if np.any(cut):
        x = call.node("crop", x, attrs={"cropping": tuple(cut)}, part="cut" if np.any(grown) else "")
    return call.node("pad", x, attrs={"padding": tuple(grown)}) if np.any(grown) else x


def _depth_to_space(call: ONNXOperator) -> FileTensor:
    if call.attrs.get("mode", "DCR") != "DCR":
        raise ModelError("it is a PixelShuffle (mode CRD)", mend="Use ConvTranspose or Resize to upsample.")
    return call.node("depth_to_space", call.image(), attrs={"block": int(call.attrs["blocksize"])})


def _space_to_depth(call: ONNXOperator) -> FileTensor:
    return call.node("space_to_depth", call.image(), attrs={"block": int(call.attrs["blocksize"])})


def _reshape(call: ONNXOperator) -> FileTensor:
    x, target = call.tensor(), [int(n) for n in call.constant(1).ravel()]
    if not call.attrs.get("allowzero"):
        target = [x.file_shape[i] if n == 0 else n for i, n in enumerate(target)]
    known = math.prod(n for n in target if n != -1)
    shape = tuple(math.prod(x.shape) // known if n == -1 else n for n in target)
    if x.groups:
        return _ungroup(x, shape)
    return replace(x, groups=shape[1]) if _is_grouping(call, x, shape) else _reshaped(call, x, shape)


def _is_grouping(call: ONNXOperator, x: FileTensor, target: Shape) -> bool:
    """Return whether a reshape joins the channels of a map in groups for a normalisation, as PyTorch writes GroupNorm."""
    if x.order != NCHW or len(target) != _GROUPED or call.readers != ("InstanceNormalization",):
        return False
    return target[0] == x.shape[0] and x.shape[-1] % target[1] == 0 and math.prod(target) == math.prod(x.shape)


def _ungroup(x: FileTensor, target: Shape) -> FileTensor:
    whole = replace(x, groups=0)
    if target != whole.file_shape:
        raise ModelError(
            f"it reshapes normalised groups to {list(target)}, and their map was {list(whole.file_shape)}", mend=_RESHAPES
        )
    return whole


def _flatten(call: ONNXOperator) -> FileTensor:
    x, axis = call.tensor(), int(call.attrs.get("axis", 1))
    axis = axis + x.rank if axis < 0 else axis
    return _reshaped(call, x, (math.prod(x.file_shape[:axis]), math.prod(x.file_shape[axis:])))


def _squeeze(call: ONNXOperator) -> FileTensor:
    x = call.tensor()
    axes = call.integers("axes", 1) or tuple(i for i, n in enumerate(x.file_shape) if n == 1)
    left = {axis % x.rank for axis in axes}
    return _reshaped(call, x, tuple(n for i, n in enumerate(x.file_shape) if i not in left))


def _unsqueeze(call: ONNXOperator) -> FileTensor:
    x, axes = call.tensor(), call.integers("axes", 1) or ()
    rank = x.rank + len(axes)
    new, sizes = {axis % rank for axis in axes}, iter(x.file_shape)
    if len(new) != len(axes):
        raise ModelError(f"it adds an axis twice ({list(axes)})", mend="Export the model again.")
    return _reshaped(call, x, tuple(1 if i in new else next(sizes) for i in range(rank)))


def _reshaped(call: ONNXOperator, x: FileTensor, target: Shape) -> FileTensor:
    """Return a tensor of another shape in the file, if the graph's order of the values stays the same."""
    if target == x.file_shape:
        return x
    if math.prod(target) != math.prod(x.shape) or len(target) < 2 or target[0] != x.shape[0]:
        raise ModelError(f"it reshapes {list(x.file_shape)} to {list(target)}, and the batch must stay", mend=_RESHAPES)
    if len(target) == x.rank and [n for n in target if n > 1] == [n for n in x.file_shape if n > 1]:
        return _with_ones_moved(x, target)
    if x.order == NCHW and target == (*x.file_shape[:2], x.shape[1] * x.shape[2]):
        return call.node("reshape", x, attrs={"target_shape": (target[2], target[1])}, order=(0, 2, 1))
    if x.order == (0, 2, 1) and len(target) == _MAP and target[:2] == x.file_shape[:2]:
        return call.node("reshape", x, attrs={"target_shape": (*target[2:], target[1])}, order=NCHW)
    long = [axis for axis in x.order if x.shape[axis] > 1]
    if long != sorted(long):
        raise ModelError(f"it mixes the pixels and the channels of a map {list(x.file_shape)}", mend=_RESHAPES)
    if len(target) == _MAP and target[2:] == (1, 1):
        return call.node("reshape", x, attrs={"target_shape": (1, 1, target[1])}, order=NCHW)
    return call.node("reshape", x, attrs={"target_shape": target[1:]}, order=tuple(range(len(target))))


def _with_ones_moved(x: FileTensor, target: Shape) -> FileTensor:
    """Return a tensor whose axes of one, which have no order in memory, are elsewhere."""
    long = iter([axis for axis in x.order[1:] if x.shape[axis] > 1])
    ones = iter([axis for axis in range(1, x.rank) if x.shape[axis] == 1])
    return with_order(x, (0, *(next(long if n > 1 else ones) for n in target[1:])))


_RESHAPES = "A map may be flattened to [N, C, H * W] or back, and an axis of 1 added or left out."


def _expand(call: ONNXOperator) -> FileTensor:
    x, target = call.tensor(), tuple(int(n) for n in call.constant(1).ravel())
    if np.broadcast_shapes(x.file_shape, target) != x.file_shape:
        raise ModelError(f"it repeats a tensor {list(x.file_shape)}", mend="Leave it out: Mul and Add broadcast by themselves.")
    return x


OPERATORS: Mapping[str, OperatorReader] = MappingProxyType(
    {
        **dict.fromkeys(("Identity", "Dropout"), _same),
        "Cast": _cast,
        "Concat": _concat,
        "DepthToSpace": _depth_to_space,
        "Expand": _expand,
        "Flatten": _flatten,
        "Pad": _pad,
        "Reshape": _reshape,
        "Slice": _slice,
        "SpaceToDepth": _space_to_depth,
        "Split": _split,
        "Squeeze": _squeeze,
        "Transpose": _transpose,
        "Unsqueeze": _unsqueeze,
    }
)
