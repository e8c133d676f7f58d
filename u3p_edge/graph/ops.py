"""The ops that a graph is made of, each with its inputs, attributes, weights and shape.

Tensors are NHWC, convolution kernels are HWIO (output channels always last; a depthwise kernel is [kh, kw, in, multiplier]).
Shapes have the batch axis first, so that an axis attribute means what it means in Keras. The batch is 1 unless an input fixes
it. Convolutions and dense layers have a fused `activation`, "linear" for none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]
Attrs = Mapping[str, Any]
Weights = Mapping[str, npt.NDArray[Any]]
ShapeRule = Callable[[Attrs, Weights, tuple[Shape, ...]], Shape]

REQUIRED = object()
"""Marks an attribute that has no default."""

FUNCTIONS = (
    "linear", "relu", "sigmoid", "hard_sigmoid", "softmax", "tanh", "elu", "selu", "gelu", "swish", "mish", "softplus",
    "softsign", "exponential",
)  # fmt: skip
"""The activations that are known by name."""


@dataclass(frozen=True)
class Op:
    """What a kind of node takes and gives.

    Args:
        shape: from attributes, weights and the inputs' shapes to the output's shape; raises ValueError where they do not fit.
        arity: number of inputs; None for an op that merges any number of them.
        weights: names of the arrays it must carry.
        optional: names of the arrays it may carry.
        attrs: every attribute with its default, or REQUIRED.
    """

    shape: ShapeRule
    arity: int | None = 1
    weights: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    attrs: Attrs = field(default_factory=dict)


def _same(_attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    return inputs[0]


def _input(attrs: Attrs, _weights: Weights, _inputs: tuple[Shape, ...]) -> Shape:
    batch, *rest = attrs["shape"]
    if any(size is None for size in rest):
        raise ValueError(f"its size {tuple(rest)} is not fixed")
    return (batch or 1, *rest)


def _window(size: int, kernel: int, stride: int, padding: str, dilation: int = 1) -> int:
    """Return the output length of a sliding window over `size` elements."""
    span = (kernel - 1) * dilation + 1
    length = -(-size // stride) if padding == "same" else (size - span) // stride + 1
    if length < 1:
        raise ValueError(f"a window of {span} does not fit into {size}")
    return length


def _windows(attrs: Attrs, shape: Shape, kernel: tuple[int, ...]) -> tuple[int, int]:
    strides, padding, dilation = attrs["strides"], attrs["padding"], attrs.get("dilation", (1, 1))
    height, width = (_window(shape[1 + i], kernel[i], strides[i], padding, dilation[i]) for i in (0, 1))
    return height, width


def _conv(attrs: Attrs, weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    kernel = weights["kernel"].shape
    if inputs[0][3] != kernel[2] * attrs["groups"]:
        raise ValueError(f"{inputs[0][3]} channels meet a kernel for {kernel[2] * attrs['groups']}")
    return (inputs[0][0], *_windows(attrs, inputs[0], kernel), kernel[3])


def _depthwise(attrs: Attrs, weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    kernel = weights["kernel"].shape
    if inputs[0][3] != kernel[2]:
        raise ValueError(f"{inputs[0][3]} channels meet a kernel for {kernel[2]}")
    return (inputs[0][0], *_windows(attrs, inputs[0], kernel), kernel[2] * kernel[3])


def _conv_transpose(attrs: Attrs, weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, *size, channels = inputs[0]
    kernel = weights["kernel"].shape
    if channels != kernel[2]:
        raise ValueError(f"{channels} channels meet a kernel for {kernel[2]}")
    return (batch, *(_transposed(attrs, size[i], kernel[i], i) for i in (0, 1)), kernel[3])


def _transposed(attrs: Attrs, size: int, kernel: int, axis: int) -> int:
    """Return the length of a transposed convolution's output along one axis, as Keras counts it."""
    stride, extra = attrs["strides"][axis], attrs["output_padding"]
    span = (kernel - 1) * attrs["dilation"][axis] + 1
    if extra is not None:
        pad = span // 2 if attrs["padding"] == "same" else 0
        return int((size - 1) * stride + span - 2 * pad + extra[axis])
    return int(size * stride + (max(span - stride, 0) if attrs["padding"] == "valid" else 0))


def _dense(_attrs: Attrs, weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    if inputs[0][-1] != weights["kernel"].shape[0]:
        raise ValueError(f"{inputs[0][-1]} features meet a kernel for {weights['kernel'].shape[0]}")
    return (*inputs[0][:-1], weights["kernel"].shape[1])


def _pool(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    return (inputs[0][0], *_windows(attrs, inputs[0], attrs["pool_size"]), inputs[0][3])


def _global_pool(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, _, _, channels = inputs[0]
    return (batch, 1, 1, channels) if attrs["keepdims"] else (batch, channels)


def _upsample(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, height, width, channels = inputs[0]
    return (batch, height * attrs["size"][0], width * attrs["size"][1], channels)


def _interpolated_sum(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    axis, factor, taps, lost = attrs["axis"], attrs["factor"], attrs["taps"], sum(attrs["cut"])
    if axis not in (1, 2) or factor < 2 or taps % 2 == 0 or taps // 2 > (factor + 1) // 2:
        raise ValueError(f"{taps} taps along axis {axis}, upsampled by {factor}, reach beyond the neighbouring places")
    size = list(inputs[0])
    if size[axis + 1] % taps:
        raise ValueError(f"{size[axis + 1]} {('columns', 'channels')[axis - 1]} are not {taps} maps side by side")
    if size[axis] < 2 + (lost == 2):
        raise ValueError(f"{size[axis]} places are too few to interpolate between")
    size[axis + 1] //= taps
    size[axis] = factor * (size[axis] - lost)
    return tuple(size)


def _concat(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    axis = attrs["axis"] % len(inputs[0])
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in inputs}
    if len(others) != 1:
        raise ValueError(f"shapes {', '.join(map(str, inputs))} cannot be joined along axis {axis}")
    return (*inputs[0][:axis], sum(shape[axis] for shape in inputs), *inputs[0][axis + 1 :])


def _merge(_attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    # Keras aligns inputs of lower rank by adding axes after the batch.
    rank = max(map(len, inputs))
    return tuple(np.broadcast_shapes(*((s[0], *(1,) * (rank - len(s)), *s[1:]) for s in inputs)))


def _crop(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, height, width, channels = inputs[0]
    (top, bottom), (left, right) = attrs["cropping"]
    first, last = attrs["channels"] or (0, channels)
    if top + bottom >= height or left + right >= width:
        raise ValueError(f"cropping {attrs['cropping']} leaves nothing of {height}x{width}")
    if not 0 <= first < last <= channels:
        raise ValueError(f"there are no channels {first} to {last} of {channels}")
    return (batch, height - top - bottom, width - left - right, last - first)


def _pad(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, height, width, channels = inputs[0]
    (top, bottom), (left, right) = attrs["padding"]
    return (batch, height + top + bottom, width + left + right, channels)


def _space_to_depth(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, height, width, channels = inputs[0]
    block = attrs["block"]
    if height % block or width % block:
        raise ValueError(f"{height}x{width} is not made of blocks of {block}x{block}")
    return (batch, height // block, width // block, block * block * channels)


def _depth_to_space(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, height, width, channels = inputs[0]
    block = attrs["block"]
    if channels % (block * block):
        raise ValueError(f"{channels} channels do not make blocks of {block}x{block}")
    return (batch, height * block, width * block, channels // (block * block))


def _reshape(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, *size = inputs[0]
    target, total = tuple(attrs["target_shape"]), math.prod(size)
    known = math.prod(n for n in target if n != -1)
    full = tuple(total // known if n == -1 else n for n in target)
    if math.prod(full) != total:
        raise ValueError(f"{tuple(size)} cannot become {target}")
    return (batch, *full)


def _flatten(_attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    return (inputs[0][0], math.prod(inputs[0][1:]))


_STEPS: Attrs = {"strides": (1, 1), "padding": "valid", "dilation": (1, 1), "activation": "linear"}
_POOLING: Attrs = {"pool_size": (2, 2), "strides": (2, 2), "padding": "valid"}
_NOISE = Op(_same, attrs={"rate": 0.5})
_MERGE = Op(_merge, arity=None)

OPS: Mapping[str, Op] = MappingProxyType(
    {
        "input": Op(_input, arity=0, attrs={"shape": REQUIRED, "dtype": "float32"}),
        "conv": Op(_conv, weights=("kernel",), optional=("bias",), attrs={**_STEPS, "groups": 1}),
        "conv_transpose": Op(
            _conv_transpose, weights=("kernel",), optional=("bias",), attrs={**_STEPS, "output_padding": None}
        ),
        "depthwise_conv": Op(_depthwise, weights=("kernel",), optional=("bias",), attrs=_STEPS),
        "dense": Op(_dense, weights=("kernel",), optional=("bias",), attrs={"activation": "linear"}),
        "batch_norm": Op(
            _same, weights=("mean", "variance"), optional=("gamma", "beta"), attrs={"axis": (-1,), "epsilon": 1e-3}
        ),
        "layer_norm": Op(_same, optional=("gamma", "beta"), attrs={"axis": (-1,), "epsilon": 1e-3}),
        "activation": Op(_same, attrs={"function": REQUIRED}),
        "relu": Op(_same, attrs={"max_value": None, "negative_slope": 0.0, "threshold": 0.0}),
        "leaky_relu": Op(_same, attrs={"alpha": 0.3}),
        "elu": Op(_same, attrs={"alpha": 1.0}),
        "prelu": Op(_same, weights=("alpha",), attrs={"shared_axes": None}),
        "softmax": Op(_same, attrs={"axis": -1}),
        "max_pool": Op(_pool, attrs=_POOLING),
        "average_pool": Op(_pool, attrs=_POOLING),
        "global_max_pool": Op(_global_pool, attrs={"keepdims": False}),
        "global_average_pool": Op(_global_pool, attrs={"keepdims": False}),
        "upsample": Op(_upsample, attrs={"size": (2, 2), "interpolation": "nearest"}),
        "interpolated_sum": Op(
            _interpolated_sum,
            attrs={"axis": REQUIRED, "factor": 2, "taps": 3, "interpolation": "bilinear", "cut": (False, False)},
        ),
        "concat": Op(_concat, arity=None, attrs={"axis": -1}),
        "add": _MERGE,
        "subtract": Op(_merge, arity=2),
        "multiply": _MERGE,
        "maximum": _MERGE,
        "minimum": _MERGE,
        "average": _MERGE,
        "crop": Op(_crop, attrs={"cropping": REQUIRED, "channels": None}),
        "pad": Op(_pad, attrs={"padding": REQUIRED}),
        "space_to_depth": Op(_space_to_depth, attrs={"block": 2}),
        "depth_to_space": Op(_depth_to_space, attrs={"block": 2}),
        "reshape": Op(_reshape, attrs={"target_shape": REQUIRED}),
        "flatten": Op(_flatten),
        "rescale": Op(_same, attrs={"scale": 1.0, "offset": 0.0}),
        "identity": Op(_same),
        "dropout": _NOISE,
        "spatial_dropout": _NOISE,
        "alpha_dropout": _NOISE,
        "gaussian_dropout": _NOISE,
        "gaussian_noise": Op(_same, attrs={"stddev": 0.1}),
    }
)
"""Every op that a node can have."""

TRAINING_ONLY = frozenset(("identity", "dropout", "spatial_dropout", "alpha_dropout", "gaussian_dropout", "gaussian_noise"))
"""Ops that give back their input at inference."""

SAME_SCALE = frozenset(
    ("max_pool", "average_pool", "global_max_pool", "upsample", "reshape", "crop", "pad", "space_to_depth", "depth_to_space")
)
"""Ops whose integer kernels need their output in their input's scale. Padding fills with the integer that represents zero,
so every range has to include zero."""
