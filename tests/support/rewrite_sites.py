"""Small graphs that the rules are tried on."""

from __future__ import annotations

from typing import Any

import numpy as np

from u3p_edge.graph.ir import Graph, Node

Array = np.ndarray[Any, np.dtype[np.float32]]


def drawn(seed: int, *shape: int) -> Array:
    """Numbers of the size that activations and scaled kernels have."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def image(height: int, width: int, channels: int, name: str = "x") -> Node:
    """An input node [1, height, width, channels]."""
    return Node(name, "input", (), {"shape": (None, height, width, channels)})


def conv(name: str, source: str, kernel: Array, *, bias: bool = True, **attrs: Any) -> Node:
    """A `same` convolution; its bias, if any, is drawn."""
    weights = {"kernel": kernel, **({"bias": drawn(7, kernel.shape[-1])} if bias else {})}
    return Node(name, "conv", (source,), {"padding": "same", **attrs}, weights)


def upsampled(
    size: tuple[int, int] = (4, 6),
    channels: int = 3,
    filters: int = 2,
    factor: tuple[int, int] = (2, 2),
    kernel: int = 3,
    *,
    bias: bool = True,
    activation: str = "relu",
    interpolation: str = "bilinear",
) -> Graph:
    """A convolution `y` over an upsampled map."""
    up = Node("up", "upsample", ("x",), {"size": factor, "interpolation": interpolation})
    weights = drawn(1, kernel, kernel, channels, filters) / np.float32(kernel * np.sqrt(channels))
    return Graph((image(*size, channels), up, conv("y", "up", weights, bias=bias, activation=activation)), ("x",), ("y",))


def plain(
    size: tuple[int, int] = (6, 8), channels: int = 3, filters: int = 2, *, kernel: int = 3, bias: bool = True, **attrs: Any
) -> Graph:
    """A convolution `y` over a map."""
    weights = drawn(2, kernel, kernel, channels, filters) / np.float32(kernel * np.sqrt(channels))
    return Graph((image(*size, channels), conv("y", "x", weights, bias=bias, **attrs)), ("x",), ("y",))


def joined(widths: tuple[int, ...] = (2, 3, 1), size: tuple[int, int] = (5, 6), activation: str = "relu") -> Graph:
    """A convolution `y` over a concatenation of maps `x0`, `x1`, ..."""
    names = tuple(f"x{i}" for i in range(len(widths)))
    inputs = [image(*size, width, name) for name, width in zip(names, widths, strict=True)]
    weights = drawn(3, 3, 3, sum(widths), 4) / np.float32(3 * np.sqrt(sum(widths)))
    parts = [Node("all", "concat", names), conv("y", "all", weights, activation=activation)]
    return Graph((*inputs, *parts), names, ("y",))
