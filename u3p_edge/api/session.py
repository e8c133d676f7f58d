"""Load a model file and predict masks with it. Needs no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from u3p_edge import runtime
from u3p_edge.config.limits import MAX_MEMORY_MB
from u3p_edge.config.metadata import Metadata
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.errors import ModelError
from u3p_edge.runtime.base import FloatArray, Session
from u3p_edge.runtime.segment import Image, Labels, predict_image


@dataclass(frozen=True)
class Predictor:
    """A model file, loaded in its runtime. It runs one image at a time and is not safe to share between threads.

    Args:
        session: of its runtime.
    """

    session: Session

    @property
    def metadata(self) -> Metadata:
        """The preprocessing and the classes, as the file records them."""
        return self.session.metadata

    def predict(self, image: Image, *, max_pixels: int = MAX_PIXELS) -> Labels:
        """Predict the mask of an image: prepare it, run the network, restore its size.

        Args:
            image: a path, or pixels [H, W] or [H, W, C] of uint8, uint16 or float; for a network of several slices see
                `runtime.segment.predict_image`.
            max_pixels: height x width that an image file may have.

        Returns:
            Labels uint8 [H, W] of the image's own size; label k is class `metadata.class_names[k]`. Where
            `metadata.multi_label`, a label is a set of classes: bit k - 1 is class k.

        Raises:
            DataError: the image cannot be read or prepared; the message names the file, if there is one.
        """
        return predict_image(self.session, image, max_pixels)

    def run(self, image: FloatArray) -> FloatArray:
        """Return what the network computes for one preprocessed image float32 [H, W, C]: float32 [H, W, K].

        These are probabilities, or, where `metadata.output` says so, the logits that sigmoid or softmax would turn into them.

        Raises:
            DataError: the image has another shape, or holds NaN or infinity.
            ModelError: the file gives labels alone.
        """
        if self.metadata.output == "labels":
            raise ModelError(
                f"{self.session.name} gives labels alone, and no probabilities",
                mend="Take its labels with predict, or export with --output probabilities or logits.",
            )
        return self.session.run(image)


def open_session(path: str | Path, threads: int = 1, *, max_memory_mb: float | None = MAX_MEMORY_MB) -> Predictor:
    """Load a .tflite or .onnx file. Needs no TensorFlow.

    Args:
        path: a model file of `export`, `write_tflite` or `write_onnx`.
        threads: number of threads of the runtime.
        max_memory_mb: a file that would take more, in MB of 10^6 bytes, is refused; None for a file of one's own.

    Raises:
        ModelError: the file is missing, damaged, of another kind, or lacks u3p_edge metadata.
        RuntimeMissingError: its runtime is not installed.
        ConfigError: `threads` is out of range.
    """
    return Predictor(runtime.open_session(path, threads, max_memory_mb=max_memory_mb))
