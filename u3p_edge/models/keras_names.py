"""The names under which tf_keras knows a layer class besides its own: those of older versions, and short ones."""

from __future__ import annotations

from collections.abc import Mapping

from tf_keras.src.layers import serialization

from u3p_edge.graph.keras_layers import LAYERS


def layer_aliases() -> Mapping[str, str]:
    """Map every name that tf_keras accepts for a layer in `LAYERS` to the layer's own: "MaxPool2D" to "MaxPooling2D".

    "BatchNormalizationV1" (TensorFlow 1) and "BatchNormalizationV2" (early TensorFlow 2) are both "BatchNormalization": at
    inference they compute the same.
    """
    serialization.populate_deserializable_objects()
    known = {name: getattr(layer, "__name__", "") for name, layer in serialization.LOCAL.ALL_OBJECTS.items()}
    return {name: own for name, own in known.items() if own in LAYERS and own != name}
