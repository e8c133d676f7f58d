"""Quantization-aware training: a float model, trained on under fake quantization, gives the network in integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tf_keras

from u3p_edge.graph.scheme import Quantized
from u3p_edge.quantization.fake_quant import read_integers
from u3p_edge.quantization.finetune import train_qat


@dataclass(frozen=True)
class QatResult:
    """The result of quantization-aware training.

    Args:
        network: the integers of the kept epoch and what they represent.
        ranges: name of the way of choosing the first ranges (`ranges.METHODS`).
        epoch: the kept epoch, from 1; 0 is the network that was only calibrated.
    """

    network: Quantized
    ranges: str
    epoch: int


def quantize_qat(model: tf_keras.Model, images: np.ndarray, labels: np.ndarray, **options: Any) -> QatResult:
    """Return the network in integers of the best epoch.

    Args:
        model: float inference graph in tf_keras, with one input and one output of probabilities; not changed.
        images: float32 [N, H, W, C], preprocessed.
        labels: uint8 [N, H, W], classes; `metrics.IGNORE` where a pixel does not count.
        options: loss, validate, epochs and the others of `finetune.train_qat`.

    Raises:
        ModelError, DataError, ConfigError: as `finetune.train_qat`.
    """
    trained = train_qat(model, images, labels, **options)
    return QatResult(read_integers(trained), trained.ranges, trained.epoch)
