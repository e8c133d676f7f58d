"""Shapes of the outputs of operators that slide a window over a map (convolutions, poolings), and of dense layers.

Each function computes the shapes that one operator gives. Raises ModelError where inputs, constants or options do not fit.
"""

from __future__ import annotations

from math import prod

import numpy as np

from u3p_edge.files.tflite.call import OperatorCall, Shape

SAME = 0
_WEIGHTS = {
    ("float32", "float32", "float32"),
    ("float32", "float16", "float16"),
    ("float32", "float16", "float32"),
    ("float32", "int8", "float32"),  # only the weights are quantized
    ("int8", "int8", "int32"),
    ("uint8", "uint8", "int32"),
    ("int16", "int8", "int64"),
    ("int16", "int8", "int32"),
}
"""Element types of a layer's map, kernel and bias."""
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")


def slide(call: OperatorCall, size: int, window: int, letter: str) -> int:
    """Return the number of positions of a window along the height ("H") or width ("W")."""
    padding = call.option("padding")
    call.require(padding in (0, 1), f"its padding is {padding}")
    stride, dilation = call.positive(f"stride{letter}"), call.positive(f"dilation{letter}Factor", 1)
    reach = (window - 1) * dilation + 1
    count = -(-size // stride) if padding == SAME else (size - reach) // stride + 1
    call.require(count > 0, "its window is larger than what it reads")
    return count


def _check_weights(call: OperatorCall, channels: int, *, map_at: int = 0, bias_at: int = 2) -> None:
    """Check element types, and that the bias has one number for each channel."""
    bias = call.optional(bias_at)
    source, kernel = call.tensor(map_at).dtype.name, call.tensor(1).dtype.name
    known = {b for m, k, b in _WEIGHTS if (m, k) == (source, kernel)}
    call.require(
        bool(known) and (bias is None or bias.dtype.name in known) and call.outputs[0].dtype == call.tensor(map_at).dtype,
        f"it multiplies {source} by {kernel}",
    )
    call.require(bias is None or bias.shape == (channels,) or prod(bias.shape) == channels, "its bias has another size")


def conv_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Convolve [N, H, W, C] with [O, KH, KW, C / groups]."""
    (batch, height, width, channels), (out, rows, columns, inside) = call.shape(0, 4), call.shape(1, 4)
    call.require(inside > 0 and channels % inside == 0 and out % (channels // inside) == 0, "its kernel does not fit its map")
    _check_weights(call, out)
    return ((batch, slide(call, height, rows, "H"), slide(call, width, columns, "W"), out),)


def depthwise_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Convolve each channel of [N, H, W, C] with [1, KH, KW, C * multiplier]."""
    (batch, height, width, channels), (one, rows, columns, out) = call.shape(0, 4), call.shape(1, 4)
    call.require(one == 1 and channels > 0 and out % channels == 0, "its kernel does not fit its map")
    call.require(call.option("depthMultiplier") in (0, out // channels), "its multiplier is another than its kernel's")
    _check_weights(call, out)
    return ((batch, slide(call, height, rows, "H"), slide(call, width, columns, "W"), out),)


def conv_transpose_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Give the constant shape [N, H, W, O], from which a convolution would give the map."""
    after, (out, rows, columns, inside) = call.integers(0, 4), call.shape(1, 4)
    batch, height, width, channels = call.shape(2, 4)
    sizes = (slide(call, after[1], rows, "H"), slide(call, after[2], columns, "W"))
    fits = (sizes, after[0], after[3], inside) == ((height, width), batch, out, channels)
    call.require(fits, "its output does not fit its map and its kernel")
    _check_weights(call, out, map_at=2, bias_at=3)
    return (after,)


def dense_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Multiply [..., I] by [O, I]; the input is flattened to [N, I] first unless its dimensions are kept."""
    shape, (out, inside) = call.shape(0), call.shape(1, 2)
    call.require(inside > 0 and prod(shape) % inside == 0 and call.option("weightsFormat") == 0, "its weights do not fit")
    _check_weights(call, out)
    if call.option("keepNumDims"):
        call.require(bool(shape) and shape[-1] == inside, "its weights do not fit")
        return ((*shape[:-1], out),)
    return ((prod(shape) // inside, out),)


def pool_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Pool [N, H, W, C] to [N, H', W', C]."""
    batch, height, width, channels = call.shape(0, 4)
    rows, columns = call.positive("filterHeight"), call.positive("filterWidth")
    return ((batch, slide(call, height, rows, "H"), slide(call, width, columns, "W"), channels),)


def matmul_shapes(call: OperatorCall) -> tuple[Shape, ...]:
    """Multiply [..., M, K] by [..., K, N]; either may be transposed."""
    left, right = call.shape(0), call.shape(1)
    call.require(min(len(left), len(right)) >= 2 and max(len(left), len(right)) <= 5, "it multiplies other than matrices")
    rows, inner = left[-2:][::-1] if call.option("adjX") else left[-2:]
    again, columns = right[-2:][::-1] if call.option("adjY") else right[-2:]
    call.require(inner == again, "its matrices do not fit each other")
    return ((*np.broadcast_shapes(left[:-2], right[:-2]), rows, columns),)


def count_pointers(call: OperatorCall) -> int:
    """Return the bytes that XNNPACK keeps for a loaded file: a pointer for each pixel of the window, at each position."""
    code = call.op.code
    if code.endswith("POOL_2D"):
        return 8 * prod(call.outputs[0].shape[1:3]) * call.positive("filterHeight") * call.positive("filterWidth")
    if code.startswith("RESIZE"):  # four pointers and two weights for each pixel
        return 40 * prod(call.outputs[0].shape[1:3])
    return 8 * _pixels(call) * prod(call.tensor(1).shape[1:3]) if code in _CONVOLUTIONS else 0


def count_copies(call: OperatorCall) -> int:
    """Return the bytes of a copy of every window, which TFLite's convolution makes where XNNPACK's cannot run."""
    if call.op.code not in _CONVOLUTIONS or call.op.code == "DEPTHWISE_CONV_2D":
        return 0
    kernel, source = call.tensor(1), call.tensor(2 if call.op.code == "TRANSPOSE_CONV" else 0)
    if kernel.data is not None and kernel.dtype == source.dtype and source.dtype in (np.float32, np.int8):
        return 0
    channels = kernel.shape[0] if call.op.code == "TRANSPOSE_CONV" else kernel.shape[3]
    return _pixels(call) * prod(kernel.shape[1:3]) * channels * source.dtype.itemsize


def _pixels(call: OperatorCall) -> int:
    """Return the pixels of the larger of the two maps."""
    source = call.tensor(2 if call.op.code == "TRANSPOSE_CONV" else 0)
    return max(prod(source.shape[1:3]), prod(call.outputs[0].shape[1:3]))
