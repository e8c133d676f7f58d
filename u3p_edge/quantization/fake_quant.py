"""The fake-quant model (Jacob et al. 2018, arXiv:1712.05877), its ranges, and the network in integers that it stands for.

The model is built with TFMOT's wrapper, quantizers and `QuantizeConfig`, but with this package's own placement and with the
folding of `graph.fold`: see `placement` for what TFMOT's layout transforms get wrong on this network.

TFMOT 0.8.1 with tf_keras needs no TF_USE_LEGACY_KERAS from the user. It takes tf_keras by itself when `tf.keras` is Keras 3,
and sets that variable in this process while it is imported.

    Graph ─ fold ─► Graph ─ to_keras ─► plain twin ─ placement ─► wrapped twin: the fake-quant model ─ integers ─► Quantized
                                           └─ observe ─► its ranges

Training uses the folded weights, so the statistics of batch normalisation are frozen. TFMOT instead keeps batch normalisation
beside the convolution and quantizes with each batch's own statistics. Over the few epochs of a fine-tuning on small batches
that only adds noise, and the integer file has to use the frozen statistics anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from u3p_edge.data.spread import spread_evenly
from u3p_edge.errors import ConfigError
from u3p_edge.graph.decompose import decompose
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph, Node, substitute
from u3p_edge.graph.keras_io import build_layer, kernel_attribute, list_weights, read_weights, to_keras
from u3p_edge.graph.scheme import Quantized
from u3p_edge.progress import Step, idle
from u3p_edge.quantization.calibration import observe_layers
from u3p_edge.quantization.integers import RANGE_FLOOR, to_integers
from u3p_edge.quantization.placement import Placement, place_quantizers, widen_logits
from u3p_edge.quantization.quantizers import LayerConfig, kernel_bounds_of, output_quantizer
from u3p_edge.quantization.ranges import METHODS, Observed, Range, clip_outliers
from u3p_edge.quantization.support import UntrainableError, check_quantizable

COMPARED = 16
"""How many calibration images, evenly chosen, are used to compare the ways of choosing ranges."""

Ranges = Mapping[str, Range]
"""The range of each layer, by the layer's name."""

_keras = tfmot.quantization.keras


@dataclass(frozen=True)
class FakeQuantized:
    """A fake-quant model, and how its ranges were chosen.

    Args:
        graph: the graph of its layers, folded, with the weights that it began with.
        model: a model with the input and output names and shapes of the float model, and with weights of its own. Called
            with `training=False`, it computes what the int8 file computes, up to single steps; with `training=True`, its
            ranges move.
        ranges: the method of choosing ranges: the one whose model comes nearest to the float model, or the one asked for.
        errors: for each method, the mean squared difference between its probabilities and the float model's on a calibration
            image. It is the median over images, so the few that have outliers do not decide.
        input_range: smallest and largest pixel value that the integers represent; values beyond them saturate.
        constant: nodes of the graph whose weights stay as they are: they take part in what the float model has no weights for,
            such as the mean of a layer normalisation.
        epoch: of training, from 1; 0 is the model that is only calibrated.
    """

    graph: Graph
    model: tf_keras.Model
    ranges: str
    errors: Mapping[str, float]
    input_range: Range
    constant: frozenset[str] = frozenset()
    epoch: int = 0

    @property
    def trained(self) -> list[tf.Variable]:
        """The variables that training changes."""
        layers = [layer for layer in self.model.layers if layer.name not in self.constant]
        return [variable for layer in layers for variable in layer.trainable_variables]


def fake_quantize(graph: Graph, images: np.ndarray, step: Step = idle, *, ranges: str | None = None) -> FakeQuantized:
    """Return the fake-quant model of a float graph, with ranges from calibration images.

    Every way of choosing ranges in `quantization.ranges` is tried on up to `COMPARED` of the images. It is tried again with the
    outliers of the images clipped, if there are any. The ranges whose network has the smallest error in its probabilities are
    kept.

    Args:
        graph: inference graph of one input [N, H, W, C] and one output of probabilities.
        images: float32 [N, H, W, C], preprocessed; a few tens are enough.
        step: called after every image that was observed.
        ranges: the method of choosing ranges that is kept, by its name in `FakeQuantized.errors`; None for the best.

    Raises:
        ModelError: a layer cannot be quantized; the message names it.
        DataError: there are no images, they have the wrong shape, or they are not finite.
        ConfigError: there is no such method of choosing ranges for these images.
    """
    graph, constant = _prepare(graph)
    placed = place_quantizers(graph)
    twin = to_keras(graph)
    names = [name for name, kind in placed.items() if kind is Placement.RANGE]
    tried = _candidates(graph, observe_layers(twin, names, images, step))
    if (clipped := clip_outliers(images)) is not images:
        inside = _candidates(graph, observe_layers(twin, names, clipped))
        tried |= {f"{method}, outliers of the images clipped": ranges for method, ranges in inside.items()}
    wrapped = _wrap_all(graph, twin, placed)
    settle_ranges(wrapped)
    compared = images[spread_evenly(len(images), COMPARED)]
    errors = _errors(twin, wrapped, tried, compared)
    best = ranges or min(errors, key=lambda method: errors[method])
    if best not in tried:
        raise ConfigError(f"ranges cannot be chosen by {best!r}", mend=f"It is one of {', '.join(map(repr, tried))}.")
    _set_ranges(wrapped, tried[best])
    return FakeQuantized(graph, wrapped, best, errors, tried[best][_input(graph)], constant)


def read_integers(fake: FakeQuantized) -> Quantized:
    """Return the network in integers that a fake-quant model stands for: its weights and ranges as they are now."""

    def trained(node: Node) -> Node:
        layer = fake.model.get_layer(node.name)
        return replace(node, weights=read_weights(node, lambda name: _variable(layer, name).numpy()))

    placed = place_quantizers(fake.graph)
    wrapped = {name: fake.model.get_layer(name) for name, kind in placed.items() if kind is Placement.RANGE}
    ranges = {
        name: (float(_variable(layer, "output_min")), float(_variable(layer, "output_max"))) for name, layer in wrapped.items()
    }
    image, entry = fake.graph.inputs[0], _input(fake.graph)
    graph = replace(fake.graph, nodes=tuple(map(trained, fake.graph.nodes)))
    return to_integers(substitute(graph, entry, (), result=image), {**ranges, image: ranges[entry]})


def _candidates(graph: Graph, observed: Mapping[str, Observed]) -> dict[str, Ranges]:
    """Return the ranges of all layers by each way of choosing them."""
    return {
        method: {name: widen_logits(graph, name, choose(seen)) for name, seen in observed.items()}
        for method, choose in METHODS.items()
    }


def _errors(twin: tf_keras.Model, wrapped: tf_keras.Model, tried: Mapping[str, Ranges], images: np.ndarray) -> dict[str, float]:
    """Return, for each way of choosing ranges, the mean squared difference of the probabilities from the float twin's.

    It is the median over the images.
    """

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow is not followed
    def difference(image: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.math.squared_difference(wrapped(image, training=False), twin(image, training=False)))

    errors = {}
    for method, ranges in tried.items():
        _set_ranges(wrapped, ranges)
        errors[method] = float(np.median([difference(tf.constant(image[np.newaxis])) for image in images]))
    return errors


def _set_ranges(wrapped: tf_keras.Model, ranges: Ranges) -> None:
    for name, (low, high) in ranges.items():
        _assign(wrapped.get_layer(name), "output", low, max(high, low + RANGE_FLOOR))


def settle_ranges(model: tf_keras.Model) -> None:
    """Set every kernel's range from the kernel's present values. Training leaves the range one update behind."""
    for layer in model.layers:
        config = layer.quantize_config if isinstance(layer, _keras.QuantizeWrapperV2) else None
        if config is not None and config.kernel:
            bound = kernel_bounds_of(_variable(layer, config.kernel), config.op).numpy()
            _assign(layer, config.kernel, -bound, bound)


def _prepare(graph: Graph) -> tuple[Graph, frozenset[str]]:
    """Return the graph folded, and with an identity behind the input that can carry the input's range; and its nodes with
    kernels that are constants."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UntrainableError(
            f"int8 wants one input and one output, and the model has {len(graph.inputs)} and {len(graph.outputs)}",
            mend="Hand over its inference graph.",
        )
    whole = fold_batch_norm(graph)
    parts = decompose(whole)
    check_quantizable(parts)
    learnt = {id(node.weights["kernel"]) for node in whole.nodes if "kernel" in node.weights}
    constant = (node.name for node in parts.nodes if "kernel" in node.weights and id(node.weights["kernel"]) not in learnt)
    image = parts[parts.inputs[0]]
    ranged = Node(f"{image.name}_int8", "activation", (image.name,), {"function": "linear"})
    return substitute(parts, image.name, (image, ranged)), frozenset(constant)


def _input(graph: Graph) -> str:
    """Return the name of the node of a prepared graph that carries the input's range."""
    return f"{graph.inputs[0]}_int8"


def _wrap_all(graph: Graph, twin: tf_keras.Model, placed: Mapping[str, Placement]) -> tf_keras.Model:
    """Return the twin with TFMOT's wrapper, of the same name, around every layer that has something to quantize."""

    def wrap(layer: Any) -> Any:
        fresh = build_layer(graph[layer.name])
        node, kind = graph[layer.name], placed.get(layer.name)
        kernel = kernel_attribute(node)
        if kind is None and not kernel:
            return fresh
        return _keras.QuantizeWrapperV2(fresh, LayerConfig(node.op, kernel, output_quantizer(node, kind)), name=layer.name)

    wrapped = tf_keras.models.clone_model(twin, clone_function=wrap)
    for node in graph.nodes:
        for name, value in list_weights(node):
            _variable(wrapped.get_layer(node.name), name).assign(value)
    return wrapped


def _variable(layer: Any, name: str) -> tf.Variable:
    """Return a wrapper's variable by its short name. TFMOT keeps the wrapped layer's there too, under the layer's name."""
    return next(weight for weight in layer.weights if weight.name.split(":")[0].split("/")[-1] == name)


def _assign(layer: Any, what: str, low: Any, high: Any) -> None:
    """Set the range of a wrapper's `what` ("output" or "kernel")."""
    _variable(layer, f"{what}_min").assign(low)
    _variable(layer, f"{what}_max").assign(high)
