"""What became of images that were predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.config.metadata import Metadata


@dataclass(frozen=True)
class Predicted:
    """An image, or a scan of several slices, whose mask was written.

    Args:
        image: its file.
        size: (H, W) in pixels.
        prepare_ms, network_ms, restore_ms: see `runtime.segment.Frame`; of a scan, the mean over its slices.
        slices: number of slices of a scan; 1 for an image.
    """

    image: Path
    size: tuple[int, int]
    prepare_ms: float
    network_ms: float
    restore_ms: float
    slices: int = 1


@dataclass(frozen=True)
class PredictedVideo:
    """A video whose frames have masks.

    Args:
        video: its file.
        folder: of the masks.
        size: (height, width) of a frame in pixels.
        seconds: from the decoding of the first frame to the writing of the last mask.
        prepare_ms, network_ms, restore_ms: one number a frame, see `runtime.segment.Frame`.
        problem: what is wrong after the last frame that has a mask; empty where all frames have one.
    """

    video: Path
    folder: Path
    size: tuple[int, int]
    seconds: float
    prepare_ms: Sequence[float]
    network_ms: Sequence[float]
    restore_ms: Sequence[float]
    problem: str = ""

    @property
    def frames(self) -> int:
        """Number of frames that have a mask."""
        return len(self.network_ms)


@dataclass(frozen=True)
class Failed:
    """An image or video without a mask, and why."""

    image: Path
    reason: str


@dataclass(frozen=True)
class Predictions:
    """What became of images.

    Args:
        model: the file that predicted.
        metadata: of the model.
        results: one for each image, in order.
        videos: one for each video, in order.
    """

    model: Path
    metadata: Metadata
    results: tuple[Predicted | Failed, ...]
    videos: tuple[PredictedVideo | Failed, ...] = ()

    @property
    def predicted(self) -> tuple[Predicted, ...]:
        """The images that have a mask."""
        return tuple(result for result in self.results if isinstance(result, Predicted))

    @property
    def failed(self) -> tuple[Failed, ...]:
        """Images and videos that have none, and videos that are damaged after their last mask."""
        cut_short = (Failed(v.video, v.problem) for v in self.videos if isinstance(v, PredictedVideo) and v.problem)
        return (*(result for result in (*self.results, *self.videos) if isinstance(result, Failed)), *cut_short)
