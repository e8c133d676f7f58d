"""The fake-quant model of quantization-aware training (Jacob et al. 2018, arXiv:1712.05877), and its ranges.

The model is built with TFMOT's wrapper, quantizers and `QuantizeConfig`, but with this package's own placement and with the
folding of `graph.fold`: see `placement` for what TFMOT's layout transforms get wrong on this network.

TFMOT 0.8.1 with tf_keras needs no TF_USE_LEGACY_KERAS from the user. It takes tf_keras by itself when `tf.keras` is Keras 3,
and sets that variable in this process while it is imported.

    float model ─ from_keras ─ fold ─► Graph ─ to_keras ─► plain twin ─ placement ─► wrapped twin: the fake-quant model
                                                              └─ observe ─► its ranges

Training uses the folded weights, so the statistics of batch normalisation are frozen. TFMOT instead keeps batch normalisation
beside the convolution and quantizes with each batch's own statistics. Over the few epochs of a fine-tuning on small batches
that only adds noise, and the integer file has to use the frozen statistics anyway.

The fake-quant model converts without a representative data set: use `TFLiteConverter` with `optimizations=[DEFAULT]` and int8
input and output, and leave `supported_ops` unchanged (TFLITE_BUILTINS_INT8 by itself requires a data set). Trace the model with
a batch of 1: with an open batch size, the gate's reshape becomes SHAPE, STRIDED_SLICE and PACK.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph, Node, substitute
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.progress import Step, idle
from u3p_edge.quantize.calibration import observe_layers
from u3p_edge.quantize.placement import Placement, place_quantizers
from u3p_edge.quantize.ranges import METHODS, Observed, Range, clip_outliers
from u3p_edge.quantize.support import UntrainableError, check_trainable

LOGIT_BOUND = 6.25
"""Fixed range of logits that only a sigmoid reads. sigmoid(6.25) * 256 = 255.51 and sigmoid(-6.25) * 256 = 0.49: beyond it
an int8 probability is at its last or first value anyway, so a calibrated range would only coarsen the steps near 0.5."""

TOP_PROBABILITY = 255 / 256
"""The largest int8 probability: integer kernels of sigmoid and softmax write steps of 1/256 from zero point -128."""

KERNEL_FLOOR = 1e-4
"""No channel's kernel range is narrower than this share of the layer's widest: a dead channel of range 0 has no scale, and
a tiny one lets its bias overflow int32."""

RANGE_FLOOR = 1e-3
"""No activation's range is narrower than this: a map that is zero on all calibration images still needs a scale."""

COMPARED = 16
"""How many calibration images, evenly chosen, are used to compare the ways of choosing ranges."""

Ranges = Mapping[str, Range]
"""The range of each layer, by the layer's name."""

_keras = tfmot.quantization.keras


class KernelQuantizer(_keras.quantizers.LastValueQuantizer):  # type: ignore[misc, name-defined]  # TFMOT has no types
    """Int8 per output channel, symmetric, -127 to 127; the range follows the kernel in training."""

    def __init__(self) -> None:
        super().__init__(num_bits=8, per_axis=True, symmetric=True, narrow_range=True)

    def __call__(self, inputs: tf.Tensor, training: bool, weights: Mapping[str, tf.Variable], **_: Any) -> tf.Tensor:
        low, high = weights["min_var"], weights["max_var"]
        if training:
            bound = kernel_bound(inputs)
            low, high = low.assign(-bound), high.assign(bound)
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(inputs, low, high, narrow_range=True)

    def get_config(self) -> dict[str, Any]:
        return {}


class LogitQuantizer(_keras.quantizers.Quantizer):  # type: ignore[misc, name-defined]  # TFMOT has no types
    """Int8 between plus and minus LOGIT_BOUND; passes through in training, where clipping would stop the gradient."""

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:  # noqa: ARG002  # TFMOT's signature
        return {}

    def __call__(self, inputs: tf.Tensor, training: bool, weights: Any, **_: Any) -> tf.Tensor:  # noqa: ARG002
        return inputs if training else tf.quantization.fake_quant_with_min_max_args(inputs, -LOGIT_BOUND, LOGIT_BOUND)

    def get_config(self) -> dict[str, Any]:
        return {}


class ProbabilityQuantizer(LogitQuantizer):
    """Int8 in steps of 1/256; passes through in training, for the same reason."""

    def __call__(self, inputs: tf.Tensor, training: bool, weights: Any, **_: Any) -> tf.Tensor:  # noqa: ARG002
        return inputs if training else tf.quantization.fake_quant_with_min_max_args(inputs, 0.0, TOP_PROBABILITY)


class LayerConfig(_keras.QuantizeConfig):  # type: ignore[misc, name-defined]  # TFMOT has no types
    """What TFMOT's wrapper quantizes of one layer: its kernel, if `kernel` is true, and its output, if `output` says how."""

    def __init__(self, kernel: bool, output: Any) -> None:
        self._kernel, self._output = kernel, output

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        return [(layer.kernel, KernelQuantizer())] if self._kernel else []

    def set_quantize_weights(self, layer: Any, quantize_weights: Sequence[Any]) -> None:
        for kernel in quantize_weights:
            layer.kernel = kernel

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:  # noqa: ARG002
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
        pass

    def get_output_quantizers(self, layer: Any) -> list[Any]:  # noqa: ARG002
        return [] if self._output is None else [self._output]

    def get_config(self) -> dict[str, Any]:
        return {"kernel": self._kernel, "output": self._output}


@dataclass(frozen=True)
class FakeQuantized:
    """A fake-quant model, and how its ranges were chosen.

    Args:
        model: a model with the input and output names and shapes of the float model, and with weights of its own. Called
            with `training=False`, it computes what the int8 file computes, up to single steps; with `training=True`, its
            ranges move.
        ranges: the method of choosing ranges whose model comes nearest to the float model.
        errors: for each method, the mean squared difference between its probabilities and the float model's on a calibration
            image. It is the median over images, so the few that have outliers do not decide.
        input_range: smallest and largest pixel value that the integers represent; values beyond them saturate.
    """

    model: tf_keras.Model
    ranges: str
    errors: Mapping[str, float]
    input_range: Range


def quantize_aware(model: tf_keras.Model, images: np.ndarray) -> tf_keras.Model:
    """Return only the model of `fake_quantize`; see there."""
    return fake_quantize(model, images).model


def fake_quantize(model: tf_keras.Model, images: np.ndarray, step: Step = idle) -> FakeQuantized:
    """Return the fake-quant model of a float model, with ranges from calibration images: this is post-training int8.

    Every way of choosing ranges in `quantize.ranges` is tried on up to `COMPARED` of the images. It is tried again with the
    outliers of the images clipped, if there are any. The ranges whose network has the smallest error in its probabilities are
    kept.

    Args:
        model: functional tf_keras inference graph, one input [N, H, W, C], one output of probabilities; not changed.
        images: float32 [N, H, W, C], preprocessed; a few tens are enough.
        step: called after every image that was observed.

    Raises:
        UntrainableError: a layer cannot be quantized; the message names it.
        DataError: there are no images, they have the wrong shape, or they are not finite.
    """
    graph = _prepare(from_keras(model))
    places = place_quantizers(graph)
    twin = to_keras(graph)
    names = [name for name, kind in places.items() if kind is Placement.RANGE]
    tried = _candidates(observe_layers(twin, names, images, step))
    if (clipped := clip_outliers(images)) is not images:
        inside = _candidates(observe_layers(twin, names, clipped))
        tried |= {f"{method}, outliers of the images clipped": ranges for method, ranges in inside.items()}
    wrapped = _wrap_all(graph, twin, places)
    settle_ranges(wrapped)
    compared = images[np.unique(np.linspace(0, len(images) - 1, COMPARED).round().astype(int))]
    errors = {method: _error(twin, wrapped, ranges, compared) for method, ranges in tried.items()}
    best = min(errors, key=lambda method: errors[method])
    _set_ranges(wrapped, tried[best])
    return FakeQuantized(wrapped, best, errors, tried[best][_input(graph)])


def _candidates(observed: Mapping[str, Observed]) -> dict[str, Ranges]:
    """Return the ranges of all layers by each way of choosing them."""
    return {method: {name: choose(seen) for name, seen in observed.items()} for method, choose in METHODS.items()}


def _error(twin: tf_keras.Model, wrapped: tf_keras.Model, ranges: Ranges, images: np.ndarray) -> float:
    """Return the mean squared difference of the probabilities under these ranges from the float twin's, median over images."""
    _set_ranges(wrapped, ranges)

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow is not followed
    def difference(image: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.math.squared_difference(wrapped(image, training=False), twin(image, training=False)))

    return float(np.median([difference(tf.constant(image[np.newaxis])) for image in images]))


def _set_ranges(wrapped: tf_keras.Model, ranges: Ranges) -> None:
    for name, (low, high) in ranges.items():
        _assign(wrapped.get_layer(name), "output", low, max(high, low + RANGE_FLOOR))


def settle_ranges(model: tf_keras.Model) -> None:
    """Set every kernel's range from the kernel's present values. Training leaves the range one update behind."""
    for layer in model.layers:
        if isinstance(layer, _keras.QuantizeWrapperV2) and isinstance(layer.layer, tf_keras.layers.Conv2D):
            bound = kernel_bound(_variable(layer, "kernel"))
            _assign(layer, "kernel", -bound, bound)


def kernel_bound(kernel: tf.Tensor) -> tf.Tensor:
    """Return the largest magnitude in each output channel of an HWIO kernel, but at least a floor: float32 [O]."""
    bound = tf.reduce_max(tf.abs(kernel), axis=(0, 1, 2))
    return tf.maximum(bound, tf.maximum(KERNEL_FLOOR * tf.reduce_max(bound), KERNEL_FLOOR / 10))


def _prepare(graph: Graph) -> Graph:
    """Return the graph folded, and with an identity behind the input that can carry the input's range."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UntrainableError(
            f"QAT wants one input and one output, and the model has {len(graph.inputs)} and {len(graph.outputs)}",
            mend="Hand over its inference graph.",
        )
    check_trainable(graph)
    folded = fold_batch_norm(graph)
    image = folded[folded.inputs[0]]
    return substitute(
        folded, image.name, (image, Node(f"{image.name}_int8", "activation", (image.name,), {"function": "linear"}))
    )


def _input(graph: Graph) -> str:
    """Return the name of the node of a prepared graph that carries the input's range."""
    return f"{graph.inputs[0]}_int8"


def _wrap_all(graph: Graph, twin: tf_keras.Model, places: Mapping[str, Placement]) -> tf_keras.Model:
    """Return the twin with TFMOT's wrapper, of the same name, around every layer that has something to quantize."""

    def wrap(layer: Any) -> Any:
        fresh = type(layer).from_config(layer.get_config())
        kind, kernel = places.get(layer.name), graph[layer.name].op == "conv"
        if kind is None and not kernel:
            return fresh
        return _keras.QuantizeWrapperV2(fresh, LayerConfig(kernel, _output_quantizer(kind)), name=layer.name)

    wrapped = tf_keras.models.clone_model(twin, clone_function=wrap)
    for node in graph.nodes:
        for key, value in node.weights.items():
            _variable(wrapped.get_layer(node.name), key).assign(value)
    return wrapped


def _output_quantizer(kind: Placement | None) -> Any:
    if kind is Placement.RANGE:
        return _keras.quantizers.MovingAverageQuantizer(8, per_axis=False, symmetric=False, narrow_range=False)
    return {None: None, Placement.LOGITS: LogitQuantizer(), Placement.PROBABILITY: ProbabilityQuantizer()}[kind]


def _variable(layer: Any, name: str) -> tf.Variable:
    """Return a wrapper's variable by its short name. TFMOT keeps the wrapped layer's there too, under the layer's name."""
    return next(weight for weight in layer.weights if weight.name.split(":")[0].split("/")[-1] == name)


def _assign(layer: Any, what: str, low: Any, high: Any) -> None:
    """Set the range of a wrapper's `what` ("output" or "kernel")."""
    _variable(layer, f"{what}_min").assign(low)
    _variable(layer, f"{what}_max").assign(high)
