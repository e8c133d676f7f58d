"""A float tf_keras model as a `Session`: every exported file is compared with it. The only runtime that needs TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from u3p_edge.config.metadata import Metadata
from u3p_edge.runtime.base import FloatArray, OutputArray, Shape, decode, encode


@dataclass(frozen=True)
class KerasSession:
    """A `Session` over a compiled call of a tf_keras model; TensorFlow chooses its threads."""

    name: str
    format: str
    metadata: Metadata
    threads: int
    input_shape: Shape
    _call: Any

    def prepare(self, image: FloatArray) -> Callable[[], None]:
        """See `Session.prepare`."""
        batch = tf.constant(encode(image, self.input_shape, None, self.name))

        def invoke() -> None:
            # .numpy() waits for the result.
            self._call(batch).numpy()

        return invoke

    def run(self, image: FloatArray) -> OutputArray:
        """See `Session.run`."""
        return decode(self._call(tf.constant(encode(image, self.input_shape, None, self.name))).numpy(), None)


def keras_session(model: Any, metadata: Metadata, name: str = "float model") -> KerasSession:
    """Return a tf_keras model [N, H, W, C] -> [N, H, W, K] as a session; of several outputs the first is the mask."""
    p = metadata.preprocessing

    def mask(image: Any) -> Any:
        outputs = model(image, training=False)
        if isinstance(outputs, dict):
            outputs = list(outputs.values())
        return outputs[0] if isinstance(outputs, (list, tuple)) else outputs

    spec = tf.TensorSpec([1, p.height, p.width, p.channels], np.float32)
    call = tf.function(mask, input_signature=[spec])
    return KerasSession(name, "keras-float32", metadata, 0, (p.height, p.width, p.channels), call)
