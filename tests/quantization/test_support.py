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
        (layers.LayerNormalization(name="culprit"), "layer normalisation"),
        (layers.Activation("tanh", name="culprit"), "tanh"),
        (layers.LeakyReLU(name="culprit"), "leaky_relu"),
        (layers.ReLU(max_value=6, name="culprit"), "plain ReLU"),
        (layers.Conv2D(4, 3, groups=2, padding="same", name="culprit"), "grouped"),
        (layers.BatchNormalization(axis=1, name="culprit"), "channel axis"),
        (layers.GlobalAveragePooling2D(keepdims=True, name="culprit"), "global_average_pool"),
    ],
)
def test_what_has_no_exact_integer_twin_is_refused_by_name(layer: tf_keras.layers.Layer, message: str) -> None:
    image = layers.Input((8, 8, 2), name="image")
    model = tf_keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(layer(image)))
    with pytest.raises(ModelError, match=message) as error:
        check_trainable(from_keras(model))
    assert "'culprit'" in str(error.value)
    assert "post-training quantization" in str(error.value)
