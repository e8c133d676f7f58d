"""Bring a mask that is flattened to [H * W, K], or that has a fraction of the image's size, to the image's size."""

from __future__ import annotations

from dataclasses import replace

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node, rename, substitute
from u3p_edge.graph.ops import Shape

_LARGEST = 16
"""How many times smaller than the image a mask may be along each side: as much as the deepest level of a UNet 3+."""


def enlarge_mask(graph: Graph, mask: str | None) -> tuple[Graph, str | None, tuple[str, ...]]:
    """Return the graph with its mask at the image's size, the mask's name where it is known, and what was done, in sentences.

    A flattened mask is taken before it is flattened, or else reshaped. A smaller mask is upsampled bilinearly. If no name is
    given, this is done only where no output has the image's size and exactly one can be brought to it.

    Args:
        graph: a graph with one image input of fixed size.
        mask: name of the output that is the mask, None where the caller does not know it.

    Raises:
        ModelError: there is no output of that name, or it cannot be brought to the image's size.
    """
    sizes = graph.shapes
    image = sizes[graph.inputs[0]]
    if mask is not None and mask not in graph.outputs:
        raise ModelError(f"the model has no output {mask!r}", mend=f"Its outputs are {', '.join(graph.outputs)}.")
    full = [name for name in graph.outputs if len(sizes[name]) == len(image) and sizes[name][1:3] == image[1:3]]
    near = [name for name in dict.fromkeys(graph.outputs) if _is_flat(sizes[name], image) or _factor(sizes[name], image)]
    name = mask or (near[0] if not full and len(near) == 1 else None)
    if name is None or name in full:
        return graph, mask, ()
    if _is_flat(sizes[name], image):
        return _unflatten(graph, name, image)
    factor = _factor(sizes[name], image)
    if not factor:
        height, width = image[1:3]
        raise ModelError(
            f"the output {name!r} of shape {list(sizes[name][1:])} cannot be brought to the image's size {height}x{width}",
            mend=f"A mask is {height}x{width}, a whole fraction of that (at most {_LARGEST} times smaller), or flattened to "
            f"[{height * width}, classes].",
        )
    note = f"The output {name!r} is {factor} times smaller than the image along each side; the mask is upsampled bilinearly."
    return _append(graph, name, "upsample", {"size": (factor, factor), "interpolation": "bilinear"}), name, (note,)


def _is_flat(shape: Shape, image: Shape) -> bool:
    return len(shape) == 3 and shape[1] == image[1] * image[2]


def _factor(shape: Shape, image: Shape) -> int:
    """Return how many times smaller a map is along both sides; 0 where that is not one whole number above 1."""
    if len(shape) != len(image) or image[1] % shape[1] or image[2] % shape[2]:
        return 0
    factors = {image[1] // shape[1], image[2] // shape[2]}
    return max(factors) if len(factors) == 1 and 1 < max(factors) <= _LARGEST and shape[1:3] != (1, 1) else 0


def _unflatten(graph: Graph, name: str, image: Shape) -> tuple[Graph, str, tuple[str, ...]]:
    sizes, readers = graph.shapes, graph.consumers
    node, behind = graph[name], list[Node]()
    while node.op in ("activation", "softmax") and len(readers[node.name]) == (0 if not behind else 1):
        behind.append(node)
        node = graph[node.inputs[0]]
    alone = len(readers[node.name]) == (1 if behind else 0)
    whole = (*image[:3], sizes[name][2])
    if node.op == "reshape" and alone and sizes[node.inputs[0]] == whole:
        for softmax in (each for each in behind if each.op == "softmax"):
            last = softmax.attrs["axis"] in (-1, 2)
            graph = substitute(graph, softmax.name, (replace(softmax, attrs={**softmax.attrs, "axis": -1 if last else 1}),))
        graph = substitute(graph, node.name, (), result=node.inputs[0])
        kept = name if behind else node.inputs[0]
        return graph, kept, (f"The output {name!r} is flattened; the mask is taken before that.",)
    note = f"The output {name!r} is flattened; the mask is reshaped to the image's size."
    return _append(graph, name, "reshape", {"target_shape": whole[1:]}), name, (note,)


def _append(graph: Graph, name: str, op: str, attrs: dict[str, object]) -> Graph:
    """Return the graph with one more node behind an output. The new node takes the output's name, and the old one another."""
    inner = f"{name}_inner"
    while inner in graph:
        inner += "_"
    renamed = rename(graph, {name: inner})
    outputs = tuple(name if output == inner else output for output in renamed.outputs)
    return replace(renamed, nodes=(*renamed.nodes, Node(name, op, (inner,), attrs)), outputs=outputs)
