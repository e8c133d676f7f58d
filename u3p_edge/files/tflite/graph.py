"""The content of a TFLite file as values: tensors, operators and metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Tensor:
    """One tensor of a TFLite graph.

    Args:
        name: as in the file.
        shape: NHWC for maps, OHWI for convolution kernels.
        dtype: of its elements.
        data: its constant value, or None for an activation.
        scale: float32 [n], empty for a tensor that is not quantized; n > 1 means per channel along `axis`.
        zero_point: int64 [n].
        axis: of the per-channel scales.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    data: npt.NDArray[Any] | None
    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    axis: int


@dataclass(frozen=True)
class Operator:
    """One operator: its builtin name (e.g. "CONV_2D"), tensor indices (-1 for an absent input) and its options by name."""

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class TFLiteGraph:
    """The one subgraph of a TFLite file; `inputs` and `outputs` are tensor indices."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class TFLiteFile:
    """A whole file: its graph, and its metadata entries by name."""

    graph: TFLiteGraph
    metadata: Mapping[str, memoryview] = field(default_factory=dict)
