"""Predict the mask of a whole image with a session, at the size of the image: prepare, run the network, restore."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.file_errors import name_file
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.data.images import to_channels
from u3p_edge.data.preprocess import inputs, restore
from u3p_edge.data.stacks import find_stacks, make_reader
from u3p_edge.errors import DataError
from u3p_edge.runtime.base import OutputArray, Session

Labels = npt.NDArray[np.uint8]
Image = Path | str | npt.NDArray[Any]


@dataclass(frozen=True)
class Frame:
    """The mask of an image, and the time that it took.

    Args:
        labels: the mask, uint8 [H, W].
        prepare_ms: milliseconds from the pixels to the network's inputs.
        network_ms: milliseconds of the network, over all tiles.
        restore_ms: milliseconds from the network's outputs to the mask.
    """

    labels: Labels
    prepare_ms: float
    network_ms: float
    restore_ms: float


def predict_image(session: Session, image: Image, max_pixels: int = MAX_PIXELS) -> Labels:
    """Predict the mask of an image.

    Args:
        session: from `open_session`; its metadata defines how images are prepared.
        image: a path, or pixels [H, W] or [H, W, C] of uint8, uint16 or float. For a network of several slices: the path of a
            slice beside which its neighbours lie (see `data.stacks`), or grey slices [H, W, slices] in their order.
        max_pixels: height x width that an image file may have.

    Returns:
        Labels uint8 [H, W] at the size of the image.

    Raises:
        DataError: the image cannot be read or prepared; the message names the file, if there is one.
    """
    pixels = read_pixels(image, session.metadata.preprocessing, max_pixels)
    with name_file(Path(image)) if isinstance(image, (str, Path)) else contextlib.nullcontext():
        return predict_frame(session, pixels).labels


def read_pixels(image: Image, preprocessing: Preprocessing, max_pixels: int = MAX_PIXELS) -> npt.NDArray[Any]:
    """Return an image as [H, W, C] of uint8, uint16 or float32, with the channels of the network's input.

    Arguments and errors as for `predict_image`.
    """
    slices = preprocessing.slices
    if isinstance(image, (str, Path)):
        (stack,) = find_stacks([Path(image)], slices)
        return make_reader(preprocessing)(stack, max_pixels)
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in ((1, 3) if slices == 1 else (slices,)) or not pixels.size:
        wanted = (
            "[height, width] or [height, width, 1 or 3]" if slices == 1 else f"[height, width, {slices} neighbouring slices]"
        )
        raise DataError(f"pixels of the shape {pixels.shape} are not an image", mend=f"Give {wanted}.")
    if pixels.dtype not in (np.uint8, np.uint16) and pixels.dtype.kind != "f":
        raise DataError(
            f"pixels of the type {pixels.dtype} are not supported",
            mend="Give uint8 or uint16, or floats; the type tells the range of the values.",
        )
    numbers = pixels if pixels.dtype.kind == "u" else pixels.astype(np.float32)
    return numbers if slices > 1 else to_channels(numbers, preprocessing.channels)


def predict_frame(session: Session, pixels: npt.NDArray[Any], clock: Callable[[], int] = time.perf_counter_ns) -> Frame:
    """Predict the mask of an image in memory, and measure the times of its parts.

    Args:
        session: session of one artifact.
        pixels: [H, W, C] of uint8, uint16 or float32, as `read_pixels` returns it.
        clock: returns nanoseconds that never decrease.

    Raises:
        DataError: as for `predict_image`.
    """
    preprocessing = session.metadata.preprocessing
    size = (pixels.shape[0], pixels.shape[1])
    prepare: list[int] = []
    network: list[int] = []

    def outputs() -> Iterator[tuple[OutputArray, ...]]:
        start = clock()
        for row in inputs(pixels, preprocessing):
            ready = clock()
            masks = tuple(session.run(image) for image in row)
            done = clock()
            prepare.append(ready - start)
            network.append(done - ready)
            yield masks
            start = clock()

    start = clock()
    labels = restore(outputs(), size, preprocessing, session.metadata.output, session.metadata.multi_label)
    total, *parts = clock() - start, sum(prepare), sum(network)
    return Frame(labels, parts[0] / 1e6, parts[1] / 1e6, (total - sum(parts)) / 1e6)
