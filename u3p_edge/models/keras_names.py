"""Other names by which tf_keras knows a layer class: those of older versions, and short ones."""

from __future__ import annotations

from collections.abc import Mapping

from tf_keras.src.layers import serialization

from u3p_edge.graph.keras_layers import LAYERS


def layer_aliases() -> Mapping[str, str]:
    """Return the class name of every alias that tf_keras accepts for a layer in `LAYERS`: "MaxPooling2D" of "MaxPool2D".

    "BatchNormalizationV1" (TensorFlow 1) and "BatchNormalizationV2" (early TensorFlow 2) are both "BatchNormalization": at
    inference they compute the same.
    """
    serialization.populate_deserializable_objects()
    known = {alias: getattr(layer, "__name__", "") for alias, layer in serialization.LOCAL.ALL_OBJECTS.items()}
    return {alias: name for alias, name in known.items() if name in LAYERS and name != alias}
