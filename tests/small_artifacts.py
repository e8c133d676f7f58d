"""One tiny real network in every format, made once a session; each folder's conftest gives it as the fixture `zoo`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.config import Metadata, Preprocessing, default_metadata

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
    import onnx
    import tensorflow as tf

    from u3p_edge.export.flatbuffer import read, stamp
    from u3p_edge.export.qdq import to_onnx

    folder.mkdir()
    model = _network()
    metadata = default_metadata(Preprocessing(*SHAPE, normalization="range"), labels=3)
    plain, integer = _tflite(tf, model, int8=False), _tflite(tf, model, int8=True)
    (folder / "model.float32.tflite").write_bytes(stamp(plain, metadata))
    (folder / "model.int8.tflite").write_bytes(stamp(integer, metadata))
    (folder / "plain.tflite").write_bytes(plain)
    onnx.save(_float_onnx(tf, model, metadata), str(folder / "model.float32.onnx"))
    onnx.save(to_onnx(read(stamp(integer, metadata)), metadata), str(folder / "model.int8.onnx"))
    return Zoo(folder, model, metadata)


def _network() -> Any:
    import tf_keras as keras

    keras.utils.set_random_seed(7)
    layers = keras.layers
    image = keras.Input(SHAPE, name="image")
    fine = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    coarse = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPool2D(2)(fine))
    both = layers.Concatenate()([fine, layers.UpSampling2D(2, interpolation="bilinear")(coarse)])
    model = keras.Model(image, layers.Conv2D(3, 1, activation="softmax", name="mask")(both))
    model.compile(keras.optimizers.legacy.Adam(0.02), "sparse_categorical_crossentropy")
    images, labels = (np.stack([make(seed) for seed in range(8)]) for make in (picture, truth))
    model.fit(images, labels, batch_size=8, epochs=60, verbose=0)
    return model


def _tflite(tf: Any, model: Any, *, int8: bool) -> bytes:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([_function(tf, model).get_concrete_function()], model)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([picture(seed)[None]] for seed in range(8))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    data: bytes = converter.convert()
    return data


def _function(tf: Any, model: Any) -> Any:
    @tf.function(input_signature=[tf.TensorSpec([1, *SHAPE], tf.float32, name="image")])
    def call(image: Any) -> dict[str, Any]:
        return {"mask": model(image, training=False)}

    return call


def _float_onnx(tf: Any, model: Any, metadata: Metadata) -> Any:
    import tf2onnx

    spec = (tf.TensorSpec([1, *SHAPE], tf.float32, name="image"),)
    proto, _ = tf2onnx.convert.from_keras(model, spec, opset=17)
    produced = proto.graph.output[0].name
    for node in proto.graph.node:
        node.output[:] = ["mask" if name == produced else name for name in node.output]
    proto.graph.output[0].name = "mask"
    entry = proto.metadata_props.add()
    entry.key, entry.value = "u3p_edge", metadata.to_json()
    return proto
