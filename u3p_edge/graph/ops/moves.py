"""Ops that move values and compute nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from u3p_edge.graph.ops.op import REQUIRED, Array, Attrs, Layer, Op, Shape, Weights, own_names


def _crop_shape(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, height, width, channels = inputs[0]
    (top, bottom), (left, right) = attrs["cropping"]
    first, last = attrs["channels"] or (0, channels)
    if top + bottom >= height or left + right >= width:
        raise ValueError(f"cropping {attrs['cropping']} leaves nothing of {height}x{width}")
    if not 0 <= first < last <= channels:
        raise ValueError(f"there are no channels {first} to {last} of {channels}")
    return (batch, height - top - bottom, width - left - right, last - first)


def _crop(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    (top, bottom), (left, right) = attrs["cropping"]
    height, width, channels = x[0].shape[1:]
    first, last = attrs["channels"] or (0, channels)
    return x[0][:, top : height - bottom, left : width - right, first:last]


def _pad_shape(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, height, width, channels = inputs[0]
    (top, bottom), (left, right) = attrs["padding"]
    return (batch, height + top + bottom, width + left + right, channels)


def _pad(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    return np.pad(x[0], ((0, 0), *attrs["padding"], (0, 0)))


def _space_to_depth_shape(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, height, width, channels = inputs[0]
    block = attrs["block"]
    if height % block or width % block:
        raise ValueError(f"{height}x{width} is not made of blocks of {block}x{block}")
    return (batch, height // block, width // block, block * block * channels)


def _space_to_depth(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    """Turn the pixels of a block into channels, row after row: channel (r * block + c) * C + k is channel k at (r, c)."""
    block, (batch, height, width, channels) = attrs["block"], x[0].shape
    tiles = x[0].reshape(batch, height // block, block, width // block, block, channels)
    shape = (batch, height // block, width // block, block * block * channels)
    return np.asarray(tiles.transpose(0, 1, 3, 2, 4, 5).reshape(shape))


def _depth_to_space_shape(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, height, width, channels = inputs[0]
    block = attrs["block"]
    if channels % (block * block):
        raise ValueError(f"{channels} channels do not make blocks of {block}x{block}")
    return (batch, height * block, width * block, channels // (block * block))


def _depth_to_space(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    block, (batch, height, width, channels) = attrs["block"], x[0].shape
    tiles = x[0].reshape(batch, height, width, block, block, channels // (block * block))
    return np.asarray(tiles.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height * block, width * block, -1))


def _reshape_shape(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, *size = inputs[0]
    target, total = tuple(attrs["target_shape"]), math.prod(size)
    known = math.prod(n for n in target if n != -1)
    full = tuple(total // known if n == -1 else n for n in target)
    if math.prod(full) != total:
        raise ValueError(f"{tuple(size)} cannot become {target}")
    return (batch, *full)


def _reshape(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    return x[0].reshape(x[0].shape[0], *attrs["target_shape"])


def _flatten_shape(_attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    return (inputs[0][0], math.prod(inputs[0][1:]))


def _flatten(_attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    return x[0].reshape(x[0].shape[0], -1)


OPS: tuple[Op, ...] = (
    Op(
        "crop", _crop_shape, _crop, attrs={"cropping": REQUIRED, "channels": None},
        layers=(Layer("Cropping2D", own_names("cropping")), Layer("CropMaps", own_names("cropping", "channels"))),
        keeps_range=True, keeps_zero=True, keeps_scale=True, cheap=True,
    ),
    Op(
        "pad", _pad_shape, _pad, attrs={"padding": REQUIRED}, layers=(Layer("ZeroPadding2D", own_names("padding")),),
        channelwise=True, keeps_zero=True, keeps_scale=True, cheap=True,
    ),
    Op(
        "space_to_depth", _space_to_depth_shape, _space_to_depth, attrs={"block": 2},
        layers=(Layer("SpaceToDepth", own_names("block")),), keeps_zero=True, keeps_scale=True,
    ),
    Op(
        "depth_to_space", _depth_to_space_shape, _depth_to_space, attrs={"block": 2},
        layers=(Layer("DepthToSpace", own_names("block")),), keeps_zero=True, keeps_scale=True,
    ),
    Op(
        "reshape", _reshape_shape, _reshape, attrs={"target_shape": REQUIRED},
        layers=(Layer("Reshape", own_names("target_shape")),),
        view=True, keeps_range=True, keeps_zero=True, keeps_scale=True,
    ),
    Op(
        "flatten", _flatten_shape, _flatten, layers=(Layer("Flatten"),),
        view=True, keeps_range=True, keeps_zero=True, keeps_scale=True,
    ),
)  # fmt: skip
