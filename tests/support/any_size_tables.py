"""A latency table for networks of any size whose every figure is known, and a processor that a packaged table is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.latency_tables import DEVICE
from u3p_edge.latency import probe, quiet_timer
from u3p_edge.latency.table import packaged
from u3p_edge.latency.table.kind_samples import list_kind_points
from u3p_edge.latency.table.layers import TimedLayer
from u3p_edge.latency.table.table import Entry, LatencyTable, LayerTimes, Steps

AVX2 = "processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu sse4_2 avx avx2 bmi2\n\nprocessor\t: 1\nflags\t\t: fpu\n"
"""The beginning of /proc/cpuinfo of a processor of the class x86_avx2."""


def microseconds(layer: TimedLayer) -> float:
    """One for a call, and a tenth for a thousand products of a layer with a kernel, or for a hundred values of another."""
    return 1 + 1e-4 * layer.pixels * layer.inputs * (layer.outputs or 10)


def known_table(cost: Callable[[TimedLayer], float] = microseconds) -> LatencyTable:
    """A table of all kinds that are measured, of a device whose layers take what `cost` says, in microseconds."""
    entries: dict[tuple[str, int], list[Entry]] = {}
    for point in list_kind_points():
        layer = point.layer
        entries.setdefault((layer.key, layer.pixels), []).append((layer.inputs, layer.outputs, cost(layer) / 1000))
    return LatencyTable(DEVICE, Steps(1, 1), tuple(LayerTimes(key, tuple(each), p) for (key, p), each in entries.items()))


def forbid_timing(patch: pytest.MonkeyPatch) -> None:
    """Let nothing be timed: no file can be opened for it."""
    for module in (probe, quiet_timer):
        patch.setattr(module, "open_raw", None)


def pretend_avx2(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make this machine's processor one of the class x86_avx2, whatever it is."""
    (folder / "cpuinfo").write_text(AVX2)
    patch.setattr(packaged, "CPUINFO", folder / "cpuinfo")
