"""The latency table: milliseconds of layers on one device, as a value and as a JSON file; measured once, read anywhere.

For every layer key (see `u3p_edge.latency.table.layers`) a table holds the milliseconds at some channel counts. A table for
networks of any size holds those of every kind of layer (`u3p_edge.latency.table.kinds`) at some sizes of a map. Each also holds
the kernels' channel steps, the correction from layers timed alone to a whole network, and the error for networks that it was
not fitted to. `u3p_edge.latency.table.predict` predicts a network's time from it.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.atomic import read_json, write_json
from u3p_edge.latency.probe import Target

SCHEMA = 1

Entry = tuple[int, int, float]
"""Input channels, output channels (0 if there is only one axis), and milliseconds of the layer alone."""


@dataclass(frozen=True)
class Device:
    """The device that a table was measured on; nothing in it names the host or its user.

    Args:
        system: operating system and instruction set, e.g. "Linux x86_64".
        cpu: model of the processor, as the system names it.
        cores: number of cores of the machine.
        runtime, version: the runtime that ran the layers, e.g. "tflite", "2.3.0".
        threads, number: see `Target`.
        processor: class of the processor (`runtime.processor.processor_class`); "" if unknown.
    """

    system: str
    cpu: str
    cores: int
    runtime: str
    version: str
    threads: int
    number: str
    processor: str = ""

    def __post_init__(self) -> None:
        if self.cores < 1:
            raise ConfigError(f"a device cannot have {self.cores} cores")
        _ = self.target

    @property
    def target(self) -> Target:
        """What the layers were timed in. Raises ConfigError if its values are not allowed."""
        return Target(self.number, self.threads, self.runtime)


@dataclass(frozen=True)
class Steps:
    """Channel steps of the kernels: a count between two multiples of a step takes as long as the upper one.

    A pruning plan rounds widths to them. In LiteRT 2.3 with AVX-512 VNNI, int8 convolutions step by 8 input channels and 16
    output channels.

    Args:
        inputs: step of a convolution's input channels.
        outputs: step of its output channels.
    """

    inputs: int
    outputs: int

    def __post_init__(self) -> None:
        if min(self.inputs, self.outputs) < 1:
            raise ConfigError(f"kernels cannot step by {self.inputs} and {self.outputs} channels")


@dataclass(frozen=True)
class LayerTimes:
    """The times of one layer key, or of one kind of layer at one size of its map.

    Args:
        key: the layer, see `u3p_edge.latency.table.layers`; in a table for networks of any size its kind, see
            `u3p_edge.latency.table.kinds`.
        entries: in rising order, each channel pair once, milliseconds above 0.
        pixels: of the map, for a kind; 0 for a key, which holds the size.
    """

    key: str
    entries: tuple[Entry, ...]
    pixels: int = 0

    def __post_init__(self) -> None:
        pairs = [entry[:2] for entry in self.entries]
        if not pairs or pairs != sorted(set(pairs)) or min(pairs)[0] < 1 or min(outputs for _, outputs in pairs) < 0:
            raise ConfigError(f"the entries of {self.key!r} are not in rising order of channels, each once")
        if not all(math.isfinite(ms) and ms > 0 for *_, ms in self.entries):
            raise ConfigError(f"the entries of {self.key!r} are not all milliseconds above 0")


@dataclass(frozen=True)
class Correction:
    """The correction from layers timed alone to a whole network: factor * (sum of the layers) + each_ms * (number of layers).

    A layer alone finds its maps in the caches, so factor is above 1. It also pays for a call of the runtime, so each_ms is
    below 0.

    Args:
        factor: of the sum of the layers.
        each_ms: milliseconds for each layer.
    """

    factor: float = 1.0
    each_ms: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.factor) and self.factor > 0 and math.isfinite(self.each_ms)):
            raise ConfigError(f"a correction cannot be {self.factor} times and {self.each_ms} ms")


@dataclass(frozen=True)
class TableCheck:
    """A whole network that the table was not fitted to.

    Args:
        name: which network.
        predicted_ms, measured_ms: milliseconds by the table, and as it was timed.
    """

    name: str
    predicted_ms: float
    measured_ms: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(ms) and ms > 0 for ms in (self.predicted_ms, self.measured_ms)):
            raise ConfigError(f"the check {self.name!r} is not of two times above 0 ms")

    @property
    def error(self) -> float:
        """Predicted divided by measured, minus 1: 0.1 is 10 % too much."""
        return self.predicted_ms / self.measured_ms - 1


@dataclass(frozen=True)
class LatencyTable:
    """The latency table of one device.

    Args:
        device: the device that was measured.
        steps: channel steps of its convolutions.
        layers: times of the layers, each key (each kind and size) once.
        correction: the correction, fitted to whole networks.
        checks: networks that the correction was not fitted to.
        disturbed: number of times that were taken while other programs slowed the machine.
    """

    device: Device
    steps: Steps
    layers: tuple[LayerTimes, ...]
    correction: Correction = Correction()
    checks: tuple[TableCheck, ...] = ()
    disturbed: int = 0

    def __post_init__(self) -> None:
        keys = Counter((layer.key, layer.pixels) for layer in self.layers)
        twice = next((key for (key, _), count in keys.items() if count > 1), None)
        if twice is not None:
            raise ConfigError(f"the table has the layer {twice!r} twice")
        if len({layer.pixels > 0 for layer in self.layers}) > 1:
            raise ConfigError("the table has layers of one network and of networks of any size")

    @property
    def any_size(self) -> bool:
        """Whether the table is for networks of any size, and its keys are kinds; otherwise it is for one network."""
        return any(layer.pixels for layer in self.layers)

    @property
    def worst_error(self) -> float:
        """The largest absolute error of the checks; 0 if there are none."""
        return max((abs(check.error) for check in self.checks), default=0.0)


def write_latency_table(path: Path, table: LatencyTable) -> None:
    """Write a table as JSON, whole or not at all. Raises ArtifactError."""
    write_json(path, {"schema": SCHEMA, "table": dataclasses.asdict(table)})


def read_latency_table(path: Path) -> LatencyTable:
    """Read a table that `write_latency_table` wrote, perhaps on another machine.

    Raises:
        ArtifactError: the file is missing, of another version, or not a table; the message names the file and the value.
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
