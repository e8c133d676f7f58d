"""What single ops compute once they are TFLite operators, over shapes, in floats and in integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tflite_models import FINE, SHAPE, STEP, both, codes, conv, graph, integers, not_delegated, random_image, run
from tests.support.tflite_reader import read_graph
from u3p_edge.conversion.tflite import schema as flatbuffer
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.scheme import Quantization, Quantized

sizes = st.integers(1, 6)


ends = st.tuples(st.integers(0, 3), st.integers(0, 3))


def check_moves(of: Graph, expected: np.ndarray, image: np.ndarray) -> None:
    """The graph moves values without changing any: exact in floats and, with zero standing for STEP.zero_point, in int8."""
    real, integer = both(of)
    np.testing.assert_array_equal(run(real, image.astype(np.float32)), expected.astype(np.float32))
    shifted = run(integer, (image + STEP.zero_point).astype(np.int8))
    np.testing.assert_array_equal(shifted.astype(int) - STEP.zero_point, expected)


def counted(*shape: int) -> np.ndarray:
    """Small integers, every neighbour another, none of them zero: [1, *shape]."""
    return (np.arange(np.prod(shape)) % 120 + 1).reshape(1, *shape)


@settings(max_examples=15, deadline=None)
@given(sizes, sizes, ends, ends)
def test_crop(height: int, width: int, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    image = counted(height + sum(rows), width + sum(columns), 3)
    expected = image[:, rows[0] : rows[0] + height, columns[0] : columns[0] + width]
    check_moves(graph([Node("y", "crop", ("image",), {"cropping": (rows, columns)})], image.shape[1:]), expected, image)


@settings(max_examples=10, deadline=None)
@given(sizes, sizes, ends, st.integers(0, 2), st.integers(1, 3))
def test_crop_of_channels(height: int, width: int, rows: tuple[int, int], first: int, count: int) -> None:
    image = counted(height + sum(rows), width, 5)
    cut = {"cropping": (rows, (0, 0)), "channels": (first, first + count)}
    of = graph([Node("y", "crop", ("image",), cut)], image.shape[1:])
    check_moves(of, image[:, rows[0] : rows[0] + height, :, first : first + count], image)
    assert all(codes(data) == ["STRIDED_SLICE"] and not_delegated(data) == [] for data in both(of))


@settings(max_examples=10, deadline=None)
@given(sizes, sizes, st.integers(1, 3), st.integers(2, 3))
def test_blocks(height: int, width: int, channels: int, block: int) -> None:
    """Channel (r * block + c) * C + k of a place is channel k at (r, c) of its block."""
    image = counted(block * height, block * width, channels)
    tiles = image.reshape(height, block, width, block, channels).transpose(0, 2, 1, 3, 4)
    blocks = tiles.reshape(1, height, width, block * block * channels)
    there = graph([Node("y", "space_to_depth", ("image",), {"block": block})], image.shape[1:])
    back = graph([Node("y", "depth_to_space", ("image",), {"block": block})], blocks.shape[1:])
    check_moves(there, blocks, image)
    check_moves(back, image, blocks)
    for of, code in ((there, "SPACE_TO_DEPTH"), (back, "DEPTH_TO_SPACE")):
        assert all(codes(data) == [code] and not_delegated(data) == [] for data in both(of))


@pytest.mark.parametrize("int8", [False, True])
def test_cuts_of_channels_and_blocks_are_read_as_they_were_written(int8: bool) -> None:
    nodes = [
        Node("blocks", "space_to_depth", ("image",)),
        Node("cut", "crop", ("blocks",), {"cropping": ((0, 1), (1, 0)), "channels": (2, 6)}),
        Node("again", "depth_to_space", ("cut",)),
        Node("mask", "crop", ("again",), {"cropping": ((1, 0), (0, 0))}),
    ]
    network = integers(graph(nodes))
    data = write_tflite(network if int8 else network.graph)
    result = read_graph(flatbuffer.parse_tflite(data))
    assert (result.graph if isinstance(result, Quantized) else result) == network.graph
    if isinstance(result, Quantized):
        step = Quantization(float(np.float32(STEP.scale)), STEP.zero_point)
        assert dict(result.scheme.tensors) == dict.fromkeys((node.name for node in result.graph.nodes), step)
    assert codes(data) == ["SPACE_TO_DEPTH", "STRIDED_SLICE", "DEPTH_TO_SPACE", "STRIDED_SLICE"]
    assert not_delegated(data) == []


@settings(max_examples=20, deadline=None)
@given(sizes, sizes, ends, ends)
def test_pad(height: int, width: int, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    image = counted(height, width, 3)
    of = graph([Node("y", "pad", ("image",), {"padding": (rows, columns)})], image.shape[1:])
    check_moves(of, np.pad(image, ((0, 0), rows, columns, (0, 0))), image)
    joined = any(columns) and not any(rows)
    assert all(codes(data) == ["CONCATENATION" if joined else "PAD"] and not_delegated(data) == [] for data in both(of))


@settings(max_examples=15, deadline=None)
@given(sizes, sizes, st.integers(1, 3), st.integers(2, 12), st.sampled_from([-1, 1, 2, 3]))
def test_concat(height: int, width: int, channels: int, count: int, axis: int) -> None:
    image = counted(height, width, channels)
    parts = [Node(f"p{i}", "pad", ("image",), {"padding": ((i % 2, 0), (0, 0))}) for i in range(count)]
    parts = parts if axis == 1 else [Node(part.name, "identity", ("image",)) for part in parts]
    of = graph([*parts, Node("y", "concat", tuple(part.name for part in parts), {"axis": axis})], image.shape[1:])
    padded = np.pad(image, ((0, 0), (1, 0), (0, 0), (0, 0)))
    check_moves(of, np.concatenate([padded if axis == 1 and i % 2 else image for i in range(count)], axis), image)


@settings(max_examples=15, deadline=None)
@given(sizes, sizes, st.integers(1, 4), st.integers(1, 4))
def test_nearest_upsampling(height: int, width: int, tall: int, wide: int) -> None:
    image = counted(height, width, 3)
    of = graph([Node("y", "upsample", ("image",), {"size": (tall, wide)})], image.shape[1:])
    check_moves(of, image.repeat(tall, 1).repeat(wide, 2), image)


def bilinear(image: np.ndarray, axis: int, factor: int) -> np.ndarray:
    """Half-pixel centres, edges repeated."""
    size = image.shape[axis]
    position = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    below = np.floor(position).astype(int)
    share = (position - below).reshape([-1 if i == axis else 1 for i in range(4)])
    return image.take(below, axis) * (1 - share) + image.take(np.minimum(below + 1, size - 1), axis) * share


@settings(max_examples=15, deadline=None)
@given(sizes, sizes, st.sampled_from([(1, 2), (4, 1), (1, 8), (2, 2), (16, 1), (2, 4)]))
def test_bilinear_upsampling(height: int, width: int, size: tuple[int, int]) -> None:
    image = random_image((height, width, 3), np.int8)
    of = graph([Node("y", "upsample", ("image",), {"size": size, "interpolation": "bilinear"})], image.shape[1:])
    expected = bilinear(bilinear(image.astype(float), 1, size[0]), 2, size[1])
    real, integer = both(of)
    # Three roundings of values up to 128, each by half an epsilon.
    np.testing.assert_allclose(run(real, image.astype(np.float32)), expected, atol=3 * 128 * 1.2e-7)
    # XNNPACK's weights are fractions of 2**11, two of them along the way: off by 2 * 256 / 2**12 = 1/8 beyond the rounding.
    assert np.abs(run(integer, image) - expected).max() <= 0.5 + 1 / 8
    assert not_delegated(real) == not_delegated(integer) == []


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(["add", "subtract", "multiply"]), st.booleans())
def test_arithmetic_with_and_without_a_relu_behind(op: str, relu: bool) -> None:
    coarse = Quantization(0.11, -7)
    nodes = [Node("half", "identity", ("image",)), Node("y", op, ("image", "half"))]
    nodes += [Node("r", "relu", ("y",))] if relu else []
    network = integers(graph(nodes), y=None if relu else coarse, r=coarse, half=FINE)
    image = random_image(SHAPE, np.int8)
    real = (image.astype(float) - STEP.zero_point) * STEP.scale
    half = (np.clip(np.round(real / FINE.scale) + FINE.zero_point, -128, 127) - FINE.zero_point) * FINE.scale
    value = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply}[op](real, half)
    value = np.maximum(value, 0) if relu else value
    data = write_tflite(network)
    assert codes(data) == ["QUANTIZE", {"add": "ADD", "subtract": "SUB", "multiply": "MUL"}[op]]
    assert not_delegated(data) == []
    steps = np.clip(value / coarse.scale + coarse.zero_point, -128, 127)
    # Half a step of rounding, and a step of `half` where its own rounding falls the other way (times at most 6.5 by MUL).
    slack = FINE.scale / coarse.scale * (6.5 if op == "multiply" else 1)
    assert np.abs(run(data, image) - steps).max() <= 0.5 + slack + 0.01


def test_a_convolution_sums_integers_exactly() -> None:
    network = integers(graph([conv("y", "image")]))
    image = random_image(SHAPE, np.int8)
    kernel, bias = network.graph["y"].weights["kernel"].astype(int), network.graph["y"].weights["bias"]
    padded = np.pad(image.astype(int) - STEP.zero_point, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    sums = np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias
    steps = sums * network.scheme.kernels["y"].astype(float) + STEP.zero_point  # STEP.scale in and out
    result = run(write_tflite(network), image)
    assert np.abs(result - np.clip(steps, -128, 127)).max() <= 0.5 + 1e-3  # a rounding, of a float32 product
