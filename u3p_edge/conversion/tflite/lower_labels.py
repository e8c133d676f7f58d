"""The last operators of a file that gives labels: from logits to one class a pixel, uint8 [1, H, W].

several classes    ARG_MAX over the channels, the first of equal ones; it takes a quarter of a softmax's time
one, in integers   ADD of a constant, which is rounded to 0 or 1 and clamped there; XNNPACK computes it, as it does a sigmoid
one, in float      GREATER_EQUAL zero
"""

from __future__ import annotations

import numpy as np

from u3p_edge.conversion.tflite.layout_ops import reshape_to
from u3p_edge.conversion.tflite.pieces import RELU6, Call, integers, make_constant
from u3p_edge.conversion.tflite.schema import Tensor

_INT32 = 2  # schema.TensorType
_NO_SCALE, _NO_ZERO = np.zeros(0, np.float32), np.zeros(0, np.int64)
_ONE_STEP = np.ones(1, np.float32), np.zeros(1, np.int64)

_CEILING = 6.0
"""A ReLU6 clamps at 6, which is the integer 1 in steps of 6: the result is 0 or 1."""


def label_calls(logits: Tensor) -> tuple[Call, ...]:
    """Return the operators from logits [1, H, W, K] to labels uint8 [1, H, W], the output of the last of them."""
    shape = logits.shape[:3]
    # LiteRT's kernels take integers of one byte only with a scale: here each step is one class.
    labels = Tensor(f"{logits.name}/labels", shape, np.dtype(np.uint8), None, *_ONE_STEP, 0)
    if logits.shape[3] > 1:
        largest = _map(logits, "largest", shape, np.int32)
        axis = integers(f"{logits.name}/axis", len(shape))
        return (
            Call("ARG_MAX", (logits.name, axis), largest, {"outputType": _INT32}),
            Call("CAST", (largest.name,), labels),
        )
    signs = _signs(logits)
    flat = Tensor(f"{signs.output.name}/flat", shape, signs.output.dtype, None, signs.output.scale, signs.output.zero_point, 0)
    return signs, reshape_to(signs.output.name, flat), Call("CAST", (flat.name,), labels)


def _signs(logits: Tensor) -> Call:
    """Return the operator that gives 1 where a logit is 0 or more, else 0: [1, H, W, 1]."""
    if not logits.scale.size:
        zero = make_constant(f"{logits.name}/zero", np.zeros(1, np.float32))
        return Call("GREATER_EQUAL", (logits.name, zero), _map(logits, "signs", logits.shape, np.bool_))
    # Halfway between the logits 0 and -1 step, the sum is half of the ceiling: above it is rounded to 1, below to 0.
    middle = (_CEILING + logits.scale) / 2
    step = np.asarray(middle / 127, np.float32)
    constant = Tensor(
        f"{logits.name}/middle", (1, 1, 1, 1), np.dtype(np.int8), np.full((1, 1, 1, 1), 127, np.int8), step, _ONE_STEP[1], 0
    )
    out = Tensor(
        f"{logits.name}/signs", logits.shape, np.dtype(np.int8), None, np.asarray([_CEILING], np.float32), _ONE_STEP[1], 0
    )
    return Call("ADD", (logits.name, constant), out, {"fusedActivationFunction": RELU6})


def _map(logits: Tensor, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Tensor:
    return Tensor(f"{logits.name}/{name}", shape, np.dtype(dtype), None, _NO_SCALE, _NO_ZERO, 0)
