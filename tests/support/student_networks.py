"""A small network of the students' benchmark, and what it computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.lib import narrow_unet3plus
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.graph.reference import run


def narrow(fold: int = 2) -> Graph:
    """A folded full-scale network of 16x16 pixels, two scales and three classes, as the controls are."""
    return inference_graph(from_keras(narrow_unet3plus.build((16, 16), 1, 3, (4, 8), 4, 8, fold))).graph


def predict(graph: Graph, image: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """The mask of a graph's one output, by the interpreter in NumPy."""
    (mask,) = run(graph, {graph.inputs[0]: image}).values()
    return mask
