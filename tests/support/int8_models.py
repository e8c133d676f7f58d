"""Small float models, images and the int8 files made of them, for the tests of quantization."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter
from tf_keras import layers

from tests.support.oracles import convert_int8
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.models.config import preset
from u3p_edge.models.unet3plus import build
from u3p_edge.quantization.fake_quant import fake_quantize


def blobs(count: int, size: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Smooth random images with a little noise, [N, size, size, 1], and labels 0, 1, 2 by brightness, [N, size, size]."""
    rng = np.random.default_rng(seed)
    coarse = tf.image.resize(rng.normal(size=(count, size // 4, size // 4, 1)), (size, size), "bicubic").numpy()
    images = (coarse + 0.05 * rng.normal(size=coarse.shape)).astype(np.float32)
    return images, np.digitize(coarse[..., 0], (0.0, 0.7)).astype(np.uint8)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """float32 [N, H, W, K]; one class is the mask of all labels but 0."""
    if classes == 1:
        return (labels[..., None] > 0).astype(np.float32)
    return np.eye(classes, dtype=np.float32)[labels]


def unet(classes: int = 1, epochs: int = 0, **options: Any) -> tf_keras.Model:
    """The inference model of a UNet 3+ of base width 4 for 32x32 images, trained on blobs for `epochs` of four steps."""
    tf_keras.utils.set_random_seed(1)
    model = build(preset("article", input_shape=(32, 32, 1), base_width=4, classes=classes, **options))
    model = to_keras(inference_graph(from_keras(model)).graph)
    if epochs:
        images, labels = blobs(16)
        model.compile(tf_keras.optimizers.Adam(3e-3), "binary_crossentropy" if classes == 1 else "categorical_crossentropy")
        model.fit(images, one_hot(labels, classes), batch_size=4, epochs=epochs, verbose=0)
    return model


def every_op(size: int = 16) -> tf_keras.Model:
    """Residual addition, both poolings, both resizes, a concatenation of one private and two shared tensors, a batch
    normalisation after an addition and one before a strided convolution, a gated softmax: [N, size, size, 1] to 3 classes."""
    tf_keras.utils.set_random_seed(2)
    image = layers.Input((size, size, 1), name="image")
    first = _conv_norm_relu(image, 8, "first")
    summed = layers.Add(name="sum")(
        [_conv(first, 8, "left"), layers.BatchNormalization(name="left_norm")(_conv(first, 8, "right"))]
    )
    residual = layers.ReLU(name="residual")(summed)
    average = layers.AveragePooling2D(name="average")(residual)
    strided = layers.BatchNormalization(name="norm_before")(average)
    strided = layers.Conv2D(8, 2, strides=2, padding="same", name="strided")(strided)
    deep = _conv_norm_relu(layers.Dropout(0.5, name="dropout")(strided), 8, "deep")
    up = _conv_norm_relu(layers.UpSampling2D(4, interpolation="bilinear", name="up")(deep), 8, "up_branch")
    near = layers.UpSampling2D(4, name="near")(layers.MaxPooling2D(name="max")(average))
    joined = layers.Concatenate(name="joined")([up, near, first])
    logits = _conv(_conv_norm_relu(layers.BatchNormalization(name="norm_alone")(joined), 8, "fuse"), 3, "logits")
    gate = layers.GlobalMaxPooling2D(name="gate_pool")(_conv(deep, 3, "gate_conv", 1))
    gate = layers.Reshape((1, 1, 3), name="gate_shape")(layers.Activation("sigmoid", name="gate")(gate))
    mask = layers.Multiply(name="mask")([layers.Softmax(name="softmax")(logits), gate])
    return with_statistics(tf_keras.Model(image, mask))


def with_statistics(model: tf_keras.Model, seed: int = 3) -> tf_keras.Model:
    """The model with every batch normalisation as if trained: no two channels alike."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.gamma.shape
            values = (
                rng.uniform(0.4, 1.2, size),
                rng.normal(0, 0.5, size),
                rng.normal(0, 0.5, size),
                rng.uniform(0.7, 2, size),
            )
            layer.set_weights([value.astype(np.float32) for value in values])
    return model


def _conv(x: Any, filters: int, name: str, kernel: int = 3) -> Any:
    return layers.Conv2D(filters, kernel, padding="same", name=name)(x)


def _conv_norm_relu(x: Any, filters: int, name: str) -> Any:
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return layers.Activation("relu", name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_norm")(x))


@dataclass(frozen=True)
class Tensor:
    """One tensor of a TFLite file."""

    dtype: str
    shape: tuple[int, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]


@dataclass(frozen=True)
class Op:
    """One operation of a TFLite file with its tensors."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class Int8File:
    """A fake-quant model converted to full-integer TFLite, and what it computes."""

    def __init__(self, model: tf_keras.Model) -> None:
        self.content = convert(model)
        self._interpreter = Interpreter(model_content=self.content)
        details = {tensor["index"]: tensor for tensor in self._interpreter.get_tensor_details()}
        tensors = {index: _tensor(detail) for index, detail in details.items()}
        self.ops = tuple(
            Op(
                op["op_name"],
                tuple(tensors[i] for i in op["inputs"] if i >= 0),
                tuple(tensors[i] for i in op["outputs"] if i >= 0),
            )
            for op in self._interpreter._get_ops_details()
            if op["op_name"] != "DELEGATE"
        )

    @property
    def counts(self) -> Counter[str]:
        """How many of each operation."""
        return Counter(op.name for op in self.ops)

    def run(self, images: np.ndarray) -> np.ndarray:
        """[N, H, W, C] float to probabilities, by the rule of every int8 tensor: real = (integer - zero point) * scale."""
        self._interpreter.allocate_tensors()
        source, result = self._interpreter.get_input_details()[0], self._interpreter.get_output_details()[0]
        (scale, zero), (out_scale, out_zero) = source["quantization"], result["quantization"]
        masks = []
        for image in images:
            integers = np.clip(np.round(image[None] / scale) + zero, -128, 127).astype(np.int8)
            self._interpreter.set_tensor(source["index"], integers)
            self._interpreter.invoke()
            masks.append((self._interpreter.get_tensor(result["index"])[0].astype(np.float32) - out_zero) * out_scale)
        return np.stack(masks)


def convert(model: tf_keras.Model) -> bytes:
    """Full-integer TFLite of a fake-quant model, by the exporter."""
    height, width, channels = model.input_shape[1:]
    metadata = default_metadata(Preprocessing(height, width, channels), max(2, model.output_shape[-1]))
    return convert_int8(model, metadata, calibration=None)


def quantize_aware(model: tf_keras.Model, images: np.ndarray) -> tf_keras.Model:
    """The fake-quant model of a float model."""
    return fake_quantize(from_keras(model), images).model


def ranges(model: tf_keras.Model) -> dict[str, tuple[float, float]]:
    """Every range of an output in a fake-quant model, by layer."""
    result = {w.name.split("/")[0] + w.name[-6:-2]: float(w) for w in model.weights if "/output_m" in w.name}
    return {name[:-4]: (low, result[name[:-4] + "_max"]) for name, low in result.items() if name.endswith("_min")}


def labels(probabilities: np.ndarray) -> np.ndarray:
    """[N, H, W, K] to [N, H, W]: where one channel is at least one half, or the largest of several."""
    return probabilities[..., 0] >= 0.5 if probabilities.shape[-1] == 1 else probabilities.argmax(axis=-1)


def assert_near(model: tf_keras.Model, quantized: tf_keras.Model, file: Int8File, images: np.ndarray) -> None:
    """In a deep network the rare one-step differences of each kernel spread, until integers and fake-quant are two
    roundings of the float model, each as far from it as the other. So the distance between them is of the size of the
    distance from either to the float model: at most the sum of both, and half a step of 1/256 for their last rounding."""
    integer, fake, real = file.run(images), quantized(images, training=False).numpy(), model(images, training=False).numpy()
    loss = np.abs(fake - real).mean()
    assert np.abs(integer - fake).mean() <= 2 * loss + 0.5 / 256
    assert np.abs(integer - real).mean() <= 1.5 * loss + 0.5 / 256


def assert_same_labels(model: tf_keras.Model, quantized: tf_keras.Model, file: Int8File, images: np.ndarray) -> None:
    """Labels may differ only where the float model itself is undecided by about its quantization error; of a network that
    has learnt something that is a few places in a hundred."""
    integer = labels(file.run(images))
    assert (integer == labels(quantized(images, training=False).numpy())).mean() > 0.97
    assert (integer == labels(model(images, training=False).numpy())).mean() > 0.95


def _tensor(detail: dict[str, Any]) -> Tensor:
    quantization = detail["quantization_parameters"]
    scales = tuple(map(float, quantization["scales"]))
    return Tensor(
        detail["dtype"].__name__, tuple(map(int, detail["shape"])), scales, tuple(map(int, quantization["zero_points"]))
    )
