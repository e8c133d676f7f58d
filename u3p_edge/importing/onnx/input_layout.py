"""Find out whether a file's image is [N, C, H, W] or [N, H, W, C]: by what the first convolution takes for channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from onnx import helper

from u3p_edge.importing.onnx.tensors import NCHW, NHWC

_SECOND = frozenset(
    (
        *("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "GlobalAveragePool", "GlobalMaxPool"),
        *("GroupNormalization", "InstanceNormalization", "MaxPool", "PRelu", "SpaceToDepth"),
    )
)
"""Operators whose channels are the second axis."""
_LAST = frozenset(("MatMul", "LayerNormalization"))
_FEW = 4
_OTHERWISE = frozenset(("Reshape", "Flatten", "Shape", "Squeeze", "Unsqueeze", "ReduceMean", "ReduceMax"))
"""Operators that say nothing of the layout and do not keep it."""


def find_layout(nodes: Iterable[Any], name: str, dims: Sequence[int | None]) -> tuple[int, ...]:
    """Return the graph's axis of every axis of an input of four axes.

    Args:
        nodes: the file's operators (onnx.NodeProto), in order.
        name: of the input.
        dims: its four sizes in the file. They decide where no operator does: an image has at most `_FEW` channels.
    """
    origins: dict[str, tuple[int, ...]] = {name: (0, 1, 2, 3)}
    for node in nodes:
        axes = next((origins[read] for read in node.input if read in origins), None)
        if axes is None or node.op_type in _OTHERWISE:
            continue
        if node.op_type in _SECOND or node.op_type in _LAST:
            return NHWC if axes[1 if node.op_type in _SECOND else 3] == 3 else NCHW
        if node.op_type == "Transpose":
            turned = next((helper.get_attribute_value(a) for a in node.attribute if a.name == "perm"), (3, 2, 1, 0))
            if sorted(turned) != [0, 1, 2, 3]:
                continue
            axes = tuple(axes[axis] for axis in turned)
        origins.update(dict.fromkeys(node.output, axes))
    return NHWC if (dims[3] or _FEW + 1) <= _FEW < (dims[1] or _FEW + 1) else NCHW
