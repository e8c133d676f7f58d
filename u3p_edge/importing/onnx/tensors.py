"""A value of a file as a node of the graph, with the order that the file gives its axes.

So layouts are turned once, where the input comes in: a transpose changes the order and makes no node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from u3p_edge.config.limits import MAX_MEMORY_MB
from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import function
from u3p_edge.graph.ir import Node
from u3p_edge.graph.ops import Shape

NCHW = (0, 3, 1, 2)
"""The graph's axis of every axis of a map [N, C, H, W]."""

NHWC = (0, 1, 2, 3)
LARGEST_KERNEL = 2**28
"""Most weights of a kernel that reading makes larger: one GB."""

_BYTES = 4
_NONNEGATIVE = frozenset(("relu", "sigmoid", "hard_sigmoid", "softmax", "softplus", "exponential"))


@dataclass(frozen=True)
class FileTensor:
    """A value that a node computes.

    Args:
        node: name of the node.
        shape: of the node in the graph, batch first, channels last.
        order: the graph's axis of every axis in the file.
        nonnegative: no value is below zero.
        nodes: the nodes that compute it and that the graph does not have yet, in order.
        groups: the file has the map [N, C, H, W] as [N, groups, values of a group]; 0 for any other tensor.
    """

    node: str
    shape: Shape
    order: tuple[int, ...]
    nonnegative: bool = False
    nodes: tuple[Node, ...] = ()
    groups: int = 0

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def file_shape(self) -> Shape:
        """The shape in the file."""
        if self.groups:
            return self.shape[0], self.groups, prod(self.shape[1:]) // self.groups
        return tuple(self.shape[axis] for axis in self.order)

    @property
    def channel_axis(self) -> int:
        """The file's axis of the channels."""
        return self.order.index(self.rank - 1)

    def graph_axis(self, axis: int) -> int:
        """Return the graph's axis of an axis of the file, which may count from the end.

        Raises:
            ValueError: there is no such axis.
        """
        if not -self.rank <= axis < self.rank:
            raise ValueError(f"there is no axis {axis} of {self.rank}")
        return self.order[axis]


def compute(node: Node, inputs: Sequence[FileTensor], order: tuple[int, ...] | None = None) -> FileTensor:
    """Return the tensor of a new node that reads `inputs`; its axes are in the order of the first unless one is given.

    Raises:
        ValueError: shapes do not fit.
        ModelError: the map is larger than `MAX_MEMORY_MB`.
    """
    shape = node.kind.shape(node.attrs, node.weights, tuple(x.shape for x in inputs))
    if min(shape) < 1:
        raise ValueError(f"its result has the shape {shape}")
    if prod(shape) * _BYTES > MAX_MEMORY_MB * 1e6:
        raise ModelError(f"it gives a map of {'x'.join(map(str, shape))}, more than {MAX_MEMORY_MB} MB")
    earlier = dict.fromkeys(each for x in inputs for each in x.nodes)
    return FileTensor(node.name, shape, order or inputs[0].order, _is_nonnegative(node, inputs), (*earlier, node))


def with_order(tensor: FileTensor, order: tuple[int, ...]) -> FileTensor:
    """Return the same tensor with its axes in another order."""
    return replace(tensor, order=order)


def _is_nonnegative(node: Node, inputs: Sequence[FileTensor]) -> bool:
    if node.op == "relu":
        return not node.attrs["negative_slope"]
    passed = node.kind.keeps_range or node.op in ("add", "multiply", "concat", "maximum", "pad", "depth_to_space")
    return function(node) in _NONNEGATIVE or (passed and all(x.nonnegative for x in inputs))
