"""Activations that are separate nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from u3p_edge.graph.ops.functions import apply_function, softmax
from u3p_edge.graph.ops.op import REQUIRED, Array, Attrs, Layer, Op, Shape, Weights, own_names, same_shape


def _activation(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    return apply_function(attrs["function"], x[0])


def _relu(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    threshold, slope, most = attrs["threshold"], attrs["negative_slope"], attrs["max_value"]
    below = slope * (x[0] - threshold) if slope else np.zeros_like(x[0])
    above = x[0] if most is None else np.minimum(x[0], most)
    return np.where(x[0] > threshold, above, below).astype(x[0].dtype)  # at the threshold itself Keras gives 0


def _leaky(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    return np.where(x[0] > 0, x[0], attrs["alpha"] * x[0])


def _elu(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    return np.where(x[0] > 0, x[0], attrs["alpha"] * np.expm1(np.minimum(x[0], 0)))


def _prelu(_attrs: Attrs, weights: Weights, x: Sequence[Array]) -> Array:
    return np.where(x[0] > 0, x[0], weights["alpha"] * x[0])


def _prelu_sizes(config: Mapping[str, Any], given: Shape) -> Mapping[str, Shape]:
    shared = config.get("shared_axes") or ()
    return {"alpha": tuple(1 if axis in shared else size for axis, size in enumerate(given) if axis)}


_CLAMP: Attrs = {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}

OPS: tuple[Op, ...] = (
    Op(
        "activation", same_shape, _activation, attrs={"function": REQUIRED},
        layers=(Layer("Activation", {"function": "activation"}),),
        channelwise=True, pixelwise=True, keeps_zero=True,
    ),
    Op(
        "relu", same_shape, _relu, attrs=_CLAMP, layers=(Layer("ReLU", own_names(*_CLAMP)),),
        channelwise=True, pixelwise=True, keeps_zero=True,
    ),
    Op(
        "leaky_relu", same_shape, _leaky, attrs={"alpha": 0.3}, layers=(Layer("LeakyReLU", own_names("alpha")),),
        channelwise=True, pixelwise=True, keeps_zero=True,
    ),
    Op(
        "elu", same_shape, _elu, attrs={"alpha": 1.0}, layers=(Layer("ELU", own_names("alpha")),),
        channelwise=True, pixelwise=True, keeps_zero=True,
    ),
    Op(
        "prelu", same_shape, _prelu, weights=("alpha",), attrs={"shared_axes": None},
        layers=(Layer("PReLU", own_names("shared_axes"), own_names("alpha"), sizes=_prelu_sizes),),
        pixelwise=True, keeps_zero=True,
    ),
    Op(
        "softmax", same_shape, lambda attrs, _weights, x: softmax(x[0], attrs["axis"]), attrs={"axis": -1},
        layers=(Layer("Softmax", own_names("axis")),), pixelwise=True,
    ),
)  # fmt: skip
