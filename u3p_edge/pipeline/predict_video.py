"""Write the masks of the frames of a video or a camera; few are in memory: one is decoded, one predicted, some written."""

from __future__ import annotations

import contextlib
import itertools
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from u3p_edge.config.metadata import Metadata
from u3p_edge.data.camera import camera_stem, is_camera, open_camera
from u3p_edge.data.file_errors import name_file
from u3p_edge.data.formats import MAX_PIXELS, VIDEO_SUFFIXES
from u3p_edge.data.images import to_channels
from u3p_edge.data.video import RgbFrame, open_video, write_video
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.files.atomic import atomic_path, sync_folders
from u3p_edge.pipeline.mask_files import write_mask
from u3p_edge.pipeline.predictions import Failed, PredictedVideo
from u3p_edge.pipeline.prefetch import write_behind
from u3p_edge.progress import Progress, silent
from u3p_edge.report.colour import overlay as paint_overlay
from u3p_edge.runtime.base import Session
from u3p_edge.runtime.segment import Labels, predict_frame

WAITING = 2
"""Masks that may wait to be written."""


@dataclass(frozen=True)
class VideoJob:
    """A video, and what is made of it.

    Args:
        video: its file, or the name of a camera.
        stem: of the masks, `<stem>_f000000.png` and so on.
        folder: of the masks.
        overlay: a video with the masks painted over the frames; None for none.
        frames: that are predicted at most, from the first; None for all.
    """

    video: Path
    stem: str
    folder: Path
    overlay: Path | None
    frames: int | None = None


def is_video(path: Path) -> bool:
    """Return whether a path is a camera, or a file with the suffix of a video."""
    return is_camera(path) or (path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir())


def check_single_images(metadata: Metadata, video: Path) -> None:
    """Raise ConfigError where a network takes neighbouring slices of a volume, which the frames of a video are not."""
    if metadata.preprocessing.slices > 1:
        raise ConfigError(
            f"the network takes {metadata.preprocessing.slices} neighbouring slices of a volume, and {video} is a video",
            mend="Give scans, or a network of single images.",
        )


def plan_videos(videos: Sequence[Path], out: Path, *, overlay: bool, frames: int | None = None) -> tuple[VideoJob, ...]:
    """Decide the files of each video, before any is read. Videos of one stem keep their suffix.

    Args:
        videos: files, and names of cameras.
        out: the folder of the masks' folders.
        overlay: whether to write such videos too.
        frames: of each video at most; None for all.

    Raises:
        DataError: a video is missing. ConfigError: two would be written to one folder, an overlay would replace a video, or
            frames of a camera have no end.
    """
    stems = [camera_stem(video) if is_camera(video) else video.stem for video in videos]
    counts = Counter(stems)
    names = [video.name if counts[stem] > 1 else stem for video, stem in zip(videos, stems, strict=True)]
    for video, name in zip(videos, names, strict=True):
        if is_camera(video) and frames is None:
            raise ConfigError(f"{video} has no last frame", mend="Say how many frames are taken, for example --frames 300.")
        if not is_camera(video) and not video.exists():
            raise DataError(f"{video} does not exist")
        if names.count(name) > 1:
            raise ConfigError(
                f"two videos {video.name} would both be written to {out / name}", mend="Predict them into two folders."
            )
    jobs = tuple(
        VideoJob(video, stem, out / name, out / f"{name}_overlay.mp4" if overlay else None, frames)
        for video, stem, name in zip(videos, stems, names, strict=True)
    )
    hit = next((j.overlay for j in jobs if j.overlay and j.overlay.resolve() in {v.resolve() for v in videos}), None)
    if hit:
        raise ConfigError(f"the overlay would replace the video {hit}", mend="Give another --out folder.")
    return jobs


def predict_videos(
    session: Session, jobs: Sequence[VideoJob], *, max_pixels: int = MAX_PIXELS, progress: Progress = silent
) -> tuple[PredictedVideo | Failed, ...]:
    """Predict one video after the other; one that cannot be read does not stop the others. Arguments and errors as below."""
    results: list[PredictedVideo | Failed] = []
    for job in jobs:
        try:
            results.append(predict_video(session, job, max_pixels=max_pixels, progress=progress))
        except DataError as error:
            results.append(Failed(job.video, str(error)))
    return tuple(results)


def predict_video(
    session: Session, job: VideoJob, *, max_pixels: int = MAX_PIXELS, progress: Progress = silent
) -> PredictedVideo:
    """Write the mask of every frame of a video, at the frame's size; of so many frames as the job says.

    Args:
        session: one opened model file.
        job: from `plan_videos`.
        max_pixels: height x width that a frame may have.
        progress: is given one stage.

    Raises:
        DataError: it is no video, or not one frame of it can be decoded. ArtifactError: a file cannot be written.
        MissingPackageError: imageio-ffmpeg is not installed.
    """
    metadata = session.metadata
    times = (array("d"), array("d"), array("d"))
    problem = ""
    start = time.monotonic()
    open_frames = open_camera if is_camera(job.video) else open_video
    with open_frames(job.video, max_pixels) as video, _writer(job, video.size, video.rate, metadata) as write:
        step = progress(f"Predict {job.video.name}", min(filter(None, (job.frames, video.expected)), default=0))
        frames = decode_ahead(itertools.islice(video.frames, job.frames))
        while True:
            try:
                frame = next(frames, None)
            except DataError as error:
                if not times[0]:
                    raise
                problem = str(error)
                break
            if frame is None:
                break
            with name_file(job.video):
                done = predict_frame(session, to_channels(frame, metadata.preprocessing.channels))
            write(frame, done.labels)
            for samples, ms in zip(times, (done.prepare_ms, done.network_ms, done.restore_ms), strict=True):
                samples.append(ms)
            step()
    sync_folders([job.folder])
    return PredictedVideo(job.video, job.folder, video.size, time.monotonic() - start, *times, problem)


def decode_ahead(frames: Iterator[RgbFrame]) -> Iterator[RgbFrame]:
    """Yield frames, each while the next one is decoded in a thread."""
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(next, frames, None)
        while (frame := pending.result()) is not None:
            pending = pool.submit(next, frames, None)
            yield frame


@contextlib.contextmanager
def _writer(
    job: VideoJob, size: tuple[int, int], rate: float, metadata: Metadata
) -> Iterator[Callable[[RgbFrame, Labels], None]]:
    """Give a function that writes the mask of the next frame, and its overlay, in a thread."""
    with contextlib.ExitStack() as stack:
        append = None
        if job.overlay:
            unfinished = stack.enter_context(atomic_path(job.overlay))
            append = stack.enter_context(write_video(unfinished, size, rate))
        submit_write = stack.enter_context(write_behind(WAITING))
        indices = itertools.count()

        def write_one(index: int, frame: RgbFrame, labels: Labels) -> None:
            write_mask(job.folder / f"{job.stem}_f{index:06}.png", labels, metadata)
            if append is not None:
                append(paint_overlay(frame, labels, metadata.value_colours))

        def write(frame: RgbFrame, labels: Labels) -> None:
            submit_write(partial(write_one, next(indices), frame, labels))

        yield write
