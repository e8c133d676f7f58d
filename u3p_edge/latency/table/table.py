"""Milliseconds of layers on one device, as a value and as a JSON file: measured once, read anywhere.

A table holds, for every layer key (see `u3p_edge.latency.table.layers`), the milliseconds at some channel counts; how the
kernels step between them; what a whole network takes beyond its layers timed alone; and how far it was off for networks that it
had not seen. `u3p_edge.latency.table.predict` reads a network's time from it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.artifact import read_json, write_json
from u3p_edge.config import from_dict
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.latency.probe import Target

SCHEMA = 1

Entry = tuple[int, int, float]
"""Channels in, channels out (0 where there is one axis), milliseconds alone."""


@dataclass(frozen=True)
class Device:
    """Where a table was measured; nothing that names the host or its user.

    Args:
        system: operating system and instruction set, e.g. "Linux x86_64".
        cpu: its model, as the system names it.
        cores: of the machine.
        runtime, version: that ran the layers, e.g. "tflite", "2.3.0".
        threads, number: see `Target`.
    """

    system: str
    cpu: str
    cores: int
    runtime: str
    version: str
    threads: int
    number: str

    def __post_init__(self) -> None:
        if self.cores < 1:
            raise ConfigError(f"a device cannot have {self.cores} cores")
        _ = self.target

    @property
    def target(self) -> Target:
        """What the layers were timed in. Raises ConfigError for one that cannot be."""
        return Target(self.number, self.threads, self.runtime)


@dataclass(frozen=True)
class Steps:
    """Channel counts that kernels work in: what lies between two multiples takes as long as the upper one.

    Args:
        inputs: channels that a convolution reads.
        outputs: channels that it gives.
    """

    inputs: int
    outputs: int

    def __post_init__(self) -> None:
        if min(self.inputs, self.outputs) < 1:
            raise ConfigError(f"kernels cannot step by {self.inputs} and {self.outputs} channels")


@dataclass(frozen=True)
class LayerTimes:
    """Of one key; entries in rising order, each channel pair once, milliseconds above 0."""

    key: str
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        pairs = [entry[:2] for entry in self.entries]
        if not pairs or pairs != sorted(set(pairs)) or min(pairs)[0] < 1 or min(outputs for _, outputs in pairs) < 0:
            raise ConfigError(f"the entries of {self.key!r} are not in rising order of channels, each once")
        if not all(math.isfinite(ms) and ms > 0 for *_, ms in self.entries):
            raise ConfigError(f"the entries of {self.key!r} are not all milliseconds above 0")


@dataclass(frozen=True)
class Correction:
    """From layers timed alone to a whole network: factor * (sum of the layers) + each_ms * (their number).

    Alone, a layer finds its maps in the caches (factor above 1), and pays for a call of the runtime (each_ms below 0).
    """

    factor: float = 1.0
    each_ms: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.factor) and self.factor > 0 and math.isfinite(self.each_ms)):
            raise ConfigError(f"a correction cannot be {self.factor} times and {self.each_ms} ms")


@dataclass(frozen=True)
class TableCheck:
    """A whole network that the table was not fitted to: what it says, and what it takes, in milliseconds."""

    name: str
    predicted_ms: float
    measured_ms: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(ms) and ms > 0 for ms in (self.predicted_ms, self.measured_ms)):
            raise ConfigError(f"the check {self.name!r} is not of two times above 0 ms")

    @property
    def error(self) -> float:
        """Predicted over measured, less 1: 0.1 is 10 % too much."""
        return self.predicted_ms / self.measured_ms - 1


@dataclass(frozen=True)
class LatencyTable:
    """What one device takes.

    Args:
        device: that was measured.
        steps: of its convolutions.
        layers: each key once.
        correction: fitted to whole networks.
        checks: networks that it was not fitted to.
        disturbed: times that were taken while other programs slowed the machine.
    """

    device: Device
    steps: Steps
    layers: tuple[LayerTimes, ...]
    correction: Correction = Correction()
    checks: tuple[TableCheck, ...] = ()
    disturbed: int = 0

    def __post_init__(self) -> None:
        keys = [layer.key for layer in self.layers]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ConfigError(f"the layer {twice!r} stands there twice")

    @property
    def worst_error(self) -> float:
        """The largest error of the checks, without its sign; 0 where there are none."""
        return max((abs(check.error) for check in self.checks), default=0.0)


def step(table: LatencyTable) -> int:
    """The multiple of channels that a planner rounds widths to: any width between two takes the time of the upper.

    By timing 3x3 convolutions of 32 channels over 64x64 with LiteRT 2.3 on AVX-512 VNNI: in int8 1 to 16 output channels take
    0.092 ms, 17 to 32 0.182 ms, 33 to 48 0.272 ms; in float32 1 to 16 take 0.36 ms, 17 to 32 0.71 ms, 33 to 64 1.44 ms. Input
    channels step by 8 in int8, and not at all in float32. Other processors have other kernels, so filling a table finds it.
    """
    return table.steps.outputs


def write_latency_table(path: Path, table: LatencyTable) -> None:
    """Write a table as JSON, whole or not at all. Raises ArtifactError."""
    write_json(path, {"schema": SCHEMA, "table": dataclasses.asdict(table)})


def read_latency_table(path: Path) -> LatencyTable:
    """A table that `write_latency_table` wrote, perhaps elsewhere.

    Raises:
        ArtifactError: the file is missing, of another version, or holds anything but a table; names the file and the value.
    """
    value = read_json(path)
    mend = "Write it again with `u3p-edge device profile MODEL --out` on the device."
    if value.get("schema") != SCHEMA:
        raise ArtifactError(f"{path} is no latency table of version {SCHEMA}", mend=mend)
    try:
        if not isinstance(value.get("table"), dict):
            raise ConfigError("it has no object `table`")
        return from_dict(LatencyTable, value["table"])
    except ConfigError as error:
        raise ArtifactError(f"{path} is not a latency table: {error}", mend=mend) from error
