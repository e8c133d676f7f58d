"""Logits that are averaged or interpolated before the sigmoid reads them: their range is calibrated, so edges stay in place."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras
from tf_keras import layers

from tests.support.int8_models import Int8File, quantize_aware
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.quantization.placement import Placement, place_quantizers

LOW, HIGH = -4.0, 20.0
"""Logits of the two kinds of pixels: the mask's edge lies at a sixth of the way from one to the other."""

MIXING = {"bilinear": True, "average": True, "average, reshaped": True, "nearest": False, "max": False}


def network(between: str) -> tf_keras.Model:
    """An image of 0 and 1, logits of `LOW` and `HIGH`, what comes between, and the sigmoid."""
    image = layers.Input((16, 16, 1), name="image")
    x = layers.Conv2D(1, 1, name="logits")(image)
    x = {
        "bilinear": layers.UpSampling2D(4, interpolation="bilinear"), "nearest": layers.UpSampling2D(4),
        "average": layers.AveragePooling2D(), "max": layers.MaxPooling2D(), "average, reshaped": layers.Reshape((8, 32, 1)),
    }[between](x)  # fmt: skip
    if between == "average, reshaped":
        x = layers.AveragePooling2D()(x)
    model = tf_keras.Model(image, layers.Activation("sigmoid", name="mask")(x))
    model.get_layer("logits").set_weights([np.full((1, 1, 1, 1), HIGH - LOW, np.float32), np.full(1, LOW, np.float32)])
    return model


@pytest.mark.parametrize("between", MIXING)
def test_logits_have_the_fixed_range_only_where_the_sigmoid_reads_them_as_they_are(between: str) -> None:
    placed = place_quantizers(fold_batch_norm(from_keras(network(between))))
    assert placed["logits"] is (Placement.RANGE if MIXING[between] else Placement.LOGITS)


def test_the_edge_of_an_upsampled_mask_is_where_the_float_network_has_it() -> None:
    """Upsampled by 4, pixels lie at 1/8, 3/8, ... of the way from -4 to 20, so their logits are -1, 5, 11 and 17: the nearest
    to 0 is 1 away, and that is ten steps of 24 / 255. So every label has to be equal. Clipped at 6.25 the second would be
    -.16."""
    images = np.zeros((2, 16, 16, 1), np.float32)
    images[0, 2:5, 3:6], images[1, :, 8:] = 1, 1
    model = network("bilinear")
    expected = model(images).numpy() > 0.5
    quantized = quantize_aware(model, images)
    np.testing.assert_array_equal(Int8File(quantized).run(images) > 0.5, expected)
    assert 0 < expected.mean() < 1
