"""TFLite files: what is in them, and that they compute what the model computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.unets import make_unet
from u3p_edge.config.metadata import Metadata
from u3p_edge.conversion.structure import tflite_faults
from u3p_edge.conversion.tflite import converter, schema
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.errors import ModelError
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.graph.scheme import Quantized
from u3p_edge.quantization.ptq import quantize_ptq
from u3p_edge.runtime import open_session


@pytest.fixture(scope="module")
def plain() -> tuple[Any, Metadata]:
    return make_unet(classes=4)


@pytest.fixture(scope="module")
def float_file(plain: tuple[Any, Metadata]) -> bytes:
    return converter.convert_float(*plain)


@pytest.fixture(scope="module")
def integers(plain: tuple[Any, Metadata], images: np.ndarray) -> Quantized:
    return quantize_ptq(from_keras(plain[0]), images)


@pytest.fixture(scope="module")
def int8_file(integers: Quantized, plain: tuple[Any, Metadata]) -> bytes:
    return write_tflite(integers, plain[1])


def test_the_float_file_computes_what_the_model_computes(
    plain: tuple[Any, Metadata], float_file: bytes, images: np.ndarray, tmp_path: Path
) -> None:
    model, _ = plain
    path = tmp_path / "model.float32.tflite"
    path.write_bytes(float_file)
    mask = open_session(path).run(images[0])
    # 35 convolutions of at most n = 9 * 64 terms: each rounds by about sqrt(n) * eps of its values, and a probability
    # moves by at most a quarter of its logit, which stays below 32 here: 35 * 24 * 1.2e-7 * 32 / 4 = 8e-4.
    np.testing.assert_allclose(mask, model(images[:1]).numpy()[0], atol=8e-4)
    assert mask.std() > 0.01  # and it is not a constant


def test_float16_weights_halve_the_file(
    plain: tuple[Any, Metadata], float_file: bytes, images: np.ndarray, tmp_path: Path
) -> None:
    model, metadata = plain
    half = converter.convert_float(model, metadata, half=True)
    weights = 4 * model.count_params()
    assert len(float_file) - len(half) > 0.3 * weights  # half of the weights, less what the widening operators add
    path = tmp_path / "model.float16.tflite"
    path.write_bytes(half)
    # A weight is off by 2**-11 relative; over 35 convolutions that adds up to at most 35 * 2**-11 of a logit < 8.
    np.testing.assert_allclose(open_session(path).run(images[0]), model(images[:1]).numpy()[0], atol=35 * 2**-11 * 8 / 4)


def test_the_metadata_travels_inside(plain: tuple[Any, Metadata], int8_file: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.int8.tflite"
    path.write_bytes(int8_file)
    assert open_session(path).metadata == plain[1]
    assert Metadata.from_json(plain[1].to_json()) == plain[1]


def test_every_tensor_of_an_int8_file_is_an_integer(int8_file: bytes) -> None:
    graph = schema.parse_tflite(int8_file)
    assert tflite_faults(graph, int8=True, float_io=False) == ()
    assert [graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)] == [np.int8, np.int8]


def test_float_io_keeps_floats_at_the_ends_alone(plain: tuple[Any, Metadata], integers: Quantized) -> None:
    graph = schema.parse_tflite(write_tflite(integers, plain[1], float_io=True))
    assert tflite_faults(graph, int8=True, float_io=True) == ()
    assert {graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)} == {np.dtype(np.float32)}
    assert tflite_faults(graph, int8=True, float_io=False) != ()


def test_a_float_file_is_not_taken_for_integers(float_file: bytes) -> None:
    faults = tflite_faults(schema.parse_tflite(float_file), int8=True, float_io=False)
    assert any("not an integer" in fault for fault in faults)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0\0\0\0ONNX" + bytes(100)])
def test_what_is_not_a_tflite_file_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match="not a TFLite model"):
        schema.parse_tflite(data)
