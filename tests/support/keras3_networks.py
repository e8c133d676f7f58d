"""Networks of Keras 3 with random weights, and the files in tests/models/data.

    KERAS_BACKEND=torch python -m tests.support.keras3_networks tests/models/data

Keras 3 is not part of an installation for development.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

SIZE = (16, 32)


def conv(x: Any, width: int, name: str, **options: Any) -> Any:
    """Named layers of one class, so that names and the file's numbers differ."""
    x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=name, **options)(x)
    return layers.BatchNormalization(epsilon=1e-4, name=f"{name}_norm")(x)


def functional() -> Any:
    """A UNet whose activations are functions, with what a segmentation network has beside."""
    image = keras.Input((*SIZE, 1), name="scan")
    one = ops.relu(conv(image / 255.0, 4, "z_first"))
    two = keras.activations.silu(conv(layers.MaxPooling2D()(one), 8, "a_second"))
    three = layers.LeakyReLU(negative_slope=0.1)(conv(layers.AveragePooling2D(2)(two), 8, "third", strides=1))
    three = layers.Dropout(0.3)(three) + layers.DepthwiseConv2D(3, padding="same", activation="silu")(three)
    x = layers.Conv2DTranspose(8, 2, strides=2, activation="relu")(three)
    x = ops.relu6(conv(ops.concatenate([x, two], axis=-1), 4, "fourth", groups=2))
    x = layers.Concatenate()([layers.UpSampling2D(2, interpolation="bilinear")(x), one])
    return keras.Model(image, layers.Conv2D(3, 1, activation="softmax", name="mask")(x))


def sequential() -> Any:
    return keras.Sequential(
        [
            keras.Input((*SIZE, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.LayerNormalization(),
            layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
            layers.MaxPooling2D(),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    )


def nested() -> Any:
    """A model and a Sequential inside a model, as with an encoder that was trained elsewhere."""
    inner = keras.Input((*SIZE, 4))
    half = layers.Conv2D(4, 3, strides=2, padding="same", name="half")(inner)
    encoder = keras.Model(inner, [half, layers.Conv2D(2, 1, name="same")(inner)], name="encoder")
    image = keras.Input((*SIZE, 1))
    two, one = encoder(layers.Conv2D(4, 3, padding="same")(image))
    up = keras.Sequential([layers.Conv2D(2, 1), layers.UpSampling2D(2)], name="up")
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(layers.Add()([up(two), one])))


NETWORKS = {"keras3_functional": functional, "keras3_sequential": sequential, "keras3_nested": nested}


def scramble(model: Any, seed: int) -> None:
    """Draw every weight, running statistics too, so that a mix-up shows."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.dtype == "float32":
            wide = 4 if len(variable.shape) > 1 else 1
            low = 0.5 if "gamma" in variable.path or "variance" in variable.path else -0.5
            variable.assign(rng.uniform(low, low + 1, variable.shape) * wide / max(1, np.prod(variable.shape[:-1])) ** 0.5)


def save(folder: Path) -> None:
    for seed, (name, build) in enumerate(NETWORKS.items()):
        model = build()
        scramble(model, seed)
        image = np.random.default_rng(seed).uniform(0, 255, (1, *SIZE, 1)).astype(np.float32)
        np.savez_compressed(
            folder / f"{name}.npz", image=image, output=np.asarray(ops.convert_to_numpy(model(image)), np.float32)
        )
        model.save(folder / f"{name}.keras")
        if name == "keras3_functional":
            model.save(folder / f"{name}.h5")
            model.save_weights(folder / f"{name}.weights.h5")
            (folder / f"{name}.json").write_text(model.to_json() + "\n")


if __name__ == "__main__":
    save(Path(sys.argv[1]))
