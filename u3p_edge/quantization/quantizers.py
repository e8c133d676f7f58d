"""The quantizers of a fake-quant model, and what TFMOT's wrapper quantizes of a layer with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot

from u3p_edge.graph.ir import Node
from u3p_edge.quantization.integers import KERNEL_FLOOR
from u3p_edge.quantization.placement import FIXED, Placement

_keras = tfmot.quantization.keras


class KernelQuantizer(_keras.quantizers.LastValueQuantizer):  # type: ignore[misc, name-defined]  # TFMOT has no types
    """Int8 per output channel, symmetric, -127 to 127; the range follows the kernel in training.

    Args:
        op: of the node whose kernel it is.
    """

    def __init__(self, op: str = "conv") -> None:
        super().__init__(num_bits=8, per_axis=True, symmetric=True, narrow_range=True)
        self._op = op

    def build(self, tensor_shape: tf.TensorShape, name: str, layer: Any) -> dict[str, tf.Variable]:
        built: dict[str, tf.Variable] = super().build(_channels_last(tf.zeros(tensor_shape), self._op).shape, name, layer)
        return built

    def __call__(self, inputs: tf.Tensor, training: bool, weights: Mapping[str, tf.Variable], **_: Any) -> tf.Tensor:
        low, high = weights["min_var"], weights["max_var"]
        columns = _channels_last(inputs, self._op)
        if training:
            bound = _bounds(columns)
            low, high = low.assign(-bound), high.assign(bound)
        quantized = tf.quantization.fake_quant_with_min_max_vars_per_channel(columns, low, high, narrow_range=True)
        return _kernel_of(quantized, inputs.shape, self._op)

    def get_config(self) -> dict[str, Any]:
        return {"op": self._op}


class StillQuantizer(_keras.quantizers.MovingAverageQuantizer):  # type: ignore[misc, name-defined]  # TFMOT has no types
    """Int8 in a calibrated range that training leaves as it is: values of a variance that is 0 in integers are infinite."""

    def __init__(self) -> None:
        super().__init__(8, per_axis=False, symmetric=False, narrow_range=False)

    def __call__(self, inputs: tf.Tensor, training: bool, weights: Any, **_: Any) -> tf.Tensor:  # noqa: ARG002
        return super().__call__(inputs, False, weights)

    def get_config(self) -> dict[str, Any]:
        return {}


class FixedQuantizer(_keras.quantizers.Quantizer):  # type: ignore[misc, name-defined]  # TFMOT has no types
    """Int8 in a fixed range; passes through in training, where clipping would stop the gradient."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:  # noqa: ARG002  # TFMOT's signature
        return {}

    def __call__(self, inputs: tf.Tensor, training: bool, weights: Any, **_: Any) -> tf.Tensor:  # noqa: ARG002
        return inputs if training else tf.quantization.fake_quant_with_min_max_args(inputs, self._low, self._high)

    def get_config(self) -> dict[str, Any]:
        return {"low": self._low, "high": self._high}


class LayerConfig(_keras.QuantizeConfig):  # type: ignore[misc, name-defined]  # TFMOT has no types
    """What TFMOT's wrapper quantizes of one layer.

    Args:
        op: of its node.
        kernel: the attribute of the layer that holds its kernel; empty for none.
        output: how its output is quantized; None for not at all.
    """

    def __init__(self, op: str, kernel: str, output: Any) -> None:
        self.op, self.kernel, self.output = op, kernel, output

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        return [(getattr(layer, self.kernel), KernelQuantizer(self.op))] if self.kernel else []

    def set_quantize_weights(self, layer: Any, quantize_weights: Sequence[Any]) -> None:
        for kernel in quantize_weights:
            setattr(layer, self.kernel, kernel)

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:  # noqa: ARG002
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
        pass

    def get_output_quantizers(self, layer: Any) -> list[Any]:  # noqa: ARG002
        return [] if self.output is None else [self.output]

    def get_config(self) -> dict[str, Any]:
        return {"op": self.op, "kernel": self.kernel, "output": self.output}


def output_quantizer(node: Node, kind: Placement | None) -> Any:
    """Return how the output of a node's layer is quantized; None for not at all."""
    if kind is Placement.RANGE and node.op == "rsqrt":
        return StillQuantizer()
    if kind is Placement.RANGE:
        return _keras.quantizers.MovingAverageQuantizer(8, per_axis=False, symmetric=False, narrow_range=False)
    return None if kind is None else FixedQuantizer(*FIXED[kind])


def _channels_last(kernel: tf.Tensor, op: str) -> tf.Tensor:
    """Return a layer's kernel with the output channels on its last axis, in the order of `integers.kernel_scales`.

    A convolution's has them there. It is left as it is: TensorFlow's converter, to which tests compare, cannot move a reshape
    behind a quantization by channels.
    """
    if op == "conv_transpose":  # HWOI in Keras
        return tf.transpose(kernel, (0, 1, 3, 2))
    if op == "depthwise_conv":  # HWIM
        return tf.reshape(kernel, (-1, kernel.shape[2] * kernel.shape[3]))
    return kernel


def _kernel_of(columns: tf.Tensor, shape: tf.TensorShape, op: str) -> tf.Tensor:
    """Undo `_channels_last`."""
    if op == "conv_transpose":
        return tf.transpose(columns, (0, 1, 3, 2))
    return tf.reshape(columns, shape) if op == "depthwise_conv" else columns


def kernel_bounds_of(kernel: tf.Tensor, op: str) -> tf.Tensor:
    """Return what `integers.kernel_bounds` does, for a layer's kernel while a model trains: float32 [output channels]."""
    return _bounds(_channels_last(kernel, op))


def _bounds(columns: tf.Tensor) -> tf.Tensor:
    bound = tf.reduce_max(tf.abs(columns), axis=tuple(range(len(columns.shape) - 1)))
    return tf.maximum(bound, tf.maximum(KERNEL_FLOOR * tf.reduce_max(bound), KERNEL_FLOOR / 10))
