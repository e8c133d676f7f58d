"""Give an ONNX file names that depend on the model alone. tf2onnx numbers them with a counter of the running process."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import onnx

GRAPH = "unet3plus"
_COUNTER = re.compile(r"(__\d+|:\d+)")


def name_by_content(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the same model with its nodes and tensors named in the order of the graph, without doc strings.

    Names keep what tf2onnx took from the layers, without its counters: "unet/conv/Conv2D__95:0" becomes "unet/conv/Conv2D", and
    the second of that name becomes "unet/conv/Conv2D_2". Inputs and outputs of the model keep their names. A model with graphs
    inside its nodes only loses its doc strings.
    """
    renamed = onnx.ModelProto()
    renamed.CopyFrom(model)
    graph = renamed.graph
    for part in (renamed, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("doc_string")
    graph.name = GRAPH
    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return renamed
    nodes = _ordered(graph)
    names = _names(graph, nodes)
    place = {name: number for number, name in enumerate(names)}
    del graph.node[:]
    graph.node.extend(nodes)
    for number, node in enumerate(graph.node):
        node.name = f"{number}/{names[node.output[0]]}"
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for values in (graph.initializer, graph.value_info):
        kept = sorted((value for value in values if value.name in names), key=lambda value: place[value.name])
        del values[:]
        values.extend(kept)
        for value in values:
            value.name = names[value.name]
    return renamed


def _ordered(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs are computed from, each after those it reads: depth-first from the outputs."""
    made_by = {name: node for node in graph.node for name in node.output}
    waiting = [(value.name, False) for value in reversed(graph.output)]
    done, order = set[str](), list[onnx.NodeProto]()
    while waiting:
        name, ready = waiting.pop()
        node = made_by.get(name)
        if node is None or node.output[0] in done:
            continue
        if ready:
            done.add(node.output[0])
            order.append(node)
        else:
            waiting += [(name, True), *((source, False) for source in reversed(node.input))]
    return order


def _names(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> dict[str, str]:
    """Map every name that the nodes use to its new name, in the order of use."""
    fixed = ["", *(value.name for value in (*graph.input, *graph.output))]
    used = dict.fromkeys(name for node in nodes for name in (*node.input, *node.output))
    return dict(zip(fixed, fixed, strict=True)) | _unique(name for name in used if name not in fixed)


def _unique(names: Iterable[str]) -> dict[str, str]:
    """Map each name to itself without its counters; the second name with the same result gets the suffix "_2"."""
    found: dict[str, str] = {}
    counts = Counter[str]()
    taken = set[str]()
    for name in names:
        base = _COUNTER.sub("", name)
        while True:
            counts[base] += 1
            new = base if counts[base] == 1 else f"{base}_{counts[base]}"
            if new not in taken:
                break
        taken.add(new)
        found[name] = new
    return found
