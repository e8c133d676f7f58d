"""`u3p-edge inspect`: what a network costs, in which nodes, and how its runtime executes it.

.tflite file ─ read ──────────────────────────────┐
float model ─ inference graph ─ fold ─ (integers) ┴─► network ─► cost, memory plan, XNNPACK's refusals, times
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from u3p_edge.config.limits import MAX_MEMORY_MB
from u3p_edge.errors import ModelError, about
from u3p_edge.export.tflite.names import list_names
from u3p_edge.export.tflite.pack import pack
from u3p_edge.export.tflite.reader import read_graph
from u3p_edge.export.tflite.schema import TFLiteGraph
from u3p_edge.export.tflite.writer import lower_graph
from u3p_edge.files.tflite import check
from u3p_edge.graph import memory
from u3p_edge.graph.cost import cost
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.scheme import Quantized
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.latency.per_op import per_operator
from u3p_edge.progress import Progress
from u3p_edge.report.inspection import Alive, Inspection, MemoryUse, NodeCost, SlowOperator
from u3p_edge.runtime.base import check_file
from u3p_edge.runtime.tflite_raw import left_to_slow_kernels


@dataclass(frozen=True)
class _Subject:
    """A network to be inspected, and the TFLite file that computes it; None where there can be none."""

    name: str
    network: Graph | Quantized
    file: TFLiteGraph | None


def inspect_file(
    path: Path | None,
    *,
    int8: bool = False,
    trust: bool = False,
    threads: int = 1,
    profile: bool = False,
    max_memory_mb: float = MAX_MEMORY_MB,
    progress: Progress,
) -> Inspection:
    """Inspect a model.

    Args:
        path: a .tflite file; a run folder of `u3p-edge train`, a .keras or .h5 file; None for the embedded reference model.
        int8: inspect the int8 network that a float model would become; its values are made up, and no figure depends on them.
        trust: run code that a Keras file holds.
        threads: number of threads for timing.
        profile: time every operator.
        max_memory_mb: a .tflite file that would take more, in MB of 10^6 bytes, is refused.
        progress: see `u3p_edge.progress`.

    Raises:
        ModelError: missing, damaged, or not a network that can be read.
        MissingPackageError: LiteRT is not installed.
    """
    subject = _read(path, int8, trust, max_memory_mb)
    graph, quantized = _parts(subject.network)
    total = cost(graph)
    if profile and subject.file is None:
        raise ModelError(f"{subject.name} has no TFLite form whose operators could be timed", mend="Leave out --profile.")
    return Inspection(
        name=subject.name,
        number="float32" if quantized is None else "int8",
        parameters=total.parameters,
        nodes=_nodes(graph, quantized),
        memory=_memory(graph, quantized),
        slow=None if subject.file is None else _slow(subject.file),
        profile=per_operator(subject.file, threads, progress) if profile and subject.file is not None else None,
    )


def _read(path: Path | None, int8: bool, trust: bool, max_memory_mb: float) -> _Subject:
    if path is not None and path.suffix == ".onnx":
        check_file(path)
        raise ModelError(
            f"{path} is an ONNX file, which cannot be inspected",
            mend="Inspect the .tflite file of the same export: it holds the same network.",
        )
    if path is not None and path.suffix == ".tflite":
        return _read_tflite(path, max_memory_mb)
    from u3p_edge.pipeline.source import read_source  # loads TensorFlow

    source = read_source(path, trust=trust)
    graph = fold_batch_norm(source.graph)
    network = make_dummy_quantized(graph) if int8 else graph
    return _Subject(source.name, network, _lowered(network))


def _read_tflite(path: Path, max_memory_mb: float) -> _Subject:
    check_file(path)
    with about(path):
        file = check.read(path.read_bytes(), max_memory_mb).graph
        return _Subject(path.name, read_graph(file), _named(file))


def _named(file: TFLiteGraph) -> TFLiteGraph:
    """Return the file with its maps named like the nodes of its graph."""
    called = list_names(file, {})
    tensors = tuple(replace(tensor, name=called.get(index, tensor.name)) for index, tensor in enumerate(file.tensors))
    return replace(file, tensors=tensors)


def _lowered(network: Graph | Quantized) -> TFLiteGraph | None:
    try:
        return lower_graph(network)
    except ModelError:  # a layer that the converter writes, and this package's writer does not
        return None


def _parts(network: Graph | Quantized) -> tuple[Graph, Quantized | None]:
    return (network.graph, network) if isinstance(network, Quantized) else (network, None)


def _hidden(graph: Graph, quantized: Quantized | None) -> frozenset[str]:
    """Return the nodes whose value is never stored."""
    if quantized is None:
        return memory.fused_nodes(graph)
    return frozenset(node.name for node in graph.nodes if node.name not in quantized.scheme.tensors)


def _nodes(graph: Graph, quantized: Quantized | None) -> tuple[NodeCost, ...]:
    found, hidden = graph.shapes, _hidden(graph, quantized)
    total = cost(graph, bytes_per_element=4 if quantized is None else 1)
    return tuple(
        NodeCost(
            node=node.name,
            op=node.op,
            shape=found[node.name],
            macs=total.macs.get(node.name, 0),
            weight_bytes=total.weight_bytes.get(node.name, 0),
            activation_bytes=0 if node.name in hidden else total.activation_bytes[node.name],
        )
        for node in graph.nodes
        if node.op != "input"
    )


def _memory(graph: Graph, quantized: Quantized | None) -> MemoryUse:
    size = 4 if quantized is None else 1
    planned = memory.plan_memory(graph, bytes_per_element=size, fused=_hidden(graph, quantized))
    found, placed = graph.shapes, {tensor.name: tensor for tensor in planned.tensors}
    alive = [Alive(name, found[name], placed[name].bytes) for name in planned.at_peak]
    # The last of them to come alive brings about the peak.
    at = graph.nodes[max(placed[name].first for name in planned.at_peak)].name
    return MemoryUse(planned.peak, at, tuple(sorted(alive, key=lambda tensor: -tensor.bytes)))


def _slow(file: TFLiteGraph) -> tuple[SlowOperator, ...]:
    left = [file.operators[place] for place in left_to_slow_kernels(pack(file, None))]
    results = [(op, file.tensors[op.outputs[0]]) for op in left]
    return tuple(SlowOperator(tensor.name, op.code, tensor.shape) for op, tensor in results)
