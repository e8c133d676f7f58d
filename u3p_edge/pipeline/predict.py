"""Write the masks of many images into a folder; reading, the network and writing overlap in time. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.benchmark.environment import available_cores
from u3p_edge.config.limits import MAX_MEMORY_MB
from u3p_edge.config.metadata import Metadata
from u3p_edge.data.file_errors import name_file
from u3p_edge.data.fit_notes import shrink_notes
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.data.preprocess import grid_of
from u3p_edge.data.stacks import find_stacks, make_reader, middle_slice
from u3p_edge.errors import DataError
from u3p_edge.files.atomic import sync_folders
from u3p_edge.pipeline.jobs import Job, plan_jobs
from u3p_edge.pipeline.mask_files import write_mask, write_picture
from u3p_edge.pipeline.predict_scans import predict_scans
from u3p_edge.pipeline.predict_video import check_single_images, is_video, plan_videos, predict_videos
from u3p_edge.pipeline.predictions import Failed, Predicted, PredictedVideo, Predictions
from u3p_edge.pipeline.prefetch import prefetch, write_behind
from u3p_edge.progress import Progress, Step, idle, silent
from u3p_edge.report.colour import overlay
from u3p_edge.run_folder import check_output_folder
from u3p_edge.runtime import open_session
from u3p_edge.runtime.base import Session
from u3p_edge.runtime.run_folder import model_file
from u3p_edge.runtime.segment import Frame, predict_frame
from u3p_edge.scans.options import DEFAULTS, ScanOptions, follow_training

AHEAD = 1
"""Images that are read before they are needed, and masks that wait to be written: a large one takes much memory."""

Pixels = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]


def predict(
    model: str | Path,
    images: Sequence[str | Path],
    out: str | Path,
    *,
    overlay: bool = False,
    recursive: bool = False,
    threads: int | None = None,
    frames: int | None = None,
    max_pixels: int = MAX_PIXELS,
    max_memory_mb: float | None = MAX_MEMORY_MB,
    scan_options: ScanOptions = DEFAULTS,
    progress: Progress = silent,
) -> Predictions:
    """Write the masks of images into a folder, each at its image's size; one that cannot be read does not stop the others.

    The mask of a scan of several slices is one file of the same kind, on the scan's voxels. A video becomes a folder with the
    mask of each of its frames.

    Args:
        model: a .tflite or .onnx file of `u3p-edge export`, or its run folder: int8 if there, else float.
        images: files of images, scans and videos, folders of images and scans, and cameras (see `data.camera`).
        out: folder of the masks.
        overlay: also write a picture of each image with its mask painted over it, and such a video of a video.
        recursive: take the folders inside a folder too.
        threads: of the runtime; None for all cores.
        frames: of each video at most, from the first; None for all. A camera needs it.
        max_pixels: height x width that an image may have.
        max_memory_mb: a file that would take more, in MB of 10^6 bytes, is refused.
        scan_options: how scans are read. The axis is the one that the network was trained on, where its file records it; the
            window must be that of the training.
        progress: see `u3p_edge.progress`.

    Raises:
        DataError, ConfigError: as `plan_jobs`, or another axis than that of the training. ArtifactError: the model cannot be
            read, or a file cannot be written.
    """
    check_output_folder(Path(out))
    paths = [Path(image) for image in images]
    video_jobs = plan_videos([path for path in paths if is_video(path)], Path(out), overlay=overlay, frames=frames)
    others = [path for path in paths if not is_video(path)]
    file = model_file(Path(model))
    session = open_session(file, threads or available_cores(), max_memory_mb=max_memory_mb)
    if video_jobs:
        check_single_images(session.metadata, video_jobs[0].video)
    scan_options = follow_training(scan_options, session.metadata.axis)
    jobs = plan_jobs(others, Path(out), overlay=overlay, recursive=recursive, scan_options=scan_options)
    pictures, scans = [job for job in jobs if job.scan is None], [job for job in jobs if job.scan is not None]
    step = progress("Predict", len(jobs)) if jobs else idle
    done = dict(zip(pictures, predict_all(session, pictures, max_pixels=max_pixels, step=step), strict=True))
    done.update(zip(scans, predict_scans(session, scans, step), strict=True))
    videos = predict_videos(session, video_jobs, max_pixels=max_pixels, progress=progress)
    return Predictions(file, session.metadata, tuple(done[job] for job in jobs), videos)


def predict_all(
    session: Session, jobs: Sequence[Job], *, max_pixels: int = MAX_PIXELS, step: Step = idle
) -> tuple[Predicted | Failed, ...]:
    """Write the mask of every image that can be read; one that cannot be read does not stop the others.

    Args:
        session: one opened model file.
        jobs: from `plan_jobs`.
        max_pixels: height x width that an image may have.
        step: called after each image.

    Raises:
        DataError: the network takes several slices, and nothing says of which volume an image is one; before any is read.
        ArtifactError: a file cannot be written.
    """
    preprocessing = session.metadata.preprocessing
    stacks = dict(zip(jobs, find_stacks([job.image for job in jobs], preprocessing.slices), strict=True))
    read = make_reader(preprocessing)
    results: list[Predicted | Failed] = []
    with ThreadPoolExecutor(1) as readers, write_behind(AHEAD) as submit_write:
        for job, pixels in prefetch(readers, lambda job: read(stacks[job], max_pixels), jobs, AHEAD):
            try:
                image = pixels.result()
                with name_file(job.image):
                    frame = predict_frame(session, image)
            except DataError as error:
                results.append(Failed(job.image, str(error)))
            else:
                results.append(_timed(job, frame))
                submit_write(partial(_write_job, job, image, frame.labels, session.metadata))
            step()
    # Once for all masks: flushed one by one, they would take most of the time.
    sync_folders({job.mask.parent for job, result in zip(jobs, results, strict=True) if isinstance(result, Predicted)})
    return tuple(results)


def prediction_notes(results: Sequence[Predicted | PredictedVideo | Failed], metadata: Metadata) -> tuple[str, ...]:
    """Return sentences on how the images were fitted to the network, where a user should know it."""
    sizes = [result.size for result in results if not isinstance(result, Failed)]
    tiled = sum(grid_of(size, metadata.preprocessing).count > 1 for size in sizes)
    shape = f"{metadata.preprocessing.height}x{metadata.preprocessing.width}"
    tiles = (f"{tiled} of {len(sizes)} images are larger than the network's {shape}: predicted in overlapping tiles.",)
    return (*shrink_notes(sizes, metadata.preprocessing), *(tiles if tiled else ()))


def _timed(job: Job, frame: Frame) -> Predicted:
    height, width = frame.labels.shape
    return Predicted(job.image, (height, width), frame.prepare_ms, frame.network_ms, frame.restore_ms)


def _write_job(job: Job, pixels: Pixels, labels: Labels, metadata: Metadata) -> None:
    write_mask(job.mask, labels, metadata)
    if job.overlay:
        write_picture(job.overlay, overlay(middle_slice(pixels, metadata.preprocessing), labels, metadata.value_colours))
