"""Transposed convolutions: all pixels that the kernel reaches, and then what the file leaves out is cropped.

ConvTranspose   (n - 1) s + span + output padding - border
`valid` here    n s + max(span - s, 0)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.importing.onnx.call import ONNXOperator
from u3p_edge.importing.onnx.operators.operator import OperatorReader
from u3p_edge.importing.onnx.tensors import LARGEST_KERNEL, FileTensor


def _transposed_convolution(call: ONNXOperator) -> FileTensor:
    """Read a ConvTranspose. Its kernel [I, O, h, w] becomes [h, w, I, O]."""
    x, kernel = call.image(), call.weight(1, 4).transpose(2, 3, 0, 1)
    strides, dilation = call.pair("strides"), call.pair("dilations")
    if int(call.attrs.get("group", 1)) != 1:
        raise ModelError("it is grouped", mend="Export it with one group, or upsample by Resize.")
    if max(strides) > 1 and max(dilation) > 1:
        raise ModelError("it has both strides and dilation", mend="Export it with one of them.")
    cropping = []
    for axis, stride, step in zip((0, 1), strides, dilation, strict=True):
        size, taps = x.shape[1 + axis], kernel.shape[axis]
        before, length = _kept(call, axis, size, (taps - 1) * step + 1, stride)
        beyond = before + length - size * stride
        # Pixels that no tap reaches are reached by a kernel with more taps, which are zero.
        more = max(1 - (-(beyond + stride - 1) // step) - taps, 0) if beyond > 0 else 0
        if more * kernel.size > LARGEST_KERNEL:
            raise ModelError("its output padding is too large")
        kernel = np.pad(kernel, [(0, more if i == axis else 0) for i in range(4)])
        whole = size * stride + max((taps + more - 1) * step + 1 - stride, 0)
        cropping.append((before, whole - before - length))
    weights = {"kernel": kernel, **({"bias": call.weight(2, 1)} if call.has(2) else {})}
    attrs = {"strides": strides, "dilation": dilation}
    if not np.any(cropping):
        return call.node("conv_transpose", x, attrs=attrs, weights=weights)
    whole_map = call.node("conv_transpose", x, attrs=attrs, weights=weights, part="whole")
    return call.node("crop", whole_map, attrs={"cropping": tuple(cropping)})


def _kept(call: ONNXOperator, axis: int, size: int, span: int, stride: int) -> tuple[int, int]:
    """Return the first pixel that the file keeps along an axis, and how many it keeps."""
    extra = (call.integers("output_padding") or (0, 0))[axis]
    reach = (size - 1) * stride + span + extra
    kind, wanted = call.attrs.get("auto_pad", "NOTSET"), call.integers("output_shape")
    if wanted is not None or kind in ("SAME_UPPER", "SAME_LOWER"):
        length = size * stride if wanted is None else wanted[-2:][axis]
        border = max(reach - length, 0)
        before = border // 2 if kind != "SAME_LOWER" else border - border // 2
        return before, length
    pads = (kind == "NOTSET" and call.integers("pads")) or (0, 0, 0, 0)
    if min(*pads, extra) < 0:
        raise ValueError("a border cannot be negative")
    return pads[axis], reach - pads[axis] - pads[axis + 2]


OPERATORS: Mapping[str, OperatorReader] = MappingProxyType({"ConvTranspose": _transposed_convolution})
