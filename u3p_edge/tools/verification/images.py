"""The images that files are run on again: those that the export was measured on where they are there, else made-up ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from u3p_edge.benchmark.accuracy import data_sha256
from u3p_edge.benchmark.result import DataInfo
from u3p_edge.config.metadata import Metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.embedded import embedded_folder
from u3p_edge.data.folder import open_folder
from u3p_edge.data.load import Arrays, load_samples
from u3p_edge.data.resample import resize
from u3p_edge.errors import DataError
from u3p_edge.pipeline.data import data_options
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.tools.verification.check import RunCheck, conclude, leave_out
from u3p_edge.training.recipe import TrainRecipe

MADE_UP = 4
"""Made-up images."""

COARSE = 8
"""Pixels between the random values of a made-up image: smooth as images are, where noise would be all edges."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class VerificationImages:
    """Images to run files on.

    Args:
        images: float32 [N, H, W, C], preprocessed.
        measured: the arrays that the export was measured on; None where these images are others.
        real: they are images of a data folder.
    """

    images: Floats
    measured: Arrays | None
    real: bool


def read_images(
    data: Path | None, info: DataInfo | None, metadata: Metadata, recipe: ExportRecipe, trained: TrainRecipe | None = None
) -> tuple[VerificationImages, RunCheck]:
    """Return the images to run files on, and whether they are those that the export was measured on.

    Args:
        data: a data folder; None for the embedded images, where the export was measured on them.
        info: what the export was measured on; None where that is not known.
        metadata: of the model files.
        recipe: of the export, which says how its data were read.
        trained: how the float model was trained, where that is known: an export draws the split of a folder as training did.

    Raises:
        DataError: the folder that was given cannot be used.
    """
    folder = data or _embedded(info)
    if folder is None:
        reason = "no data folder was given (--data), so the files are run on made-up images, and Dice is not checked"
        return VerificationImages(make_up(metadata.preprocessing), None, real=False), leave_out("data", reason)
    split = info.split if info else "test"
    samples = open_folder(folder, data_options(recipe.data, trained if data else None, folder)).split(split)
    multi_label = metadata.multi_label
    arrays = load_samples(samples, metadata.preprocessing, metadata.labels, tiled=True, multi_label=multi_label)
    if info is not None and data_sha256(arrays.images, arrays.labels, arrays.groups) == info.sha256:
        seen = f"the split {split} of {info.name} is the one that the export was measured on ({info.images} images)"
        return VerificationImages(arrays.images, arrays, real=True), conclude("data", [], seen)
    reason = f"the split {split} of {folder.resolve().name} is not the one that the export was measured on: Dice is not checked"
    return VerificationImages(arrays.images, None, real=True), leave_out("data", reason)


def make_up(p: Preprocessing) -> Floats:
    """Return smooth random images float32 [MADE_UP, H, W, C] in the range that a preprocessing gives; the same each time."""
    rng = np.random.default_rng(0)
    size = p.height, p.width
    coarse = rng.random((MADE_UP, p.height // COARSE, p.width // COARSE, p.channels), dtype=np.float32)
    smooth = np.stack([resize(one, lambda plane, _: Image.fromarray(plane), size) for one in coarse])
    ranges = {"zscore": (-0.5, float(1 / smooth.std())), "none": (0, 255)}
    if p.normalization == "meanstd":
        shift, scale = -np.array(p.mean) / 255, 255 / np.array(p.std)
    else:
        shift, scale = (np.array(value) for value in ranges.get(p.normalization, (0, 1)))
    return np.asarray((smooth + shift) * scale, np.float32)


def _embedded(info: DataInfo | None) -> Path | None:
    """Return the embedded images if the export was measured on a folder of their name."""
    try:
        folder = embedded_folder()
    except DataError:
        return None
    return folder if info is not None and folder.name == info.name else None
