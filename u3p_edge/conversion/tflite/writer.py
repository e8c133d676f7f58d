"""Write a graph as a TFLite file: float32, or the integers of a scheme. No TensorFlow, so a device can write its own files.

    Graph or Quantized ─ one operator or a few for every node ─► calls ─ tensors get their indices ─► TFLiteGraph ─► bytes

No value is chosen here: the integers, scales and zero points in the file are those of the graph and its scheme. A ReLU is
fused into the operator that only it reads, because XNNPACK has no kernel for an int8 ReLU as an operator of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from u3p_edge.config.metadata import Metadata
from u3p_edge.conversion.tflite.layout_ops import apply_layout
from u3p_edge.conversion.tflite.layout_rows import rows_as_images
from u3p_edge.conversion.tflite.lower import lowering_of
from u3p_edge.conversion.tflite.lower_labels import label_calls
from u3p_edge.conversion.tflite.pack import pack
from u3p_edge.conversion.tflite.pieces import NONE, Call, LoweringContext, make_context, relu_kind, resolve
from u3p_edge.conversion.tflite.schema import Operator, Tensor, TFLiteGraph
from u3p_edge.errors import ModelError
from u3p_edge.graph.decompose import decompose
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.logits import fit_output
from u3p_edge.graph.scheme import Quantized


def write_tflite(
    network: Graph | Quantized, metadata: Metadata | None = None, *, float_io: bool = False, layouts: bool = True
) -> bytes:
    """Return a TFLite file that computes the network, node after node in the graph's order.

    Args:
        network: a graph with float32 weights and batch normalisation folded, or a network in integers.
        metadata: stored in the file, with input `image` and output `mask`, which is what `metadata.output` says; None leaves it
            out, keeps the nodes' names, and gives what the network gives.
        float_io: whether to put float32 inputs and outputs around a network in integers.
        layouts: whether to apply the layout passes, which need less memory, see `layout_ops`; otherwise every node is written
            in its original layout.

    Raises:
        ModelError: for an op, an activation or an attribute that has no TFLite form, or a scheme that no kernel can run;
            the message names the node.
    """
    output = "probabilities" if metadata is None else metadata.output
    ready = fit_output(network, output)
    return pack(lower_graph(ready, float_io=float_io, layouts=layouts, labels=output == "labels"), metadata)


def lower_graph(
    network: Graph | Quantized, *, float_io: bool = False, layouts: bool = True, labels: bool = False
) -> TFLiteGraph:
    """Return the TFLite graph that `write_tflite` packs; `labels` says whether to go on from the logits to the labels."""
    graph, scheme = (network.graph, network.scheme) if isinstance(network, Quantized) else (decompose(network), None)
    context = make_context(graph, scheme, layouts=layouts)
    inputs = tuple(context.map(name) for name in graph.inputs)
    outputs = tuple(resolve(context.alias, name) for name in graph.outputs)
    calls = tuple(call for node in graph.nodes for call in _calls(context, node))
    if layouts:
        calls = rows_as_images(_with_layouts(inputs, calls), inputs, outputs)
    if labels:
        (name,) = outputs
        calls = (*calls, *label_calls(next(call.output for call in calls if call.output.name == name)))
        outputs = (calls[-1].output.name,)
    if scheme is not None and float_io:
        inputs, calls, outputs = _float_ends(inputs, calls, outputs)
    return _numbered(inputs, calls, outputs)


def _calls(context: LoweringContext, node: Node) -> tuple[Call, ...]:
    if node.op == "input" or node.name in context.alias or node.name in context.fused:
        return ()
    before = next((context.graph[name] for name in node.inputs if context.fused.get(name) == node.name), None)
    if before is not None:
        return _lowered(context, before, context.map(node.name), relu_kind(node))
    return _lowered(context, node, context.map(node.name), NONE)


def _with_layouts(inputs: tuple[Tensor, ...], calls: tuple[Call, ...]) -> tuple[Call, ...]:
    """Apply the layouts that need smaller address tables to the calls, see `layout_ops`."""
    maps = {tensor.name: tensor for tensor in (*inputs, *(call.output for call in calls))}
    sources = ((call, maps.get(call.inputs[0]) if isinstance(call.inputs[0], str) else None) for call in calls)
    return tuple(new for call, source in sources for new in ((call,) if source is None else apply_layout(call, source)))


def _lowered(context: LoweringContext, node: Node, out: Tensor, fused: int) -> tuple[Call, ...]:
    lowering = lowering_of(node)
    if lowering is None:
        new = "A new op names its operator in its record (`Op.tflite`)."
        mend = "Fold it into the convolution before it." if node.op == "batch_norm" else new
        raise ModelError(f"no operator computes the node {node.name!r} ({node.op})", mend=mend)
    if context.scheme is not None and node.kind.keeps_scale:
        _check_scale(context, node, out)
    return lowering(context, node, out, fused)


def _check_scale(context: LoweringContext, node: Node, out: Tensor) -> None:
    for name in context.sources(node):
        source = context.map(name)
        if source.scale[0] != out.scale[0] or source.zero_point[0] != out.zero_point[0]:
            raise ModelError(
                f"the node {node.name!r} ({node.op}) has another scale than {name!r}, which it reads",
                mend="Put an identity with the new scale between them.",
            )


def _float_ends(
    inputs: tuple[Tensor, ...], calls: tuple[Call, ...], outputs: tuple[str, ...]
) -> tuple[tuple[Tensor, ...], tuple[Call, ...], tuple[str, ...]]:
    """Put float32 inputs and outputs around the integers; labels stay integers."""

    def real(tensor: Tensor) -> Tensor:
        none = np.zeros(0, np.float32), np.zeros(0, np.int64)
        return replace(tensor, name=f"{tensor.name}/float", dtype=np.dtype(np.float32), scale=none[0], zero_point=none[1])

    given = {tensor.name: tensor for tensor in (*inputs, *(call.output for call in calls))}
    enter = tuple(Call("QUANTIZE", (real(tensor).name,), tensor) for tensor in inputs)
    ends = [given[name] for name in outputs if given[name].dtype == np.int8]
    leave = tuple(Call("DEQUANTIZE", (tensor.name,), real(tensor)) for tensor in ends)
    names = {tensor.name: real(tensor).name for tensor in ends}
    return tuple(map(real, inputs)), (*enter, *calls, *leave), tuple(names.get(name, name) for name in outputs)


def _numbered(inputs: tuple[Tensor, ...], calls: tuple[Call, ...], outputs: tuple[str, ...]) -> TFLiteGraph:
    """Return the graph in which every map and every constant has its tensor index; equal constants are one tensor."""
    maps = (*inputs, *(call.output for call in calls))
    where = {tensor.name: index for index, tensor in enumerate(maps)}
    constants: dict[object, Tensor] = {}
    for tensor in _constants(calls):
        constants.setdefault(_content(tensor), tensor)
    where_constant = {key: len(maps) + index for index, key in enumerate(constants)}

    def number(given: str | Tensor | None) -> int:
        if given is None:
            return -1
        return where[given] if isinstance(given, str) else where_constant[_content(given)]

    operators = (Operator(c.code, tuple(map(number, c.inputs)), (where[c.output.name],), c.options) for c in calls)
    return TFLiteGraph(
        (*maps, *constants.values()), tuple(operators), tuple(range(len(inputs))), tuple(where[name] for name in outputs)
    )


def _content(tensor: Tensor) -> object:
    """Return a key that equal constants share."""
    values = (np.asarray(array).tobytes() for array in (tensor.data, tensor.scale, tensor.zero_point))
    return tensor.shape, tensor.dtype.str, tensor.axis, *values


def _constants(calls: Iterable[Call]) -> Iterator[Tensor]:
    return (given for call in calls for given in call.inputs if isinstance(given, Tensor))
