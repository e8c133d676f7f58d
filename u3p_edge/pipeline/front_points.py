"""The networks of a front as they were exported, and which of them is picked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from u3p_edge.benchmark.loss_check import LossCheck
from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.statistics import quartiles
from u3p_edge.config.plain import from_dict
from u3p_edge.pipeline.budgets import CLOSE
from u3p_edge.pipeline.front_plan import PlannedPoint
from u3p_edge.pipeline.quantization_choice import parse_choice
from u3p_edge.pipeline.report_names import PRUNING, QUANTIZATION
from u3p_edge.shapes.shape import Shape


@dataclass(frozen=True)
class FrontPoint:
    """One exported network of a front.

    Args:
        name: of its run folder.
        speedup: that it was pruned to; None for the exact network.
        shape: in words.
        made: how it was made, in words.
        loss_check: what its int8 network loses on the validation split, by which networks are picked.
    """

    name: str
    speedup: float | None
    shape: str
    made: str
    loss_check: LossCheck | None

    @property
    def lost(self) -> float:
        """Points of Dice lost on the validation split; 0 where no image has a foreground class."""
        return 0.0 if self.loss_check is None or self.loss_check.loss is None else self.loss_check.loss.estimate


@dataclass(frozen=True)
class Asked:
    """What the picked network has to keep to.

    Args:
        max_drop: points of Dice that it may lose on the validation split.
        speedup: that it has to reach against float32 TFLite; None for any.
        latency_ms: that it may take; None for any.
    """

    max_drop: float
    speedup: float | None = None
    latency_ms: float | None = None

    def __str__(self) -> str:
        """Return the conditions in words, for example "within 0.5 points, 20 times as fast as float"."""
        parts = [f"within {self.max_drop:g} points"]
        if self.speedup is not None:
            parts.append(f"{self.speedup:g} times as fast as float")
        if self.latency_ms is not None:
            parts.append(f"within {self.latency_ms:g} ms")
        return ", ".join(parts)


def describe_point(planned: PlannedPoint, run: Path, check: LossCheck | None) -> FrontPoint:
    """Return a finished export of a front; shape and making are read from its run folder."""
    choice = parse_choice(_read(run / QUANTIZATION))
    integers = {"ptq": "post-training quantization", "qat": "quantization-aware training"}[choice.method]
    if planned.speedup is None:
        return FrontPoint(planned.name, None, Shape().name, f"not pruned; {integers}", check)
    pruned = _read(run / PRUNING) if (run / PRUNING).exists() else {}
    steps = pruned.get("steps", ())
    trained = f"{len(steps)} steps of pruning, {sum(step['epochs'] for step in steps)} epochs; {integers}"
    shape = from_dict(Shape, pruned["shape"]).name if pruned else Shape().name
    return FrontPoint(planned.name, planned.speedup, shape, trained, check)


def pick_point(points: Sequence[FrontPoint], result: RunResult, asked: Asked) -> FrontPoint | None:
    """Return the network to take; None where no one keeps to what is asked.

    Where a time is asked, of those that keep to it the one that loses least; otherwise the fastest. The loss is that of the
    validation split, by its estimate; the test split decides nothing.

    Args:
        points: the networks, in the order of the result's files behind the reference.
        result: measurements of the reference and of the int8 files.
        asked: what is asked.
    """
    reference, *files = result.artifacts
    times = {point.name: median_ms(file) for point, file in zip(points, files, strict=True)}
    limits = [asked.latency_ms, None if asked.speedup is None else median_ms(reference) / asked.speedup]
    limit = min((each for each in limits if each is not None), default=None)
    good = [point for point in points if point.lost <= asked.max_drop]
    if limit is None:
        return min(good, key=lambda point: times[point.name], default=None)
    fast = [point for point in good if times[point.name] <= (1 + CLOSE) * limit]
    return min(fast, key=lambda point: (point.lost, times[point.name]), default=None)


def median_ms(artifact: ArtifactResult) -> float:
    """Return the median latency of a file at one thread."""
    latency = artifact.latency(1)
    assert latency is not None, "the files of a front are timed at one thread"
    return quartiles(latency.samples_ms).estimate


def _read(path: Path) -> Mapping[str, Any]:
    value: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
