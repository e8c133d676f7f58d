"""Graphs that channels are pruned from, drawn and written, and the means to compare them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.support.rewrite_sites import drawn, image
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.reference import run
from u3p_edge.models.config import preset
from u3p_edge.pruning.apply import apply_plan, mask_channels
from u3p_edge.pruning.dependency import ChannelGroup, find_groups
from u3p_edge.pruning.plan import PruningPlan

Array = np.ndarray[Any, Any]


def conv(name: str, source: str, channels: int, filters: int, *, kernel: int = 1, bias: bool = True, **attrs: Any) -> Node:
    """A `same` convolution with drawn weights."""
    return linear(name, "conv", source, (kernel, kernel, channels, filters), bias=bias, padding="same", **attrs)


def linear(name: str, op: str, source: str, kernel: tuple[int, ...], *, bias: bool = True, **attrs: Any) -> Node:
    """A node with a drawn kernel and bias; of a depthwise kernel the last two axes make the bias."""
    seed = sum(map(ord, name))
    out = kernel[2] * kernel[3] if op == "depthwise_conv" else kernel[-1]
    weights = {"kernel": drawn(seed, *kernel) / np.float32(np.sqrt(np.prod(kernel[:-1])))}
    return Node(name, op, (source,), attrs, {**weights, **({"bias": drawn(seed + 1, out)} if bias else {})})


def norm(name: str, source: str, channels: int) -> Node:
    """A batch normalisation with every weight drawn; zero does not stay zero."""
    seed = sum(map(ord, name))
    own = {key: drawn(seed + i, channels) for i, key in enumerate(("gamma", "beta", "mean"))}
    return Node(name, "batch_norm", (source,), {}, {**own, "variance": 0.5 + np.abs(drawn(seed + 3, channels))})


def op(name: str, kind: str, *sources: str, **attrs: Any) -> Node:
    """A node without weights."""
    return Node(name, kind, sources, attrs)


def cut(name: str, source: str, first: int, last: int) -> Node:
    """The channels `first` to `last` of a map."""
    return op(name, "crop", source, cropping=((0, 0), (0, 0)), channels=(first, last))


def of(*nodes: Node, channels: int = 3, size: tuple[int, int] = (4, 4), outputs: tuple[str, ...] = ()) -> Graph:
    """The nodes behind an input `x`; the outputs default to the last."""
    return Graph((image(*size, channels), *nodes), ("x",), outputs or (nodes[-1].name,))


def group(graph: Graph, name: str) -> ChannelGroup:
    """The group of that name."""
    return next(group for group in find_groups(graph) if group.name == name)


def values(graph: Graph, outputs: Sequence[str] | None = None) -> dict[str, Array]:
    """The outputs, or those named, on drawn inputs, in float64."""
    feeds = {name: drawn(i, *graph.shapes[name]) for i, name in enumerate(graph.inputs)}
    return run(graph, feeds, outputs, dtype=np.float64)


def assert_same_values(a: Graph, b: Graph) -> dict[str, Array]:
    """The outputs, which agree in every bit.

    The reference adds channel by channel in order, and a masked channel adds zero, so pruned and masked graphs round alike.
    """
    mine, theirs = values(a), values(b)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        np.testing.assert_array_equal(value, theirs[name])
    return mine


def thinned(graph: Graph, seed: int = 0) -> PruningPlan:
    """A random part of every group, at least half of it, so that differences reach the mask."""
    rng = np.random.default_rng(seed)
    free = [group for group in find_groups(graph) if not group.frozen]
    kept = {
        group.name: rng.permutation(group.size)[: rng.integers((group.size + 1) // 2, group.size + 1)].tolist()
        for group in free
    }
    return PruningPlan(kept)


def assert_pruned_as_masked(graph: Graph, plan: PruningPlan) -> Graph:
    """The pruned graph, whose probabilities are those of the masked one, and not those of the whole."""
    pruned = apply_plan(graph, plan)
    mask = graph.outputs[0]
    result = assert_same_values(pruned, mask_channels(graph, plan))[mask]
    assert result.std() > 1e-3
    assert np.abs(result - values(graph, [mask])[mask]).max() > 1e-3
    return pruned


def disturbed(graph: Graph, plan: PruningPlan, seed: int = 5) -> Graph:
    """The graph with other numbers in every slice that makes a dropped channel."""
    nodes = {node.name: node for node in graph.nodes}
    draw = np.random.default_rng(seed)
    for group in find_groups(graph):
        dropped = list(plan.dropped(group))
        for member in group.members if dropped else ():
            if member.role == "producer":
                node = nodes[member.node]
                array = np.moveaxis(node.weights[member.weight].copy(), member.axis, 0)
                indices = member.positions[dropped].ravel()
                array[indices] = draw.uniform(0.5, 2.0, array[indices].shape)
                weights = {**node.weights, member.weight: np.moveaxis(array, 0, member.axis)}
                nodes[member.node] = replace(node, weights=weights)
    return replace(graph, nodes=tuple(nodes[node.name] for node in graph.nodes))


@st.composite
def plans(draw: st.DrawFn, graph: Graph, least: int = 0) -> PruningPlan:
    """Any subset of at least `least` elements of any group, whole groups among them."""
    free = [group for group in find_groups(graph) if not group.frozen]
    chosen = draw(st.sets(st.integers(0, len(free) - 1))) if free else set()
    subset = {
        free[i].name: draw(st.sets(st.integers(0, free[i].size - 1), min_size=min(least, free[i].size))) for i in sorted(chosen)
    }
    return PruningPlan({name: sorted(elements) for name, elements in subset.items()})


@dataclass
class Sketch:
    """A graph in the making: nodes, and (channels, rows) of each map."""

    nodes: list[Node] = field(default_factory=lambda: [image(4, 4, 2)])
    maps: dict[str, tuple[int, int]] = field(default_factory=lambda: {"x": (2, 4)})

    def add(self, node: Node, channels: int, rows: int) -> None:
        self.nodes.append(node)
        self.maps[node.name] = (channels, rows)


Step = Callable[[st.DrawFn, Sketch, str, str], None]


def _conv(draw: st.DrawFn, sketch: Sketch, name: str, source: str) -> None:
    channels, rows = sketch.maps[source]
    filters, kernel = draw(st.integers(1, 4)), draw(st.sampled_from([1, 3]))
    bias, activation = draw(st.booleans()), draw(st.sampled_from(["linear", "relu", "sigmoid"]))
    sketch.add(conv(name, source, channels, filters, kernel=kernel, bias=bias, activation=activation), filters, rows)


def _depthwise(draw: st.DrawFn, sketch: Sketch, name: str, source: str) -> None:
    channels, rows = sketch.maps[source]
    multiplier = draw(st.integers(1, 2))
    node = linear(name, "depthwise_conv", source, (3, 3, channels, multiplier), padding="same")
    sketch.add(node, channels * multiplier, rows)


def _channelwise(draw: st.DrawFn, sketch: Sketch, name: str, source: str) -> None:
    channels, rows = sketch.maps[source]
    functions = st.sampled_from(["relu", "sigmoid", "softplus"])
    alpha = {"alpha": drawn(3, 1, 1, channels)}
    node = draw(
        st.sampled_from([norm(name, source, channels), Node(name, "prelu", (source,), {"shared_axes": (1, 2)}, alpha)])
        | functions.map(lambda function: op(name, "activation", source, function=function))
    )
    sketch.add(node, channels, rows)


def _resized(draw: st.DrawFn, sketch: Sketch, name: str, source: str) -> None:
    channels, rows = sketch.maps[source]
    if rows == 4:
        kind = draw(st.sampled_from(["max_pool", "average_pool", "space_to_depth"]))
        sketch.add(op(name, kind, source), channels * (4 if kind == "space_to_depth" else 1), 2)
    elif channels % 4 == 0 and draw(st.booleans()):
        sketch.add(op(name, "depth_to_space", source), channels // 4, 4)
    else:
        sketch.add(op(name, "upsample", source, interpolation=draw(st.sampled_from(["nearest", "bilinear"]))), channels, 4)


def _joined(draw: st.DrawFn, sketch: Sketch, name: str, source: str) -> None:
    rows = sketch.maps[source][1]
    alike = [other for other, (_, own) in sketch.maps.items() if own == rows]
    parts = [source, *draw(st.lists(st.sampled_from(alike), min_size=1, max_size=4))]
    sketch.add(op(name, "concat", *parts), sum(sketch.maps[part][0] for part in parts), rows)


def _merged(draw: st.DrawFn, sketch: Sketch, name: str, source: str) -> None:
    channels, rows = sketch.maps[source]
    alike = [other for other, own in sketch.maps.items() if own in ((channels, rows), (1, rows))]
    kind = draw(st.sampled_from(["add", "subtract", "multiply", "maximum", "average"]))
    sketch.add(op(name, kind, source, draw(st.sampled_from(alike))), channels, rows)


def _gated(_draw: st.DrawFn, sketch: Sketch, name: str, source: str) -> None:
    channels, rows = sketch.maps[source]
    sketch.nodes += [
        op(f"{name}_pool", "global_max_pool", source),
        linear(f"{name}_fc", "dense", f"{name}_pool", (channels,) * 2),
    ]
    sketch.nodes.append(op(f"{name}_map", "reshape", f"{name}_fc", target_shape=(1, 1, channels)))
    sketch.add(op(name, "multiply", source, f"{name}_map"), channels, rows)


def _viewed(_draw: st.DrawFn, sketch: Sketch, name: str, source: str) -> None:
    """Two neighbouring columns side by side in the channels, mixed there, and apart again."""
    channels, rows = sketch.maps[source]
    sketch.nodes.append(op(f"{name}_wide", "reshape", source, target_shape=(rows, rows // 2, 2 * channels)))
    sketch.nodes.append(conv(f"{name}_mixed", f"{name}_wide", 2 * channels, 4))
    sketch.add(op(name, "reshape", f"{name}_mixed", target_shape=(-1, rows, 2)), 2, rows)


def _sliced(draw: st.DrawFn, sketch: Sketch, name: str, source: str) -> None:
    channels, rows = sketch.maps[source]
    start = draw(st.integers(0, channels - 1))
    stop = draw(st.integers(start + 1, channels))
    sketch.add(cut(name, source, start, stop), stop - start, rows)


STEPS: tuple[Step, ...] = (_conv, _depthwise, _channelwise, _resized, _joined, _merged, _gated, _viewed, _sliced)


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """A random network of one or two outputs; it begins with convolutions and ends in them, the last over a concatenation."""
    sketch = Sketch()
    _conv(draw, sketch, "n0", "x")
    for number in range(1, draw(st.integers(2, 12))):
        source = draw(st.sampled_from([name for name in sketch.maps if name != "x"]))
        draw(st.sampled_from(STEPS))(draw, sketch, f"n{number}", source)
    last = list(sketch.maps)[-1]
    _joined(draw, sketch, "all", last)
    channels, _ = sketch.maps["all"]
    outputs = ("y", *draw(st.sampled_from([(), ("n0",)])))
    return Graph((*sketch.nodes, conv("y", "all", channels, 2)), ("x",), outputs)


@cache
def small_unet(folded: bool) -> Graph:
    """A UNet 3+ of base width 4 for 32x32 images, as it is trained or as it is deployed."""
    from u3p_edge.graph.keras_io import from_keras
    from u3p_edge.models.unet3plus import build

    graph = from_keras(build(preset("paper", input_shape=(32, 32, 1), base_width=4)))
    return fold_batch_norm(inference_graph(graph).graph) if folded else graph


def draw_weights(graph: Graph) -> Graph:
    """The graph with every weight drawn so that maps keep their magnitude and no normalisation is idle."""
    rng = np.random.default_rng(3)

    def weight(key: str, array: Array) -> Array:
        if key == "kernel":
            return rng.standard_normal(array.shape) * np.sqrt(2 / array[..., 0].size)
        low, high = (0.5, 1.5) if key in ("gamma", "variance") else (-0.5, 0.5)
        return np.asarray(rng.uniform(low, high, array.shape))

    def drawn_anew(node: Node) -> Node:
        return replace(node, weights={key: weight(key, array).astype(np.float32) for key, array in node.weights.items()})

    return replace(graph, nodes=tuple(map(drawn_anew, graph.nodes)))
