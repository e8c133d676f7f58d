"""The result of one benchmark run: raw samples together with the machine they come from, never a lone number.

MB is 10^6 bytes throughout. `u3p_edge.benchmark.result_file` writes and reads a result as JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from u3p_edge.benchmark.cold_start import ColdStart
from u3p_edge.benchmark.conditions import Conditions
from u3p_edge.benchmark.energy import Energy
from u3p_edge.benchmark.loss_check import LossCheck
from u3p_edge.benchmark.operator_times import OperatorTime
from u3p_edge.benchmark.paired import estimate_loss
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.benchmark.structure import Structure
from u3p_edge.errors import ConfigError
from u3p_edge.metrics import Scores

SCHEMA = 4
"""Version of the JSON form. `read_result` also reads version 3, which has no times of operators and no IoU by group and image;
version 2, which also lacks structure, cold start and energy of files, conditions, and scores by image; and version 1, in which
`Latency.covariate` is called `handoff_ns` besides."""

ClassScores = tuple[float | None, ...]
"""One score per class, background first; None for a class that is in no image."""

DistanceUnit = Literal["pixels", "mm"]


@dataclass(frozen=True)
class Environment:
    """The machine and libraries of a run; nothing in it names the host or its user.

    Args:
        system: operating system and release.
        machine: instruction set, e.g. "x86_64".
        cpu: model of the processor, as the system names it.
        features: instruction set extensions that matter for int8 and float networks.
        cores: number of cores that this process may use.
        memory_mb: memory of the machine; 0 if unknown.
        python: version of Python.
        libraries: (name, version) of the libraries that run the networks.
    """

    system: str
    machine: str
    cpu: str
    features: tuple[str, ...]
    cores: int
    memory_mb: float
    python: str
    libraries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Latency:
    """Milliseconds of the network alone, one sample per round; the rounds of all artifacts of a run are interleaved.

    Args:
        threads: number of threads of the runtime.
        samples_ms: the samples, in the order of the rounds.
        covariate: a value read next to each sample that may explain it, such as the core-to-core latency in nanoseconds; the
            benchmark that reads it says what it is. Empty if there is none.
    """

    threads: int
    samples_ms: tuple[float, ...]
    covariate: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _finite("latency", (*self.samples_ms, *self.covariate))
        if self.covariate and len(self.covariate) != len(self.samples_ms):
            raise ConfigError("a latency must have one covariate for each sample, or none")
        if not self.samples_ms or min(self.samples_ms) <= 0:
            raise ConfigError("a latency must have samples, all above 0 ms")


@dataclass(frozen=True)
class Frames:
    """Milliseconds of whole frames, from pixels in memory to the mask at the image's size; one sample per frame.

    Args:
        threads: number of threads of the runtime.
        size: (H, W) of the image in pixels.
        prepare_ms: milliseconds from the pixels to the network's input.
        network_ms: milliseconds of the network.
        restore_ms: milliseconds from the network's output to the mask.
    """

    threads: int
    size: tuple[int, int]
    prepare_ms: tuple[float, ...]
    network_ms: tuple[float, ...]
    restore_ms: tuple[float, ...]

    def __post_init__(self) -> None:
        parts = (self.prepare_ms, self.network_ms, self.restore_ms)
        _finite("time of a frame", (value for part in parts for value in part))
        if not self.prepare_ms or len({len(part) for part in parts}) > 1 or min(map(min, parts)) < 0:
            raise ConfigError("a frame's times must have samples from 0 ms on, as many of each part")


@dataclass(frozen=True)
class Memory:
    """Peak resident memory of fresh processes, one process per sample.

    Args:
        baseline_mb: peak memory with Python and the runtime's library loaded, but no model.
        peak_mb: peak memory after loading the model and running it.
    """

    baseline_mb: tuple[float, ...]
    peak_mb: tuple[float, ...]

    def __post_init__(self) -> None:
        _finite("memory", (*self.baseline_mb, *self.peak_mb))
        if not self.peak_mb or len(self.baseline_mb) != len(self.peak_mb):
            raise ConfigError("a memory measurement must have samples, as many with as without the model")


@dataclass(frozen=True)
class Distances:
    """How far the outlines of prediction and truth lie apart, image by image.

    Args:
        hd95, surface: the 95th percentile Hausdorff distance and the average symmetric surface distance, one value per class,
            background first; the mean over the images of a group (a patient), then over groups. None for a class that is
            in no mask, and for the background. If only one of the two masks has a class, its distance is the image's diagonal.
        group_hd95, group_surface: the same for each group, in the order of their first image.
        image_hd95, image_surface: the same for each image; empty in results of older versions.
        unit: "mm" where the spacing of every image is known, else pixels of the network's input.
    """

    hd95: ClassScores
    surface: ClassScores
    group_hd95: tuple[ClassScores, ...]
    group_surface: tuple[ClassScores, ...]
    image_hd95: tuple[ClassScores, ...] = ()
    image_surface: tuple[ClassScores, ...] = ()
    unit: DistanceUnit = "pixels"

    def __post_init__(self) -> None:
        rows = (self.hd95, self.surface, *self.group_hd95, *self.group_surface, *self.image_hd95, *self.image_surface)
        _finite("distance", (value for row in rows for value in row))


@dataclass(frozen=True)
class Accuracy:
    """Overlap with the truth on the test images, and with the float model.

    Args:
        dice, iou: one score per class, background first: pooled over the images of a group (a patient), then the mean
            over groups.
        agreement: share of pixels, 0..1, with the same label as the float reference.
        distances: distances of the outlines; None if they were not measured.
        group_dice: Dice for each group, in the order of their first image; empty in results of older versions.
        image_dice: Dice for each image; likewise.
        group_iou, image_iou: the same of IoU.
    """

    dice: ClassScores
    iou: ClassScores
    agreement: float
    distances: Distances | None = None
    group_dice: tuple[ClassScores, ...] = ()
    image_dice: tuple[ClassScores, ...] = ()
    group_iou: tuple[ClassScores, ...] = ()
    image_iou: tuple[ClassScores, ...] = ()

    def __post_init__(self) -> None:
        rows = (*self.group_dice, *self.image_dice, *self.group_iou, *self.image_iou)
        _finite("accuracy", (*self.dice, *self.iou, self.agreement, *(score for row in rows for score in row)))
        if any(len(row) != len(self.dice) for row in rows):
            raise ConfigError("an accuracy must have one score a class for each group and each image")

    @property
    def mean_dice(self) -> float | None:
        """Mean over the foreground classes that are in the images."""
        return mean_over_classes(self.dice)

    @property
    def mean_iou(self) -> float | None:
        """Mean over the foreground classes that are in the images."""
        return mean_over_classes(self.iou)

    @property
    def group_scores(self) -> Scores:
        """`group_dice` as float64 [G, labels], NaN for None."""
        return np.array(self.group_dice, np.float64).reshape(-1, len(self.dice))

    def loss_against(self, reference: Accuracy) -> Interval | None:
        """Return the points of mean foreground Dice lost against another file on the same images, as `estimate_loss`.

        None if one of the two results has no Dice by group.
        """
        if len(self.group_dice) != len(reference.group_dice):
            return None
        return estimate_loss(reference.group_scores, self.group_scores)


@dataclass(frozen=True)
class ArtifactResult:
    """One file, measured. What was not measured is empty or None.

    Args:
        name: unique in its run.
        format: e.g. "tflite-int8".
        sha256, bytes: checksum and size of the file.
        input_shape: (H, W, C) of the network's input.
        latencies: the network alone, one entry per number of threads.
        memory: peak memory of fresh processes.
        accuracy: overlap with the truth.
        frames: whole frames, from pixels to mask.
        structure: its operators, and what they cost by arithmetic.
        cold_start: a fresh process from the file to its first mask.
        energy: of one image.
        operator_times: of its operators by kind, each timed alone.
    """

    name: str
    format: str
    sha256: str
    bytes: int
    input_shape: tuple[int, int, int]
    latencies: tuple[Latency, ...] = ()
    memory: Memory | None = None
    accuracy: Accuracy | None = None
    frames: Frames | None = None
    structure: Structure | None = None
    cold_start: ColdStart | None = None
    energy: Energy | None = None
    operator_times: tuple[OperatorTime, ...] = ()

    def latency(self, threads: int) -> Latency | None:
        """The latency at that number of threads, if it was measured."""
        return next((entry for entry in self.latencies if entry.threads == threads), None)


@dataclass(frozen=True)
class DataInfo:
    """What accuracy was measured on.

    Args:
        name: name of the data folder.
        split: "test", or "val" where the folder has no test split.
        images, groups: how many.
        sha256: checksum of the preprocessed arrays.
        group_names, image_names: their names, as in split.csv and as the image files are called, in the order of the scores;
            empty in results of older versions.
    """

    name: str
    split: str
    images: int
    groups: int
    sha256: str
    group_names: tuple[str, ...] = ()
    image_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunResult:
    """All artifacts of one run, side by side.

    Args:
        command: the command line that was typed.
        environment: the machine and libraries it ran with.
        class_names: names of the classes, background first.
        reference: name of the float artifact that ratios refer to.
        artifacts: results with distinct names, the reference among them.
        data: description of the data; None if accuracy was not measured.
        schema: version of the JSON form.
        loss_check: of an export: whether its int8 network loses at most the allowed Dice on the validation split.
        conditions: what ended the rounds at each number of threads, and what else the machine did meanwhile.
    """

    command: str
    environment: Environment
    class_names: tuple[str, ...]
    reference: str
    artifacts: tuple[ArtifactResult, ...]
    data: DataInfo | None = None
    schema: int = SCHEMA
    loss_check: LossCheck | None = None
    conditions: tuple[Conditions, ...] = ()

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ConfigError(f"result schema {self.schema} is not {SCHEMA}", mend="Measure again with this version.")
        names = [a.name for a in self.artifacts]
        if len(set(names)) != len(names) or self.reference not in names:
            raise ConfigError("artifact names must be distinct, and the reference one of them")
        for threads in self.threads:
            if len({len(entry.samples_ms) for entry in self.latencies(threads)}) > 1:
                raise ConfigError(f"the artifacts have not the same number of rounds at {threads} threads")

    @property
    def threads(self) -> tuple[int, ...]:
        """Thread counts that were measured, ascending."""
        return tuple(sorted({entry.threads for a in self.artifacts for entry in a.latencies}))

    def latencies(self, threads: int) -> tuple[Latency, ...]:
        """The latencies of all artifacts that were timed at that number of threads."""
        return tuple(entry for a in self.artifacts if (entry := a.latency(threads)))

    def get(self, name: str) -> ArtifactResult | None:
        """The artifact with that name, or None."""
        return next((a for a in self.artifacts if a.name == name), None)

    def reference_latency(self, threads: int) -> Latency | None:
        """Latency of the float reference at that number of threads."""
        reference = self.get(self.reference)
        return None if reference is None else reference.latency(threads)


def _finite(what: str, values: Iterable[float | None]) -> None:
    if not all(value is None or math.isfinite(value) for value in values):
        raise ConfigError(f"a {what} holds NaN or infinity")


def mean_over_classes(scores: ClassScores) -> float | None:
    """Return the mean over the foreground classes that have a score; None where none has.

    >>> mean_over_classes((0.9, 0.5, None)), mean_over_classes((0.9, None))
    (0.5, None)
    """
    present = [score for score in scores[1:] if score is not None]
    return float(np.mean(present)) if present else None
