"""The common interface of all runtimes, `Session`, and the conversion between real numbers and an artifact's integers.

A session hides names, layout, scale and zero point. Affine quantization (Jacob et al. 2018, arXiv:1712.05877, eq. 1):
real = scale * (integer - zero_point).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from u3p_edge.config.metadata import Metadata
from u3p_edge.errors import ConfigError, DataError, ModelError
from u3p_edge.text import to_terminal

FloatArray = npt.NDArray[np.float32]
OutputArray = npt.NDArray[Any]
"""What a network gives for one image: float32 [H, W, K] of probabilities or logits, or labels uint8 [H, W]."""

Shape = tuple[int, int, int]

LABEL_TYPE = "uint8"
"""NumPy's name of the element type of labels; no other output has it."""


@dataclass(frozen=True)
class PortQuantization:
    """Scale and zero point of one int8 tensor: real = scale * (integer - zero_point)."""

    scale: float
    zero_point: int


class Session(Protocol):
    """One artifact, loaded. A session runs one image at a time and is not safe to share between threads."""

    @property
    def name(self) -> str:
        """The file's name, or the name that the session was created with."""

    @property
    def format(self) -> str:
        """Container and number type, e.g. "tflite-int8"."""

    @property
    def metadata(self) -> Metadata:
        """The metadata stored in the artifact."""

    @property
    def threads(self) -> int:
        """Number of threads that it was asked to use."""

    @property
    def input_shape(self) -> Shape:
        """(H, W, C) of the input image."""

    def run(self, image: FloatArray) -> OutputArray:
        """Return what the network gives for one preprocessed image float32 [H, W, C], as `metadata.output` says.

        That is the probabilities or the logits, float32 [H, W, K], or the labels, uint8 [H, W].

        Raises:
            DataError: the image has another shape, or holds NaN or infinity.
        """

    def prepare(self, image: FloatArray) -> Callable[[], None]:
        """Set the input and return a function that runs only the network on it, as often as it is called.

        Only the image prepared last is held. Raises as `run` does.
        """


def quantize_array(values: FloatArray, quantization: PortQuantization) -> npt.NDArray[np.int8]:
    """Return the nearest int8 of each value of any shape; values out of range are clipped to -128 or 127."""
    steps: FloatArray = np.rint(values / np.float32(quantization.scale)) + np.float32(quantization.zero_point)
    return np.clip(steps, -128, 127).astype(np.int8)


def dequantize_array(integers: npt.NDArray[np.int8], quantization: PortQuantization) -> FloatArray:
    """Return the real values, float32, of int8 integers of any shape."""
    # int8 minus a zero point of -128 overflows int8, so widen first.
    real: FloatArray = (integers.astype(np.float32) - np.float32(quantization.zero_point)) * np.float32(quantization.scale)
    return real


def encode(image: FloatArray, shape: Shape, quantization: PortQuantization | None, name: str) -> npt.NDArray[Any]:
    """Return the batch [1, H, W, C] that an artifact takes, float32 or int8; the image is checked, and never changed.

    Raises:
        DataError: the image is not of `shape`, or holds NaN or infinity.
    """
    if image.shape != shape:
        raise DataError(
            f"an image of shape {'x'.join(map(str, image.shape))} does not fit {name}, which takes {'x'.join(map(str, shape))}",
            mend="Apply the preprocessing of the model's metadata first.",
        )
    if not np.isfinite(image).all():
        raise DataError(f"an image for {name} holds pixels that are NaN or infinite", mend="Mend the image file.")
    batch = np.ascontiguousarray(image[None], dtype=np.float32)
    return batch if quantization is None else quantize_array(batch, quantization)


def decode(batch: npt.NDArray[Any], quantization: PortQuantization | None) -> OutputArray:
    """Return what an artifact gives, as a copy: real numbers float32 [H, W, K] of a batch [1, H, W, K], or its labels."""
    if batch.dtype == np.uint8:
        return np.array(batch[0])
    return np.array(batch[0], dtype=np.float32) if quantization is None else dequantize_array(batch[0], quantization)


def parse_metadata(text: str | None, path: Path) -> Metadata:
    """Parse the metadata text of an artifact.

    Raises:
        ModelError: there is none, or it is not u3p_edge metadata.
    """
    if text is None:
        raise ModelError(
            f"{path} carries no u3p_edge metadata, so its preprocessing and classes are unknown",
            mend="Make it with `u3p-edge export`.",
        )
    try:
        return Metadata.from_json(text)
    except ConfigError as error:
        raise ModelError(f"the metadata in {path} is not readable: {error}", mend="Export the model again.") from error


def check_ports(path: Path, metadata: Metadata, image: tuple[int, ...], mask: tuple[int, ...], number: str) -> Shape:
    """Return (H, W, C) of the input.

    Args:
        path: of the file, for messages.
        metadata: of the file.
        image, mask: shapes of the two ports.
        number: NumPy's name of the mask's element type.

    Raises:
        ModelError: the shapes are not as in the metadata, or the mask has labels and the metadata says otherwise, or not.
    """
    p, has_labels = metadata.preprocessing, metadata.output == "labels"
    channels = () if has_labels else (metadata.channels_out,)
    for port, actual, expected in (
        ("input `image`", image, (1, p.height, p.width, p.channels)),
        ("output `mask`", mask, (1, p.height, p.width, *channels)),
    ):
        if tuple(actual) != expected:
            raise ModelError(
                f"the {port} of {path} has the shape {list(actual)}, but its metadata says {list(expected)}",
                mend="Export the model again.",
            )
    if (number == LABEL_TYPE) != has_labels:
        raise ModelError(
            f"the output `mask` of {path} is {number}, but its metadata says {metadata.output}", mend="Export the model again."
        )
    return (p.height, p.width, p.channels)


def check_file(path: Path) -> None:
    """Raise ModelError unless `path` is a readable file that is not empty, with a name in UTF-8 that every runtime accepts."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ModelError(f"the name of the model {to_terminal(str(path))} is not in UTF-8", mend="Rename it.") from error
    if not path.exists():
        raise ModelError(f"{path} does not exist")
    if not path.is_file():
        raise ModelError(f"{path} is a folder, not a model file", mend="Name the .tflite or .onnx file in it.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if empty:
        raise ModelError(f"{path} is empty", mend="Export or copy the model again.")


def unusable_error(path: Path, error: ModelError) -> ModelError:
    """Return the error of a file reader with the path of the file in its message."""
    return ModelError(f"{path} cannot be used: {error.symptom}", mend=error.mend or "Export or copy it again.")
