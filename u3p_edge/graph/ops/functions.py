"""The activation functions that are known by name: one record for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from u3p_edge.graph.ops.op import Array

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""The constants of SELU (Klambauer et al. 2017, arXiv:1706.02515)."""


@dataclass(frozen=True)
class Function:
    """An activation function.

    Args:
        compute: the function in NumPy.
        tflite: the TFLite operator that computes it, "" where no single one does; `options` are that operator's.
        onnx: the ONNX operator that computes it with its default attributes, likewise.
        channelwise: computes each channel from the same channel alone.
        keeps_zero: gives zero for zero.
        fixed: scale and zero point that integer kernels require for the result; None where they take any.
    """

    compute: Callable[[Array], Any]
    tflite: str = ""
    onnx: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    channelwise: bool = True
    keeps_zero: bool = False
    fixed: tuple[float, int] | None = None


def apply_function(name: str, x: Array) -> Array:
    """Apply the activation of that name; the result has the argument's dtype."""
    return np.asarray(FUNCTIONS[name].compute(x), x.dtype)


def softmax(x: Array, axis: int = -1) -> Array:
    """Return the softmax along an axis."""
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def _sigmoid(x: Array) -> Array:
    # Each sign has another formula, so that no power overflows.
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(x, 0))


def _gelu(x: Array) -> Array:
    from scipy.special import erf  # imported here, since a device that times layers has LiteRT and NumPy alone

    return np.asarray(0.5 * x * (1 + erf(x / np.sqrt(2))))


def _selu(x: Array) -> Array:
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


_PROBABILITY = (1 / 256, -128)

FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "linear": Function(lambda x: x, keeps_zero=True),
        "relu": Function(lambda x: np.maximum(x, 0), "RELU", "Relu", keeps_zero=True),
        "sigmoid": Function(_sigmoid, "LOGISTIC", "Sigmoid", fixed=_PROBABILITY),
        "hard_sigmoid": Function(lambda x: np.clip(0.2 * x + 0.5, 0, 1), onnx="HardSigmoid"),
        "softmax": Function(softmax, "SOFTMAX", "Softmax", {"beta": 1.0}, channelwise=False, fixed=_PROBABILITY),
        "tanh": Function(np.tanh, "TANH", "Tanh", keeps_zero=True, fixed=(1 / 128, 0)),
        "elu": Function(lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), "ELU", "Elu", keeps_zero=True),
        "selu": Function(_selu, onnx="Selu", keeps_zero=True),
        "gelu": Function(_gelu, "GELU", keeps_zero=True),
        "swish": Function(lambda x: x * _sigmoid(x), keeps_zero=True),
        "mish": Function(lambda x: x * np.tanh(_softplus(x)), keeps_zero=True),
        "softplus": Function(_softplus, onnx="Softplus"),
        "softsign": Function(lambda x: x / (1 + np.abs(x)), onnx="Softsign", keeps_zero=True),
        "exponential": Function(np.exp, "EXP", "Exp"),
    }
)
"""Every activation function that a node can have."""
