"""Compute a graph in NumPy: the reference with which rewrites are compared. No TensorFlow, and not made for speed.

Every element of a result is computed by the same operations in the same order, whatever its position. Convolutions add tap by
tap and channel by channel, element by element. They use no matrix product, because its order of summation depends on its size.
So a map that is computed in tiles of rows has, bit for bit, the rows of the whole map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node, subgraph
from u3p_edge.graph.reference_functions import apply_function
from u3p_edge.graph.reference_windows import conv, conv_transpose, depthwise_conv, interpolated_sum, pool, upsample

Array = npt.NDArray[Any]
Op = Callable[[Node, Sequence[Array]], Array]


def run(
    graph: Graph, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None, *, dtype: npt.DTypeLike = np.float32
) -> dict[str, Array]:
    """Return the values of a graph's nodes at inference.

    Args:
        graph: a graph with float weights.
        feeds: an array [N, ...] for every input that the wanted nodes need.
        outputs: names of the nodes that are wanted; None for the graph's outputs.
        dtype: dtype of all arithmetic and of the results, float32 or float64.

    Raises:
        ModelError: an op is not known here (the message names it), an input is missing, or a wanted node is not in the graph.
    """
    wanted = tuple(graph.outputs if outputs is None else outputs)
    unknown = [name for name in wanted if name not in graph]
    if unknown:
        raise ModelError(f"the graph has no node {unknown[0]!r}")
    values: dict[str, Array] = {}
    for node in subgraph(graph, wanted).nodes:
        if node.op == "input":
            if node.name not in feeds:
                raise ModelError(f"no value was given for the input {node.name!r}")
            values[node.name] = np.asarray(feeds[node.name], dtype)
            continue
        operation = OPERATIONS.get(node.op)
        if operation is None:
            raise ModelError(f"the reference does not know the op {node.op} (node {node.name!r})")
        typed = Node(node.name, node.op, node.inputs, node.attrs, {k: v.astype(dtype) for k, v in node.weights.items()})
        values[node.name] = np.asarray(operation(typed, [values[name] for name in node.inputs]), dtype)
    return {name: values[name] for name in wanted}


def _dense(node: Node, x: Sequence[Array]) -> Array:
    kernel = node.weights["kernel"]
    total = np.zeros((*x[0].shape[:-1], kernel.shape[1]), x[0].dtype)
    for channel in range(kernel.shape[0]):
        total = total + x[0][..., channel, None] * kernel[channel]
    return apply_function(node.attrs["activation"], total + node.weights.get("bias", 0))


def _norm_axes(node: Node, rank: int) -> tuple[int, ...]:
    axis = node.attrs["axis"]
    return tuple(a % rank for a in (axis if isinstance(axis, tuple) else (axis,)))


def _along(array: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """Return a weight of the normalised axes, reshaped so that it broadcasts; plain numbers are returned unchanged."""
    if np.ndim(array) == 0:
        return array
    return np.reshape(array, [n if i in axes else 1 for i, n in enumerate(shape)])


def _batch_norm(node: Node, x: Sequence[Array]) -> Array:
    axes, shape = _norm_axes(node, x[0].ndim), x[0].shape
    parts = {key: _along(value, axes, shape) for key, value in node.weights.items()}
    scale = parts.get("gamma", 1) / np.sqrt(parts["variance"] + np.asarray(node.attrs["epsilon"], x[0].dtype))
    return np.asarray((x[0] - parts["mean"]) * scale + parts.get("beta", 0))


def _layer_norm(node: Node, x: Sequence[Array]) -> Array:
    axes = _norm_axes(node, x[0].ndim)
    mean = x[0].mean(axis=axes, keepdims=True)
    variance = np.square(x[0] - mean).mean(axis=axes, keepdims=True)
    normal = (x[0] - mean) / np.sqrt(variance + np.asarray(node.attrs["epsilon"], x[0].dtype))
    parts = {key: _along(value, axes, x[0].shape) for key, value in node.weights.items()}
    return np.asarray(normal * parts.get("gamma", 1) + parts.get("beta", 0))


def _relu(node: Node, x: Sequence[Array]) -> Array:
    threshold, slope, most = node.attrs["threshold"], node.attrs["negative_slope"], node.attrs["max_value"]
    below = slope * (x[0] - threshold) if slope else np.zeros_like(x[0])
    above = x[0] if most is None else np.minimum(x[0], most)
    return np.where(x[0] > threshold, above, below).astype(x[0].dtype)  # at the threshold itself Keras gives 0


def _prelu(node: Node, x: Sequence[Array]) -> Array:
    return np.where(x[0] > 0, x[0], node.weights["alpha"] * x[0])


def _softmax(node: Node, x: Sequence[Array]) -> Array:
    powers = np.exp(x[0] - x[0].max(axis=node.attrs["axis"], keepdims=True))
    return np.asarray(powers / powers.sum(axis=node.attrs["axis"], keepdims=True))


def _global(function: Callable[..., Any]) -> Op:
    def apply(node: Node, x: Sequence[Array]) -> Array:
        return np.asarray(function(x[0], axis=(1, 2), keepdims=node.attrs["keepdims"]))

    return apply


def _merged(function: Callable[[Array, Array], Array]) -> Op:
    """Return an op that merges its inputs from left to right; inputs of lower rank get axes after the batch, as in Keras."""

    def apply(_node: Node, x: Sequence[Array]) -> Array:
        rank = max(a.ndim for a in x)
        aligned = [a.reshape(a.shape[0], *(1,) * (rank - a.ndim), *a.shape[1:]) for a in x]
        total = aligned[0]
        for other in aligned[1:]:
            total = function(total, other)
        return total

    return apply


def _average(node: Node, x: Sequence[Array]) -> Array:
    return np.asarray(_merged(np.add)(node, x) / np.asarray(len(x), x[0].dtype))


def _crop(node: Node, x: Sequence[Array]) -> Array:
    (top, bottom), (left, right) = node.attrs["cropping"]
    height, width, channels = x[0].shape[1:]
    first, last = node.attrs["channels"] or (0, channels)
    return x[0][:, top : height - bottom, left : width - right, first:last]


def _pad(node: Node, x: Sequence[Array]) -> Array:
    return np.pad(x[0], ((0, 0), *node.attrs["padding"], (0, 0)))


def _space_to_depth(node: Node, x: Sequence[Array]) -> Array:
    """Turn the pixels of a block into channels, row after row: channel (r * block + c) * C + k is channel k at (r, c)."""
    block, (batch, height, width, channels) = node.attrs["block"], x[0].shape
    tiles = x[0].reshape(batch, height // block, block, width // block, block, channels)
    shape = (batch, height // block, width // block, block * block * channels)
    return np.asarray(tiles.transpose(0, 1, 3, 2, 4, 5).reshape(shape))


def _depth_to_space(node: Node, x: Sequence[Array]) -> Array:
    block, (batch, height, width, channels) = node.attrs["block"], x[0].shape
    tiles = x[0].reshape(batch, height, width, block, block, channels // (block * block))
    return np.asarray(tiles.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height * block, width * block, -1))


def _rescale(node: Node, x: Sequence[Array]) -> Array:
    scale, offset = (np.asarray(node.attrs[key], x[0].dtype) for key in ("scale", "offset"))
    return np.asarray(x[0] * scale + offset)


def _same(_node: Node, x: Sequence[Array]) -> Array:
    return x[0]


OPERATIONS: Mapping[str, Op] = MappingProxyType(
    {
        "conv": conv,
        "conv_transpose": conv_transpose,
        "depthwise_conv": depthwise_conv,
        "dense": _dense,
        "batch_norm": _batch_norm,
        "layer_norm": _layer_norm,
        "activation": lambda node, x: apply_function(node.attrs["function"], x[0]),
        "relu": _relu,
        "leaky_relu": lambda node, x: np.where(x[0] > 0, x[0], node.attrs["alpha"] * x[0]),
        "elu": lambda node, x: np.where(x[0] > 0, x[0], node.attrs["alpha"] * np.expm1(np.minimum(x[0], 0))),
        "prelu": _prelu,
        "softmax": _softmax,
        "max_pool": pool,
        "average_pool": pool,
        "global_max_pool": _global(np.max),
        "global_average_pool": _global(np.mean),
        "upsample": upsample,
        "interpolated_sum": interpolated_sum,
        "concat": lambda node, x: np.concatenate(x, axis=node.attrs["axis"]),
        "add": _merged(np.add),
        "subtract": _merged(np.subtract),
        "multiply": _merged(np.multiply),
        "maximum": _merged(np.maximum),
        "minimum": _merged(np.minimum),
        "average": _average,
        "crop": _crop,
        "pad": _pad,
        "space_to_depth": _space_to_depth,
        "depth_to_space": _depth_to_space,
        "reshape": lambda node, x: x[0].reshape(x[0].shape[0], *node.attrs["target_shape"]),
        "flatten": lambda _node, x: x[0].reshape(x[0].shape[0], -1),
        "rescale": _rescale,
        **dict.fromkeys(
            ("identity", "dropout", "spatial_dropout", "alpha_dropout", "gaussian_dropout", "gaussian_noise"), _same
        ),
    }
)
"""What every op computes at inference, from its node and its inputs."""
