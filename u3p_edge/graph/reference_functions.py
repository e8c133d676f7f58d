"""Activation functions by name, in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""The constants of SELU (Klambauer et al. 2017, arXiv:1706.02515)."""


def apply_function(name: str, x: Array) -> Array:
    """Apply an activation of `u3p_edge.graph.ops.FUNCTIONS`; the result has the argument's dtype."""
    return np.asarray(_FUNCTIONS[name](x), x.dtype)


def _sigmoid(x: Array) -> Array:
    # Each sign has its own formula, so that no power overflows.
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(x, 0))


def _gelu(x: Array) -> Array:
    from scipy.special import erf  # imported here, since a device that times layers has LiteRT and NumPy alone

    return np.asarray(0.5 * x * (1 + erf(x / np.sqrt(2))))


def _selu(x: Array) -> Array:
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


_FUNCTIONS: Mapping[str, Callable[[Array], Any]] = MappingProxyType(
    {
        "linear": lambda x: x,
        "relu": lambda x: np.maximum(x, 0),
        "sigmoid": _sigmoid,
        "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
        "softmax": _softmax,
        "tanh": np.tanh,
        "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        "selu": _selu,
        "gelu": _gelu,
        "swish": lambda x: x * _sigmoid(x),
        "mish": lambda x: x * np.tanh(_softplus(x)),
        "softplus": _softplus,
        "softsign": lambda x: x / (1 + np.abs(x)),
        "exponential": np.exp,
    }
)
