"""Write masks and overlays as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from u3p_edge.config.metadata import Metadata
from u3p_edge.files.atomic import atomic_path


def write_mask(path: Path, labels: npt.NDArray[np.uint8], metadata: Metadata) -> None:
    """Write labels uint8 [H, W] as they are, or as 0 and 255 where there are two classes. Raises ArtifactError."""
    write_picture(path, labels * np.uint8(255) if metadata.labels == 2 else labels)


def write_picture(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write a picture, uint8 [H, W] or [H, W, 3]; it is on the disk after `sync_folders` only. Raises ArtifactError."""
    with atomic_path(path, sync=False) as partial:
        Image.fromarray(pixels).save(partial)
