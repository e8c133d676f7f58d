"""Post-training quantization: a float graph and calibration images give the network in integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.ir import Graph
from u3p_edge.graph.scheme import Quantized
from u3p_edge.progress import Step, idle
from u3p_edge.quantization.fake_quant import fake_quantize, read_integers

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Calibrated:
    """A network in integers, and how the ranges of its maps were chosen.

    Args:
        network: the integers and what they represent.
        ranges: name of the way of choosing ranges that was kept (`ranges.METHODS`).
        errors: for each way, the mean squared difference of the probabilities from the float network's on a calibration image,
            median over images.
    """

    network: Quantized
    ranges: str
    errors: Mapping[str, float]


def quantize_ptq(graph: Graph, images: Images, step: Step = idle) -> Quantized:
    """Return the network in integers, with ranges measured on calibration images.

    Args:
        graph: float32 inference graph of one input [N, H, W, C] and one output of probabilities.
        images: float32 [N, H, W, C], preprocessed as for the float network; a few tens are enough.
        step: called after every image that was observed.

    Raises:
        ModelError: a layer has no int8 form; the message names it.
        DataError: there are no images, they have the wrong shape, or they are not finite.
    """
    return calibrate(graph, images, step).network


def calibrate(graph: Graph, images: Images, step: Step = idle, *, ranges: str | None = None) -> Calibrated:
    """Do what `quantize_ptq` does, and also tell how the ranges were chosen; `ranges` is as in `fake_quantize`."""
    fake = fake_quantize(graph, images, step, ranges=ranges)
    return Calibrated(read_integers(fake), fake.ranges, fake.errors)
