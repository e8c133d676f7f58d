"""`u3p-edge predict`: masks of new images, at their own size, from an exported file. Needs no TensorFlow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from u3p_edge.cli.terminal import say
from u3p_edge.config import MAX_MEMORY_MB, MAX_THREADS
from u3p_edge.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from u3p_edge.config import Metadata
    from u3p_edge.runtime import Session

OVERLAY = "_overlay"


def predict(
    model: Annotated[Path, typer.Argument(help="A .tflite or .onnx file made by `u3p-edge export`.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the masks; made if it is not there.")],
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write the mask painted over the image.")] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, max=MAX_THREADS, help="Threads of the runtime; all cores if not given.")
    ] = None,
    max_memory_mb: Annotated[
        int,
        typer.Option(min=1, help="Refuse a file that would take more memory; a small one can ask for gigabytes."),
    ] = MAX_MEMORY_MB,
) -> None:
    """Segment images: writes OUT/<stem>.png with class indices as pixel values (a binary model: 0 and 255).

    The model file knows its preprocessing and classes, so nothing else has to be said. Each mask has the size of its image.

        u3p-edge predict model.int8.tflite scan.png --out masks --overlay
    """
    from u3p_edge.benchmark.environment import available_cores
    from u3p_edge.cli.progress import stages
    from u3p_edge.runtime import open_session

    jobs = plan(images, out, overlay=overlay)
    session = open_session(model, threads or available_cores(), max_memory_mb=max_memory_mb)
    with stages() as begin:
        advance = begin("Predict", len(jobs))
        for job in jobs:
            _segment(session, job)
            advance()
    say(f"{len(jobs)} mask{'s' if len(jobs) != 1 else ''} in {out}: {_key(session.metadata)}")


@dataclass(frozen=True)
class Job:
    """One image, and the files that come of it."""

    image: Path
    mask: Path
    overlay: Path | None


def plan(images: Sequence[Path], out: Path, *, overlay: bool) -> tuple[Job, ...]:
    """What will be written where, settled before anything is.

    Raises:
        DataError: an image or folder is missing, or a folder holds none.
        ConfigError: two images would give one file, or a mask would replace an image.
    """
    paths = [path for given in images for path in _expand(given)]
    jobs = tuple(Job(p, out / f"{p.stem}.png", out / f"{p.stem}{OVERLAY}.png" if overlay else None) for p in paths)
    targets = [target for job in jobs for target in (job.mask, job.overlay) if target]
    twice = next((target for target, count in Counter(targets).items() if count > 1), None)
    if twice:
        names = [str(job.image) for job in jobs if twice in (job.mask, job.overlay)]
        raise ConfigError(f"{' and '.join(names[:2])} would both be written to {twice}", mend="Predict them into two folders.")
    inputs = {path.resolve() for path in paths}
    hit = next((target for target in targets if target.resolve() in inputs), None)
    if hit:
        raise ConfigError(f"the mask would replace the image {hit}", mend="Give another --out folder.")
    return jobs


def _expand(given: Path) -> Iterator[Path]:
    from u3p_edge.data.formats import FORMATS, SUFFIXES

    if not given.is_dir():
        if not given.exists():
            raise DataError(f"{given} does not exist")
        yield given
        return
    found = sorted(p for p in given.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not found:
        inside = given / "images"
        mend = f"Name {inside} instead." if inside.is_dir() else ""
        raise DataError(f"the folder {given} holds no {FORMATS} files", mend=mend)
    yield from found


def _segment(session: Session, job: Job) -> None:
    """Write the mask of one image, and its overlay."""
    import numpy as np

    from u3p_edge.runtime.segment import predict_frame, read_pixels

    metadata = session.metadata
    pixels = read_pixels(job.image, metadata.preprocessing.channels)
    try:
        labels = predict_frame(session, pixels).labels
    except DataError as error:
        raise DataError(f"{job.image}: {error.symptom}", mend=error.mend) from error
    _write(job.mask, np.where(labels > 0, 255, 0).astype(np.uint8) if metadata.labels == 2 else labels)
    if job.overlay:
        from u3p_edge.report.colour import overlay

        _write(job.overlay, overlay(pixels, labels, metadata.colours))


def _write(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    from PIL import Image

    from u3p_edge.artifact import atomic_path

    with atomic_path(path) as partial:
        Image.fromarray(pixels).save(partial)


def _key(metadata: Metadata) -> str:
    """What a pixel's value means, e.g. "0 background, 1 left"."""
    values = (0, 255) if metadata.labels == 2 else range(metadata.labels)
    return ", ".join(f"{value} {name}" for value, name in zip(values, metadata.class_names, strict=True))
