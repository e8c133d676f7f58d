"""Segment a folder of images on a device, and print how much of each image every class covers.

    python examples/predict_on_a_device.py exported/model.int8.tflite scans/images masks

Needs the base install alone; an .onnx file needs the extra `onnx`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import u3p_edge as u3p


def main(model: str, images: str, out: str) -> None:
    """Write OUT/<stem>.png for each image, with the index of its class in every pixel."""
    session = u3p.open_session(model, threads=2)
    names = session.metadata.class_names
    Path(out).mkdir(parents=True, exist_ok=True)
    for path in sorted(Path(images).iterdir()):
        mask = session.predict(path)  # uint8 [height, width] of the image's own size
        Image.fromarray(mask).save(Path(out) / f"{path.stem}.png")
        shares = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
        print(path.name, *(f"{name} {share:.1%}" for name, share in zip(names, shares, strict=True)), sep=", ")


if __name__ == "__main__":
    main(*sys.argv[1:])
