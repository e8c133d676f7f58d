"""A made-up benchmark result with known noise, for the tests of gate and report."""

from __future__ import annotations

import dataclasses

import numpy as np

from u3p_edge.benchmark.result import (
    Accuracy,
    ArtifactResult,
    DataInfo,
    Environment,
    Latency,
    Memory,
    RunResult,
)

ENVIRONMENT = Environment(
    system="Linux 6.1",
    machine="x86_64",
    cpu="Some CPU",
    features=("avx2", "avx512_vnni"),
    cores=2,
    memory_mb=8000.0,
    python="3.11.7",
    libraries=(("ai-edge-litert", "2.3.0"), ("onnxruntime", "1.31.1")),
)


def artifact(
    name: str, *, relative: float, dice: float, peak: float, size: int, seed: int, slowness: float = 1.0, rounds: int = 20
) -> ArtifactResult:
    """An artifact that takes `relative` of the float model's time, give or take 1 %, on a machine of that slowness."""
    latencies = []
    for threads in (1, 2):
        load = np.random.default_rng(threads).lognormal(0, 0.3, rounds)  # what slows a whole round down
        own = np.random.default_rng([seed, threads]).lognormal(0, 0.01, rounds)
        latencies.append(Latency(threads, tuple(float(v) for v in slowness * 100 / threads * relative * load * own)))
    return ArtifactResult(
        name=name,
        format=f"{name.rsplit('.')[-1]}-{'int8' if 'int8' in name else 'float32'}",
        sha256="ab" * 32,
        bytes=size,
        input_shape=(192, 224, 1),
        latencies=tuple(latencies),
        memory=Memory((40.0, 40.1, 40.2), (peak, peak + 0.2, peak + 0.1)),
        accuracy=Accuracy((0.99, dice, dice - 0.02), (0.98, dice - 0.1, dice - 0.12), 0.9987),
    )


def result(
    *, relative: float = 0.3, dice: float = 0.9, peak: float = 80.0, size: int = 1_000_000, seed: int = 0, slowness: float = 1.0
) -> RunResult:
    """A float and an int8 file; the arguments are the int8 file's."""
    return RunResult(
        command="u3p-edge bench model.float32.tflite model.int8.tflite",
        environment=ENVIRONMENT,
        class_names=("background", "left", "right"),
        reference="model.float32.tflite",
        artifacts=(
            artifact(
                "model.float32.tflite", relative=1, dice=0.901, peak=200, size=4_000_000, seed=seed + 1, slowness=slowness
            ),
            artifact("model.int8.tflite", relative=relative, dice=dice, peak=peak, size=size, seed=seed + 2, slowness=slowness),
        ),
        data=DataInfo("nuclei", "test", 12, 1, "cd" * 32),
    )


def with_group_dice(value: RunResult, *, lost: float, groups: int = 8, spread: float = 0) -> RunResult:
    """The result with Dice by group: in every group the second file loses that many points against the first.

    In one group it loses `spread` more and in the next so much less.
    """

    def scored(a: ArtifactResult, points: float, spread: float = 0) -> ArtifactResult:
        losses = points + spread * (-1.0) ** np.arange(groups)
        rows = tuple((0.99, *(float(dice),) * 2) for dice in np.linspace(0.7, 0.9, groups) - losses / 100)
        mean = (0.99, *(float(np.mean([row[1] for row in rows])),) * 2)
        return dataclasses.replace(a, accuracy=Accuracy(mean, mean, 0.99, group_dice=rows))

    first, second, *_ = value.artifacts
    data = DataInfo("mni152", "test", 3 * groups, groups, "cd" * 32)
    return dataclasses.replace(value, artifacts=(scored(first, 0), scored(second, lost, spread)), data=data)
