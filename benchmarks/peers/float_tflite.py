"""The float32 file of TensorFlow's converter, which all others are measured against."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.peers import litert
from benchmarks.peers.peer import Material, Peer


def make(material: Material, folder: Path) -> Path:
    """Copy the file."""
    return Path(shutil.copyfile(material.tflite, folder / "model.tflite"))


PEER = Peer("float_tflite", "float32 TFLite", "LiteRT", (litert.PACKAGE,), make, litert.load, isolated=False)
