"""What a network costs and where, as one value and as tables: by stage of a UNet 3+, by node, and by timed operator."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from u3p_edge.latency.per_op import Profile

MEGA = 1e6
Table = tuple[list[str], list[list[str]]]
"""Header and rows."""

_STAGE = re.compile(r"(enc|down|dec|head)(\d)|(stem|head|cgm|output|mask)")
_ELSE = "elsewhere"
_ORDER = ("encoder", *(f"decoder {level}" for level in (4, 3, 2, 1)), "heads", _ELSE)


@dataclass(frozen=True)
class NodeCost:
    """The cost of one operator.

    Args:
        node: name of its output tensor.
        op: TFLite's name of the operator, e.g. "CONV_2D".
        shape: shape of its output tensor, batch first.
        macs: multiply-accumulates.
        weight_bytes: bytes of its kernel and bias.
        activation_bytes: bytes of its output tensor.
    """

    node: str
    op: str
    shape: tuple[int, ...]
    macs: int
    weight_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class Alive:
    """A tensor that is held in memory at a given moment.

    Args:
        node: name of the node that computes it.
        shape: its shape, batch first.
        bytes: its size.
    """

    node: str
    shape: tuple[int, ...]
    bytes: int


@dataclass(frozen=True)
class MemoryUse:
    """The arena that a runtime with best-fit packing of tensors needs for the activations.

    Args:
        peak_bytes: size of the arena.
        peak_node: the node that is computed when the most bytes are alive.
        alive: the tensors that are alive then, the largest first.
    """

    peak_bytes: int
    peak_node: str
    alive: tuple[Alive, ...]


@dataclass(frozen=True)
class SlowOperator:
    """An operator that XNNPACK does not take.

    Args:
        node: name of its output tensor.
        op: TFLite's name of the operator.
        shape: shape of that tensor, batch first.
    """

    node: str
    op: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Inspection:
    """The inspection of one network.

    Args:
        name: name of the file or of the model.
        number: number type of its arithmetic, "int8" or "float32".
        parameters: number of values stored as weights.
        nodes: every node except the input, in the order in which they run.
        memory: memory plan of its activations.
        slow: operators of its TFLite file that XNNPACK does not take.
        profile: times by operator; None if they were not requested.
    """

    name: str
    number: str
    parameters: int
    nodes: tuple[NodeCost, ...]
    memory: MemoryUse
    slow: tuple[SlowOperator, ...]
    profile: Profile | None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole network."""
        return sum(node.macs for node in self.nodes)


def to_dict(inspection: Inspection) -> dict[str, Any]:
    """Return plain values for JSON: all fields, the total `macs`, and `stages` if the nodes' names show them."""
    stages = {
        stage: {
            "macs": sum(node.macs for node in nodes),
            "weight_bytes": sum(node.weight_bytes for node in nodes),
            "activation_bytes": sum(node.activation_bytes for node in nodes),
        }
        for stage, nodes in by_stage(inspection.nodes).items()
    }
    return {**dataclasses.asdict(inspection), "macs": inspection.macs, "stages": stages}


def stage_of(node: str) -> str:
    """Return the stage of a UNet 3+ by a node's name: "encoder", "decoder 1" to "decoder 4", "heads", or "elsewhere"."""
    match = _STAGE.match(node)
    if match is None:
        return _ELSE
    if match[1] in ("enc", "down") or match[3] == "stem":
        return "encoder"
    return f"decoder {match[2]}" if match[1] == "dec" else "heads"


def by_stage(nodes: Iterable[NodeCost]) -> dict[str, list[NodeCost]]:
    """Group the nodes by stage, from the encoder on; empty if half or more of the arithmetic is in nodes of no known stage."""
    stages: dict[str, list[NodeCost]] = {stage: [] for stage in _ORDER}
    for node in nodes:
        stages.setdefault(stage_of(node.node), []).append(node)
    macs = {stage: sum(node.macs for node in members) for stage, members in stages.items()}
    if 2 * macs[_ELSE] >= sum(macs.values()):
        return {}
    return {stage: members for stage, members in stages.items() if members}


def stage_table(inspection: Inspection) -> Table:
    """Return one row per stage, with times if there are any; no rows if the names show no stages."""
    header, rows = ["stage", "GMAC", "share", "weights\nMB", "activations\nMB"], []
    timed = inspection.profile
    if timed:
        header += ["ms", "floor\nms"]
    for stage, nodes in by_stage(inspection.nodes).items():
        macs = sum(node.macs for node in nodes)
        weights, maps = sum(node.weight_bytes for node in nodes), sum(node.activation_bytes for node in nodes)
        row = [stage, f"{macs / 1e9:.3f}", _share(macs, inspection.macs), f"{weights / MEGA:.3f}", f"{maps / MEGA:.2f}"]
        if timed:
            operators = [op for op in timed.rows if stage_of(op.node) == stage]
            row += [f"{sum(op.ms for op in operators):.2f}", f"{sum(op.floor_ms for op in operators):.2f}"]
        rows.append(row)
    return header, rows


def node_table(inspection: Inspection, limit: int) -> Table:
    """Return the nodes with the most multiply-accumulates, then with the largest tensors; at most `limit` of them."""
    heaviest = sorted(inspection.nodes, key=lambda node: (-node.macs, -node.activation_bytes))[:limit]
    rows = [
        [
            node.node,
            node.op,
            _size(node.shape),
            f"{node.macs / 1e9:.3f}",
            _share(node.macs, inspection.macs),
            f"{node.weight_bytes / MEGA:.3f}",
            f"{node.activation_bytes / MEGA:.2f}",
        ]
        for node in heaviest
    ]
    return ["node", "op", "shape", "GMAC", "share", "weights\nMB", "activations\nMB"], rows


def profile_table(profile: Profile, limit: int) -> Table:
    """Return the slowest operators, at most `limit` of them; a share is that of the sum over all operators."""
    total = sum(row.ms for row in profile.rows)
    rows = [
        [
            row.node,
            row.op,
            _size(row.shape),
            f"{row.macs / 1e9:.3f}",
            f"{row.ms:.3f}",
            _share(row.ms, total),
            f"{row.floor_ms:.3f}" if row.macs else "-",
        ]
        for row in sorted(profile.rows, key=lambda row: -row.ms)[:limit]
    ]
    return ["operator gives", "operator", "shape", "GMAC", "ms", "share", "floor\nms"], rows


def memory_table(memory: MemoryUse, limit: int) -> Table:
    """Return the largest tensors that are alive at the peak, at most `limit` of them."""
    rows = [[tensor.node, _size(tensor.shape), f"{tensor.bytes / MEGA:.2f}"] for tensor in memory.alive[:limit]]
    return ["alive at the peak", "shape", "MB"], rows


def slow_table(slow: Sequence[SlowOperator], limit: int) -> Table:
    """Return the operators that XNNPACK does not take, the largest output tensors first; at most `limit` of them."""
    largest = sorted(slow, key=lambda op: -math.prod(op.shape))[:limit]
    return ["operator gives", "operator", "shape"], [[op.node, op.op, _size(op.shape)] for op in largest]


def inspection_findings(inspection: Inspection) -> list[str]:
    """Describe the inspection in sentences."""
    findings = [_cost(inspection), _memory(inspection.memory), _slow(inspection.slow)]
    return findings if inspection.profile is None else [*findings, _profile(inspection.profile)]


def _cost(inspection: Inspection) -> str:
    weights = sum(node.weight_bytes for node in inspection.nodes)
    maps = sum(node.activation_bytes for node in inspection.nodes)
    return (
        f"{inspection.name}, {inspection.number}: {inspection.macs / 1e9:.3f} GMAC an image, {inspection.parameters:,} "
        f"parameters in {weights / MEGA:.2f} MB, {maps / MEGA:.2f} MB of activations in all."
    )


def _memory(memory: MemoryUse) -> str:
    alive = sum(tensor.bytes for tensor in memory.alive)
    return (
        f"The memory plan needs {memory.peak_bytes / MEGA:.2f} MB for activations. The most is alive while "
        f"{memory.peak_node} is computed: {alive / MEGA:.2f} MB in {len(memory.alive)} tensors. Weights and a runtime's own "
        "buffers come on top."
    )


def _slow(slow: Sequence[SlowOperator]) -> str:
    if not slow:
        return "XNNPACK takes every operator of the TFLite file."
    kinds = ", ".join(sorted({op.op for op in slow}))
    return (
        f"XNNPACK does not take {len(slow)} operator{'s' if len(slow) > 1 else ''} ({kinds}). TFLite's own kernels run what is "
        "left: on large maps those are often ten times slower and more, and each cuts what XNNPACK runs into one more piece, "
        "between which tensors are handed over in memory."
    )


def _profile(profile: Profile) -> str:
    total, floor = sum(row.ms for row in profile.rows), sum(row.floor_ms for row in profile.rows)
    threads = f"{profile.threads} thread{'s' if profile.threads > 1 else ''}"
    return (
        f"With {threads} the whole takes {profile.whole_ms:.2f} ms; its operators alone sum to {total:.2f} ms. At this "
        f"machine's peak of {profile.peak / 1e9:.0f} GMAC a second, as a large convolution reaches it, the arithmetic alone "
        f"would take {floor:.2f} ms."
    )


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape[1:])) or "1"
