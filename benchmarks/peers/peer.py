"""What a peer is: a way from a trained float network to a small file, and how its runtime runs that file.

The module of each peer is loaded in the peer's own environment, which may have little besides NumPy. So a peer's packages are
imported inside its functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """The folder of what every peer gets. `benchmarks.peers.material` writes it.

    The float network in every form: `float.tflite` and `float.onnx` (`image` float32 [1, H, W, C] to `mask` float32
    [1, H, W, K]), `float.keras` of tf_keras, and `network.json` with `network.npz` of `benchmarks.students.exchange`. Students
    of that network, where there are any, lie in `students/` in the last form.
    """

    folder: Path

    @property
    def tflite(self) -> Path:
        """Float32 TFLite file of TensorFlow's converter."""
        return self.folder / "float.tflite"

    @property
    def onnx(self) -> Path:
        """Float32 ONNX file, batch normalisation folded."""
        return self.folder / "float.onnx"

    @property
    def keras(self) -> Path:
        """The inference model of tf_keras, batch normalisation not folded."""
        return self.folder / "float.keras"

    @property
    def network(self) -> Path:
        """The same as nodes in JSON, the weights beside it as NPZ."""
        return self.folder / "network.json"

    def student(self, name: str) -> Path:
        """Return the JSON file of a trained student of `benchmarks.students`. Raises PeerError where it is not trained."""
        path = self.folder / "students" / f"{name}.json"
        if not path.is_file():
            raise PeerError(f"{name} is not trained: run `python -m benchmarks.students` on the same data before")
        return path

    def images(self, name: str) -> FloatArray:
        """Return preprocessed images float32 [N, H, W, C] of "calibration", "train", "val" or "test"."""
        images: FloatArray = np.load(self.folder / f"{name}_images.npy", mmap_mode="r")
        return images

    def labels(self) -> npt.NDArray[np.uint8]:
        """Return the masks of the training images: uint8 [N, H, W], classes, `u3p_edge.metrics.IGNORE` where none counts."""
        labels: npt.NDArray[np.uint8] = np.load(self.folder / "train_labels.npy")
        return labels


@dataclass(frozen=True)
class LoadedNetwork:
    """A file that its runtime has loaded.

    Args:
        set_image: takes an image float32 [H, W, C].
        run: computes its mask; this is what is timed.
        read_mask: returns the mask of the last run as probabilities float32 [H, W, K].
    """

    set_image: Callable[[FloatArray], object]
    run: Callable[[], object]
    read_mask: Callable[[], FloatArray]


@dataclass(frozen=True)
class Peer:
    """One row of the comparison.

    Args:
        key: name of its files.
        name: in the table.
        runtime: that runs its file.
        packages: that it needs, with the versions that it was written for, as pip reads them.
        make: writes what has to be shipped, and nothing else, into an empty folder, and returns the path that `load` takes.
        load: loads that file with a number of threads.
        isolated: in a virtual environment of its own, and not in that of the benchmark.
        ours: whether this package makes the file.
    """

    key: str
    name: str
    runtime: str
    packages: tuple[str, ...]
    make: Callable[[Material, Path], Path]
    load: Callable[[Path, int], LoadedNetwork]
    isolated: bool = True
    ours: bool = False


class PeerError(Exception):
    """A peer cannot be installed, cannot make its file or cannot run it; the message is what its row says."""


def dequantize(values: npt.NDArray[Any], scale: float, zero_point: int) -> FloatArray:
    """Return the real values of integers: scale * (values - zero_point)."""
    return np.asarray(scale * (values.astype(np.float32) - zero_point), np.float32)


def last_line(text: str) -> str:
    """Return the last line that says something, where Python and pip put the reason: without folders, 300 characters at most.

    >>> last_line("Traceback ...\\nOSError: /x/y/model.xml is missing\\n\\n")
    'OSError: model.xml is missing'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return re.sub(r"(?<![\w.:/])/(?:[\w.+-]+/)+", "", lines[-1])[:300] if lines else "no message"
