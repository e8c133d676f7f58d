"""Verification passes what is right and names what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.small_artifacts import Zoo, picture
from u3p_edge.conversion.tflite.converter import convert_float
from u3p_edge.errors import VerificationError
from u3p_edge.pipeline.verify import sqnr, verify_files
from u3p_edge.progress import silent
from u3p_edge.runtime.keras import keras_session

IMAGES = np.stack([picture(seed) for seed in (20, 21)])
ALL = ("float32.tflite", "float16.tflite", "int8.tflite", "float32.onnx", "int8.onnx")


def check(zoo: Zoo, *, min_sqnr: float = 10, float_io: bool = False, **replaced: Path) -> None:
    """Verify files of the zoo; `int8_tflite=path` puts another in that one's place."""
    files = {f"model.{kind}": zoo.path(kind) for kind in ALL}
    files |= {f"model.{name.replace('_', '.')}": path for name, path in replaced.items()}
    session = keras_session(zoo.model, zoo.metadata)
    verify_files(files, session, IMAGES, min_sqnr=min_sqnr, float_io=float_io, progress=silent)


@pytest.fixture(scope="session")
def other_weights(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo's network, one of its weights off by a quarter."""
    import tf_keras

    model = tf_keras.models.clone_model(zoo.model)
    weights = zoo.model.get_weights()
    weights[-2] = weights[-2] * 1.25
    model.set_weights(weights)
    path = tmp_path_factory.mktemp("other") / "other.tflite"
    path.write_bytes(convert_float(model, zoo.metadata))
    return path


def test_sqnr_by_hand() -> None:
    # The signal varies by 1 about its mean: variance 1. Noise of 0.1 everywhere: mean square 0.01. 10 log10(100) = 20.
    signal = np.array([[1, 3], [3, 1]], np.float32)
    assert sqnr(signal, signal + np.float32(0.1)) == pytest.approx(20, abs=1e-4)
    assert sqnr(signal, signal) == np.inf
    # A map as far from the signal as its mean, 2, with the signal's own variance: (1 + 9 + 9 + 1) / 4 = 5.
    assert sqnr(signal, np.zeros_like(signal)) == pytest.approx(10 * np.log10(1 / 5), abs=1e-4)
    assert np.isfinite(sqnr(np.ones_like(signal), signal))


def test_right_files_pass(zoo: Zoo) -> None:
    check(zoo)
    check(zoo, float_io=True, int8_tflite=zoo.path("float-io.tflite"), int8_onnx=zoo.path("float-io.onnx"))


def test_other_weights_are_found(zoo: Zoo, other_weights: Path) -> None:
    with pytest.raises(VerificationError, match=r"model\.float32\.tflite: a probability is off by") as found:
        check(zoo, float32_tflite=other_weights)
    assert found.value.exit_code == 1
    assert "model.int8" not in str(found.value), "the others are right"


def test_a_float_file_cannot_pose_as_integers(zoo: Zoo) -> None:
    with pytest.raises(VerificationError, match=r"model\.int8\.tflite: the tensor .* is float32, not an integer"):
        check(zoo, int8_tflite=zoo.path("float32.tflite"))
    with pytest.raises(VerificationError, match=r"model\.int8\.onnx: ONNX Runtime runs 0 of 3 convolutions on integers"):
        check(zoo, int8_onnx=zoo.path("float32.onnx"))


def test_float_input_is_only_right_where_it_was_asked_for(zoo: Zoo) -> None:
    with pytest.raises(VerificationError, match="is float32, not an integer"):
        check(zoo, int8_tflite=zoo.path("float-io.tflite"))


def test_int8_numbers_are_not_float_ones(zoo: Zoo) -> None:
    with pytest.raises(VerificationError, match=r"model\.float32\.onnx: a probability is off by"):
        check(zoo, float32_onnx=zoo.path("int8.onnx"))


def test_the_quality_asked_for_is_held(zoo: Zoo) -> None:
    with pytest.raises(VerificationError, match=r"model\.int8\.tflite: its signal to quantization noise is [0-9.]+ dB, below"):
        check(zoo, min_sqnr=200)
