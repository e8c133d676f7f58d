"""`u3p-edge device profile`: a latency table of this machine for one network and all narrower versions of it, or for any.

network file ─ read ─► graph ─ fill ─► table ─► JSON
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from u3p_edge.conversion.network_file import SUFFIX, read_network
from u3p_edge.errors import ModelError, about
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.scheme import Quantized
from u3p_edge.latency import quiet_timer
from u3p_edge.latency.probe import Target
from u3p_edge.latency.table.kind_samples import list_kind_points
from u3p_edge.latency.table.measure import (
    CHECKS,
    QUICK_CHECKS,
    USUAL,
    estimate_seconds,
    list_channel_points,
    measure_any_size,
    measure_table,
)
from u3p_edge.latency.table.table import LatencyTable, write_latency_table
from u3p_edge.progress import Progress
from u3p_edge.run_folder import check_output_file
from u3p_edge.runtime.base import check_file


@dataclass(frozen=True)
class ProfilePlan:
    """What profiling would do.

    Args:
        kinds: number of layer keys.
        shapes: number of layers to be timed: each key at some channel counts.
        seconds: how long that takes about, on a quiet machine; timing whole networks comes on top.
    """

    kinds: int
    shapes: int
    seconds: float


def plan_profile(model: Path, target: Target, *, quick: bool = False, any_size: bool = False) -> ProfilePlan:
    """Count what `profile` would time, and estimate how long. Raises as `profile` does."""
    graph = read_networks(model)
    points = tuple(list_kind_points()) if any_size else list_channel_points(graph, USUAL, quick)
    seconds = estimate_seconds((point.build() for point in points), target)
    return ProfilePlan(len({point.layer.key for point in points}), len(points), seconds)


def profile(
    model: Path,
    out: Path,
    target: Target,
    *,
    quick: bool = False,
    any_size: bool = False,
    fresh: bool = False,
    progress: Progress,
) -> LatencyTable:
    """Fill a table and write it.

    Args:
        model: the network file of an export, before pruning.
        out: the JSON file to write.
        target: to time in; the file's own number type does not matter.
        quick: fewer channel counts and checks.
        any_size: a table for networks of any size and width, as those in the package; the model's network checks it.
        fresh: forget what was timed before.
        progress: see `u3p_edge.progress`.

    Raises:
        ModelError: the file is missing, damaged, or not a network that can be read and written.
        ArtifactError: the table cannot be written.
        MissingPackageError: LiteRT is not installed.
    """
    check_output_file(out)
    graph = read_networks(model)
    if fresh:
        quiet_timer.forget()
    checks = QUICK_CHECKS if quick else CHECKS
    if any_size:
        table = measure_any_size(graph, target, progress, checks=checks)
    else:
        table = measure_table(graph, target, progress, quick=quick, checks=checks)
    write_latency_table(out, table)
    return table


def read_networks(model: Path) -> Graph:
    """Read a network file. Raises ModelError as `profile` does."""
    if model.suffix != SUFFIX:
        raise ModelError(
            f"{model} is not a network file, and a device reads nothing else",
            mend="Export the model with `u3p-edge export --int8`, and give its network.int8.safetensors.",
        )
    check_file(model)
    with about(model):
        network = read_network(model.read_bytes())
    return network.graph if isinstance(network, Quantized) else fold_batch_norm(network)
