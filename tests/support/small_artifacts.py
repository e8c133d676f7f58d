"""One tiny real network in every format, made once a session; each folder's conftest gives it as the fixture `zoo`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.preprocessing import Preprocessing

SHAPE = (48, 64, 1)


@dataclass(frozen=True)
class Zoo:
    """The files of one network, and the float model they come from."""

    folder: Path
    model: Any
    metadata: Metadata

    def path(self, kind: str) -> Path:
        return self.folder / f"model.{kind}"


def truth(seed: int = 0) -> npt.NDArray[np.uint8]:
    """Labels of `picture(seed)`: an ellipse (1) whose place depends on the seed, a bar below it (2), background (0)."""
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    blob = ((y - 16 - seed % 5) / 11) ** 2 + ((x - 24 - 2 * (seed % 7)) / 16) ** 2 < 1
    return np.where(blob, 1, np.where((y > 34) & (x > 6 + seed % 3), 2, 0)).astype(np.uint8)


def picture(seed: int = 0) -> npt.NDArray[np.float32]:
    """A noisy image in 0..1 whose grey values tell the labels apart."""
    rng = np.random.default_rng(seed)
    grey = np.array([0.15, 0.45, 0.8])[truth(seed)] + 0.06 * rng.standard_normal(SHAPE[:2])
    return np.clip(grey, 0, 1).astype(np.float32)[..., None]


@functools.cache
def make_zoo(folder: Path) -> Zoo:
    """TFLite and ONNX files, float32 and int8, of a network with two scales and 3 classes, trained for a second."""
    import tensorflow as tf

    from u3p_edge.conversion.network_file import write_network
    from u3p_edge.conversion.onnx.writer import write_onnx
    from u3p_edge.conversion.tflite.converter import convert_float, serving_function
    from u3p_edge.conversion.tflite.writer import write_tflite
    from u3p_edge.graph.fold import fold_batch_norm
    from u3p_edge.graph.inference import inference_graph
    from u3p_edge.graph.keras_io import from_keras
    from u3p_edge.quantization.ptq import quantize_ptq

    folder.mkdir()
    model = _network()
    metadata = default_metadata(Preprocessing(*SHAPE, normalization="range"), labels=3)
    calibration = np.stack([picture(seed) for seed in range(8)])
    graph = fold_batch_norm(inference_graph(from_keras(model)).graph)
    integers = quantize_ptq(graph, calibration)
    for name, data in (
        ("float32.tflite", write_tflite(graph, metadata)),
        ("float16.tflite", convert_float(model, metadata, half=True)),
        ("int8.tflite", write_tflite(integers, metadata)),
        ("float-io.tflite", write_tflite(integers, metadata, float_io=True)),
        ("float32.onnx", write_onnx(graph, metadata)),
        ("int8.onnx", write_onnx(integers, metadata)),
        ("float-io.onnx", write_onnx(integers, metadata, float_io=True)),
    ):
        (folder / f"model.{name}").write_bytes(data)
    (folder / "network.int8.safetensors").write_bytes(write_network(integers))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serving_function(model).get_concrete_function()], model)
    (folder / "plain.tflite").write_bytes(converter.convert())
    return Zoo(folder, model, metadata)


@functools.cache
def make_threshold(folder: Path, level: float = 0.3) -> Path:
    """A binary float TFLite file that says 1 where a pixel of a 48x64 image, padded or cropped, is above `level` of white."""
    import tf_keras as keras

    from u3p_edge.conversion.tflite.converter import convert_float

    folder.mkdir()
    image = keras.Input(SHAPE, name="image")
    steep = keras.layers.Conv2D(1, 1, activation="sigmoid", name="mask")
    model = keras.Model(image, steep(image))
    steep.set_weights([np.full((1, 1, 1, 1), 100, np.float32), np.array([-100 * level], np.float32)])
    metadata = default_metadata(Preprocessing(*SHAPE, fit="pad", normalization="range"), labels=2, names=("dark", "bright"))
    path = folder / "threshold.tflite"
    path.write_bytes(convert_float(model, metadata))
    return path


def _network() -> Any:
    import tf_keras as keras

    keras.utils.set_random_seed(7)
    layers = keras.layers
    image = keras.Input(SHAPE, name="image")
    fine = layers.Conv2D(8, 3, padding="same", activation="relu", name="fine")(image)
    coarse = layers.Conv2D(8, 3, padding="same", activation="relu", name="coarse")(layers.MaxPool2D(2)(fine))
    both = layers.Concatenate()([fine, layers.UpSampling2D(2, interpolation="bilinear")(coarse)])
    model = keras.Model(image, layers.Conv2D(3, 1, activation="softmax", name="mask")(both))
    model.compile(keras.optimizers.legacy.Adam(0.02), "sparse_categorical_crossentropy")
    images, labels = (np.stack([make(seed) for seed in range(8)]) for make in (picture, truth))
    model.fit(images, labels, batch_size=8, epochs=60, verbose=0)
    return model


@functools.cache
def make_wide(folder: Path) -> Path:
    """A Keras file of two scales of a UNet 3+ with many more channels than the pictures need, trained for a second."""
    import tf_keras as keras

    keras.utils.set_random_seed(7)
    layers = keras.layers

    def block(source: Any, name: str, channels: int) -> Any:
        convolved = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=name)(source)
        # Its statistics follow in a few steps.
        return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(momentum=0.8, name=f"{name}_bn")(convolved))

    image = keras.Input(SHAPE, name="image")
    fine = block(block(image, "enc1_conv1", 8), "enc1_conv2", 16)
    coarse = block(layers.MaxPool2D(2, name="down1_pool")(fine), "enc2_conv1", 32)
    up = layers.UpSampling2D(2, interpolation="bilinear", name="dec1_from_enc2_up")(coarse)
    both = layers.Concatenate(name="dec1_concat")([block(fine, "dec1_from_enc1", 8), block(up, "dec1_from_enc2", 8)])
    mask = layers.Conv2D(3, 1, activation="softmax", name="mask")
    model = keras.Model(image, mask(block(both, "dec1_fuse", 16)))
    model.compile(keras.optimizers.legacy.Adam(0.01), "sparse_categorical_crossentropy")
    images, labels = (np.stack([make(seed) for seed in range(8)]) for make in (picture, truth))
    model.fit(images, labels, batch_size=8, epochs=30, verbose=0)
    folder.mkdir()
    path = folder / "wide.keras"
    model.save(path)
    return path
