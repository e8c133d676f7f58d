"""The ops that a graph is made of, one record each, in a file of its family. A new op is a record in one of these files, or in
a new file that `FAMILIES` names.

Tensors are NHWC, convolution kernels are HWIO (output channels always last; a depthwise kernel is [kh, kw, in, multiplier]).
Shapes have the batch axis first, so that an axis attribute means what it means in Keras. The batch is 1 unless an input fixes
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from u3p_edge.graph.ops.functions import FUNCTIONS
from u3p_edge.graph.ops.op import REQUIRED, Attrs, Op, Shape, Weights

FAMILIES = (
    "identities",
    "convolutions",
    "normalization",
    "activations",
    "pools",
    "interpolation",
    "merges",
    "moves",
)
"""The files of this folder that have records, each in a tuple `OPS`."""


def _read_records() -> Mapping[str, Op]:
    records: dict[str, Op] = {}
    for family in FAMILIES:
        for op in import_module(f"{__name__}.{family}").OPS:
            if op.name in records:
                raise ValueError(f"two records are named {op.name!r}; the second is in {family}.py")
            records[op.name] = op
    return MappingProxyType(records)


OPS: Mapping[str, Op] = _read_records()
"""Every op that a node can have, by name."""

__all__ = ["FAMILIES", "FUNCTIONS", "OPS", "REQUIRED", "Attrs", "Op", "Shape", "Weights"]
