"""The ops that a graph is made of, one record each, in a file of its family. A new op is a record in one of them, or in a
file of its own that is named here.

Tensors are NHWC, convolution kernels are HWIO (output channels always last; a depthwise kernel is [kh, kw, in, multiplier]).
Shapes have the batch axis first, so that an axis attribute means what it means in Keras. The batch is 1 unless an input fixes
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from u3p_edge.graph.ops.activations import ACTIVATIONS
from u3p_edge.graph.ops.convolutions import CONVOLUTIONS
from u3p_edge.graph.ops.functions import FUNCTIONS
from u3p_edge.graph.ops.identities import IDENTITIES
from u3p_edge.graph.ops.interpolation import INTERPOLATION
from u3p_edge.graph.ops.merges import MERGES
from u3p_edge.graph.ops.moves import MOVES
from u3p_edge.graph.ops.normalization import NORMALIZATION
from u3p_edge.graph.ops.op import REQUIRED, Attrs, Op, Shape, Weights
from u3p_edge.graph.ops.pools import POOLS

FAMILIES: tuple[tuple[Op, ...], ...] = (
    IDENTITIES,
    CONVOLUTIONS,
    NORMALIZATION,
    ACTIVATIONS,
    POOLS,
    INTERPOLATION,
    MERGES,
    MOVES,
)
"""Every record, by family."""

OPS: Mapping[str, Op] = MappingProxyType({op.name: op for family in FAMILIES for op in family})
"""Every op that a node can have, by name."""

__all__ = ["FAMILIES", "FUNCTIONS", "OPS", "REQUIRED", "Attrs", "Op", "Shape", "Weights"]
