"""Sums of products of 8 bits that do not fit into 16 bits, in ONNX Runtime on every processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import tf_keras as keras

from tests.support.oracles import convert_int8
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.onnx.writer import to_model
from u3p_edge.conversion.tflite.schema import parse_tflite
from u3p_edge.runtime import open_session


def test_sums_of_large_products_do_not_saturate(tmp_path: Path) -> None:
    """All weights and pixels are the largest there are: two products have 127 * 255 * 2 = 64770, and 16 bits hold 32767."""
    image = keras.Input((16, 16, 1), name="image")
    wide = keras.layers.Conv2D(8, 1, name="wide")(image)
    model = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same", name="mask")(wide))
    model.set_weights(
        [np.ones(w.shape, np.float32) if w.ndim > 1 else np.zeros(w.shape, np.float32) for w in model.get_weights()]
    )
    metadata = default_metadata(Preprocessing(16, 16, normalization="range"), labels=3)
    white = np.ones((1, 16, 16, 1), np.float32)
    file = convert_int8(model, metadata, calibration=np.concatenate([white, 0 * white]))
    (tmp_path / "model.int8.tflite").write_bytes(file)
    onnx.save(to_model(parse_tflite(file), metadata), str(tmp_path / "model.int8.onnx"))
    values = open_session(tmp_path / "model.int8.onnx").run(white[0])
    # 9 neighbours of 8 channels, stored in steps of 72 / 255, of which each of the two convolutions may be off by one.
    assert values[8, 8, 0] == np.float32(values.max())
    np.testing.assert_allclose(values[8, 8], 72, atol=2 * 72 / 255)
    np.testing.assert_array_equal(values, open_session(tmp_path / "model.int8.tflite").run(white[0]))
