"""Convolutions and poolings of every window: the same numbers as ONNX Runtime's, whatever the border."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.onnx_files import FileBuilder, assert_same_numbers, ops
from u3p_edge.errors import ModelError
from u3p_edge.importing.onnx.reader import read_onnx

SIZES = st.tuples(st.integers(5, 11), st.integers(5, 11))
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
BORDERS = st.tuples(*[st.integers(0, 2)] * 4)
AUTO = st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def border(auto: str, pads: tuple[int, ...]) -> dict[str, Any]:
    return {"pads": list(pads)} if auto == "NOTSET" else {"auto_pad": auto}


def fits(size: Any, spans: Any, pads: tuple[int, ...], auto: str) -> bool:
    added = (pads[0] + pads[2], pads[1] + pads[3]) if auto == "NOTSET" else (0, 0)
    return all(n + more >= span for n, more, span in zip(size, added, spans, strict=True))


def image(size: tuple[int, int], channels: int, sign: float = -1.0) -> np.ndarray:
    """Values that are all negative, so that a border of zeros shows in a maximum."""
    return (sign * np.random.default_rng(3).uniform(0.5, 2, (1, channels, *size))).astype(np.float32)


@FEW
@given(
    size=SIZES, kernel=PAIRS, strides=PAIRS, dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)), pads=BORDERS,
    auto=AUTO, groups=st.sampled_from([(1, 2, 3), (2, 2, 3), (4, 1, 1), (4, 1, 2)]), bias=st.booleans(),
)  # fmt: skip
def test_a_convolution_of_any_window(
    tmp_path: Path, size: Any, kernel: Any, strides: Any, dilation: Any, pads: Any, auto: str, groups: Any, bias: bool
) -> None:
    group, inputs, outputs = groups
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    assume(fits(size, spans, pads, auto))
    assume("SAME" not in auto or dilation == (1, 1))  # ONNX Runtime refuses that
    file = FileBuilder(1, group * inputs, *size)
    names = [file.random(group * outputs, inputs, *kernel), *([file.random(group * outputs)] if bias else [])]
    y = file.add("Conv", "image", *names, strides=list(strides), dilations=list(dilation), group=group, **border(auto, pads))
    path = file.save(tmp_path / "conv.onnx", y)
    graph = assert_same_numbers(path, image(size, group * inputs), terms=kernel[0] * kernel[1] * inputs + 1)
    assert set(ops(graph)) <= {"input", "pad", "conv", "depthwise_conv", "max_pool"}


@FEW
@given(
    size=SIZES, kernel=PAIRS, strides=PAIRS, pads=BORDERS, auto=AUTO, ceil=st.booleans(), counted=st.booleans(),
    op=st.sampled_from(["MaxPool", "AveragePool"]), sign=st.sampled_from([-1.0, 1.0]),
)  # fmt: skip
def test_a_pooling_of_any_window(
    tmp_path: Path, size: Any, kernel: Any, strides: Any, pads: Any, auto: str, ceil: bool, counted: bool, op: str, sign: float
) -> None:
    assume(fits(size, kernel, pads, auto))
    # ONNX Runtime refuses automatic borders where windows leave pixels out.
    assume("SAME" not in auto or all(s <= k for s, k in zip(strides, kernel, strict=True)))
    assume(auto != "NOTSET" or all(pad < k for pad, k in zip(pads, kernel * 2, strict=True)))
    options: dict[str, Any] = {"count_include_pad": int(counted)} if op == "AveragePool" else {}
    file = FileBuilder(1, 2, *size)
    y = file.add(op, "image", kernel_shape=list(kernel), strides=list(strides), ceil_mode=int(ceil), **options,
                 **border(auto, pads))  # fmt: skip
    path = file.save(tmp_path / "pool.onnx", y)
    # All that a graph has no form for: a border wider than half the window, or a rounded-up size whose border counts.
    wide = op == "MaxPool" or not counted
    refused = _refuses(path) if wide or ceil else ""
    assert not refused or (wide and "wider than half" in refused) or (counted and ceil and "ceil_mode=False" in refused)
    if not refused:
        assert_same_numbers(path, image(size, 2, sign), terms=kernel[0] * kernel[1] + 1)


def _refuses(path: Path) -> str:
    try:
        read_onnx(path)
    except ModelError as error:
        return str(error)
    return ""


@FEW
@given(
    size=SIZES, kernel=PAIRS, strides=PAIRS, pads=BORDERS, extra=st.tuples(st.integers(0, 2), st.integers(0, 2)), auto=AUTO,
    dilation=st.sampled_from([1, 2]),
)  # fmt: skip
def test_a_transposed_convolution_of_any_window(
    tmp_path: Path, size: Any, kernel: Any, strides: Any, pads: Any, extra: Any, auto: str, dilation: int
) -> None:
    dilation = dilation if strides == (1, 1) else 1
    spans = [(k - 1) * dilation + 1 for k in kernel]
    assume(auto in ("NOTSET", "VALID"))  # of `same`, ONNX Runtime's releases differ in which end gets the odd pixel
    extra = tuple(min(more, s - 1) for more, s in zip(extra, strides, strict=True))
    lengths = [(n - 1) * s + span + more for n, s, span, more in zip(size, strides, spans, extra, strict=True)]
    assume(auto != "NOTSET" or all(n > pads[i] + pads[i + 2] for i, n in enumerate(lengths)))
    file = FileBuilder(1, 2, *size)
    y = file.add("ConvTranspose", "image", file.random(2, 3, *kernel), file.random(3), strides=list(strides),
                 dilations=[dilation] * 2, output_padding=list(extra), **border(auto, pads))  # fmt: skip
    path = file.save(tmp_path / "transposed.onnx", y)
    graph = assert_same_numbers(path, image(size, 2), terms=kernel[0] * kernel[1] * 2 + 1)
    assert set(ops(graph)) <= {"input", "conv_transpose", "crop"}


def test_the_usual_border_needs_no_node_of_its_own(tmp_path: Path) -> None:
    """A 3x3 convolution with a border of 1 is TensorFlow's `same`; with strides of 2 on an even side it is not."""
    file = FileBuilder(1, 2, 8, 8)
    x = file.add("Conv", "image", file.random(2, 2, 3, 3), pads=[1, 1, 1, 1])
    y = file.add("Conv", x, file.random(2, 2, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2])
    graph = assert_same_numbers(file.save(tmp_path / "m.onnx", y), image((8, 8), 2), terms=19, layers=2)
    assert ops(graph) == ["input", "conv", "pad", "conv"]


def test_a_maximum_after_a_relu_is_padded_with_zeros(tmp_path: Path) -> None:
    """So does a ResNet; before a ReLU, where values may be negative, it is computed at every pixel and then picked."""
    options: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    file = FileBuilder(1, 2, 8, 8)
    y = file.add("MaxPool", file.add("Relu", "image"), **options)
    graph = assert_same_numbers(file.save(tmp_path / "m.onnx", y), image((8, 8), 2, 1.0), terms=1)
    assert ops(graph) == ["input", "relu", "pad", "max_pool"]
    file = FileBuilder(1, 2, 8, 8)
    graph = assert_same_numbers(
        file.save(tmp_path / "n.onnx", file.add("MaxPool", "image", **options)), image((8, 8), 2), terms=1
    )
    assert ops(graph) == ["input", "max_pool", "max_pool"]


@pytest.mark.parametrize("kind", ["SAME_UPPER", "SAME_LOWER"])
def test_a_transposed_convolution_of_the_size_that_it_asks_for(tmp_path: Path, kind: str) -> None:
    """With kernel and strides of equal parity no pixel is odd, so both kinds of `same` are one."""
    file = FileBuilder(1, 2, 5, 6)
    y = file.add("ConvTranspose", "image", file.random(2, 3, 4, 4), strides=[2, 2], auto_pad=kind)
    assert_same_numbers(file.save(tmp_path / "m.onnx", y), image((5, 6), 2), terms=33)
