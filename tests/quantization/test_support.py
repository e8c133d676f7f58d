"""What cannot be trained under fake quantization is refused by name."""

from __future__ import annotations

import pytest
import tf_keras
from tf_keras import layers

from u3p_edge.errors import ModelError
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.quantization.support import check_trainable


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (layers.Conv2D(4, 3, groups=2, padding="same", name="culprit"), "QAT does not know grouped convolutions"),
        (layers.BatchNormalization(axis=1, name="culprit"), "along another axis than the channels"),
        (layers.GroupNormalization(2, axis=1, name="culprit"), "its groups are not of channels"),
        (layers.Activation("mish", name="culprit"), "'mish'"),
        (layers.ReLU(6.0, negative_slope=0.1, name="culprit"), "a ReLU with a slope"),
        (layers.ELU(0.5, name="culprit"), "an ELU with another slope"),
    ],
)
def test_what_has_no_integer_form_is_refused_by_name(layer: tf_keras.layers.Layer, message: str) -> None:
    image = layers.Input((8, 8, 2), name="image")
    model = tf_keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(layer(image)))
    with pytest.raises(ModelError, match=message) as error:
        check_trainable(from_keras(model))
    assert "'culprit'" in str(error.value)
