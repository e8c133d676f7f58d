"""What became of images that were predicted."""

from __future__ import annotations

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
class Failed:
    """An image without a mask, and why."""

    image: Path
    reason: str


@dataclass(frozen=True)
class Predictions:
    """What became of images.

    Args:
        model: the file that predicted.
        metadata: of the model.
        results: one for each image, in order.
    """

    model: Path
    metadata: Metadata
    results: tuple[Predicted | Failed, ...]

    @property
    def predicted(self) -> tuple[Predicted, ...]:
        """The images that have a mask."""
        return tuple(result for result in self.results if isinstance(result, Predicted))

    @property
    def failed(self) -> tuple[Failed, ...]:
        """The others."""
        return tuple(result for result in self.results if isinstance(result, Failed))
