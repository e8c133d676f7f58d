"""Small data folders for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def make_folder(root: Path, stems: list[str], table: str | None = None, size: tuple[int, int] = (6, 8)) -> Path:
    """Images that are a ramp and masks of three classes, both of `size`, and split.csv with the text `table`."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True, exist_ok=True)
    ramp = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size)
    for stem in stems:
        Image.fromarray(ramp).save(root / "images" / f"{stem}.png")
        Image.fromarray(ramp % 3).save(root / "masks" / f"{stem}.png")
    if table is not None:
        (root / "split.csv").write_text(table)
    return root
