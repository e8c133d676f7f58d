"""Write the masks of many images into a folder; reading, the network and writing overlap in time. Needs no TensorFlow."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from u3p_edge.artifact import atomic_path, sync_folders
from u3p_edge.config.metadata import Metadata
from u3p_edge.data.file_errors import name_file
from u3p_edge.data.fit_notes import shrink_notes
from u3p_edge.data.formats import FORMATS, MAX_PIXELS, SUFFIXES
from u3p_edge.data.images import read_image
from u3p_edge.data.preprocess import grid_of
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.pipeline.prefetch import prefetch
from u3p_edge.progress import Step, idle
from u3p_edge.report.colour import overlay
from u3p_edge.runtime.base import Session
from u3p_edge.runtime.segment import Frame, predict_frame

OVERLAY = "_overlay"
AHEAD = 1
"""Images that are read before they are needed, and masks that wait to be written: a large one takes much memory."""

Pixels = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Job:
    """One image, and the files that are made of it."""

    image: Path
    mask: Path
    overlay: Path | None


@dataclass(frozen=True)
class Predicted:
    """An image whose mask was written.

    Args:
        image: its file.
        size: (H, W) in pixels.
        prepare_ms, network_ms, restore_ms: see `runtime.segment.Frame`.
    """

    image: Path
    size: tuple[int, int]
    prepare_ms: float
    network_ms: float
    restore_ms: float


@dataclass(frozen=True)
class Failed:
    """An image without a mask, and why."""

    image: Path
    reason: str


def plan(images: Sequence[Path], out: Path, *, overlay: bool, recursive: bool = False) -> tuple[Job, ...]:
    """Decide which image becomes which files, before anything is read.

    Args:
        images: files, and folders of images.
        out: the folder of the masks. Images of one stem keep their suffix: a.png and a.bmp become a.png.png and a.bmp.png.
        overlay: whether to write a picture of the image with the mask painted over it as well.
        recursive: take the folders inside a folder too; they are made inside `out`.

    Raises:
        DataError: an image or folder is missing, or a folder holds none.
        ConfigError: two images would give one file, or a mask would replace an image.
    """
    paths = [found for given in images for found in _expand(given, recursive)]
    plain = [folder / path.stem for path, folder in paths]
    twice = {stem for stem, count in Counter(plain).items() if count > 1}
    stems = [stem.with_name(path.name) if stem in twice else stem for stem, (path, _) in zip(plain, paths, strict=True)]
    jobs = tuple(_job(path, out / stem, overlay) for stem, (path, _) in zip(stems, paths, strict=True))
    _check_targets(jobs)
    return jobs


def predict_all(
    session: Session, jobs: Sequence[Job], *, max_pixels: int = MAX_PIXELS, step: Step = idle
) -> tuple[Predicted | Failed, ...]:
    """Write the mask of every image that can be read; one that cannot be read does not stop the others.

    Args:
        session: one opened model file.
        jobs: from `plan`.
        max_pixels: height x width that an image may have.
        step: called after each image.

    Raises:
        ArtifactError: a file cannot be written.
    """
    channels = session.metadata.preprocessing.channels
    results: list[Predicted | Failed] = []
    writes: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as readers, ThreadPoolExecutor(1) as writers:
        for job, pixels in prefetch(readers, lambda job: read_image(job.image, channels, max_pixels), jobs, AHEAD):
            try:
                image = pixels.result()
                with name_file(job.image):
                    frame = predict_frame(session, image)
            except DataError as error:
                results.append(Failed(job.image, str(error)))
            else:
                results.append(_timed(job, frame))
                writes.append(writers.submit(_write_job, job, image, frame.labels, session.metadata))
            while len(writes) > AHEAD:
                writes.popleft().result()
            step()
        for write in writes:
            write.result()
    # Once for all masks: flushed one by one, they would take most of the time.
    sync_folders({job.mask.parent for job, result in zip(jobs, results, strict=True) if isinstance(result, Predicted)})
    return tuple(results)


def prediction_notes(results: Sequence[Predicted | Failed], metadata: Metadata) -> tuple[str, ...]:
    """Return sentences on how the images were fitted to the network, where a user should know it."""
    sizes = [result.size for result in results if isinstance(result, Predicted)]
    tiled = sum(grid_of(size, metadata.preprocessing).count > 1 for size in sizes)
    shape = f"{metadata.preprocessing.height}x{metadata.preprocessing.width}"
    tiles = (f"{tiled} of {len(sizes)} images are larger than the network's {shape}: predicted in overlapping tiles.",)
    return (*shrink_notes(sizes, metadata.preprocessing), *(tiles if tiled else ()))


def _expand(given: Path, recursive: bool) -> list[tuple[Path, Path]]:
    """Return image files, each with the folder of its mask inside the output folder."""
    if not given.is_dir():
        if not given.exists():
            raise DataError(f"{given} does not exist")
        return [(given, Path())]
    inside = sorted(given.rglob("*") if recursive else given.iterdir())
    found = [path for path in inside if _is_image(path.relative_to(given)) and path.is_file()]
    if not found:
        images = given / "images"
        mend = f"Name {images} instead." if images.is_dir() else "Add --recursive if they are in folders inside it."
        raise DataError(f"the folder {given} holds no {FORMATS} files", mend="" if recursive else mend)
    return [(path, path.parent.relative_to(given)) for path in found]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)


def _job(image: Path, target: Path, overlay: bool) -> Job:
    return Job(
        image,
        target.with_name(f"{target.name}.png"),
        target.with_name(f"{target.name}{OVERLAY}.png") if overlay else None,
    )


def _check_targets(jobs: Sequence[Job]) -> None:
    targets = [target for job in jobs for target in (job.mask, job.overlay) if target]
    twice = next((target for target, count in Counter(targets).items() if count > 1), None)
    if twice:
        names = [str(job.image) for job in jobs if twice in (job.mask, job.overlay)]
        both = " and ".join(names[:2]) if len(names) > 1 else f"mask and overlay of {names[0]}"
        raise ConfigError(f"{both} would both be written to {twice}", mend="Predict them into two folders.")
    inputs = {job.image.resolve() for job in jobs}
    hit = next((target for target in targets if target.resolve() in inputs), None)
    if hit:
        raise ConfigError(f"the mask would replace the image {hit}", mend="Give another --out folder.")


def _timed(job: Job, frame: Frame) -> Predicted:
    height, width = frame.labels.shape
    return Predicted(job.image, (height, width), frame.prepare_ms, frame.network_ms, frame.restore_ms)


def _write_job(job: Job, pixels: Pixels, labels: Labels, metadata: Metadata) -> None:
    _write(job.mask, labels * np.uint8(255) if metadata.labels == 2 else labels)
    if job.overlay:
        _write(job.overlay, overlay(pixels, labels, metadata.colours))


def _write(path: Path, pixels: Labels) -> None:
    with atomic_path(path, sync=False) as partial:
        Image.fromarray(pixels).save(partial)
