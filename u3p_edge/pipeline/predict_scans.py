"""Write the masks of volumes, slice by slice. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from u3p_edge.data.file_errors import name_file
from u3p_edge.data.stacks import check_depth, stack_slices
from u3p_edge.errors import DataError
from u3p_edge.pipeline.jobs import Job
from u3p_edge.pipeline.predictions import Failed, Predicted
from u3p_edge.progress import Step, idle
from u3p_edge.runtime.base import Session
from u3p_edge.runtime.segment import predict_frame
from u3p_edge.scans.slice_files import to_pixels


def predict_scans(session: Session, jobs: Sequence[Job], step: Step = idle) -> tuple[Predicted | Failed, ...]:
    """Write the mask of every scan that can be read, one scan in memory at a time; one that cannot does not stop the others.

    Slices are prepared as those of an imported data folder. Masks hold the values of
    `u3p_edge.label_values`, of a binary model too.

    Args:
        session: one opened model file.
        jobs: of scans.
        step: called after each scan.

    Raises:
        ArtifactError: a mask cannot be written. MissingPackageError: the package that reads such scans is not installed.
    """
    results: list[Predicted | Failed] = []
    for job in jobs:
        try:
            results.append(_predict(session, job))
        except DataError as error:
            results.append(Failed(job.image, str(error)))
        step()
    return tuple(results)


def _predict(session: Session, job: Job) -> Predicted:
    if job.scan is None:
        raise ValueError(f"{job.image} is no scan")
    voxels = job.scan.read().voxels
    preprocessing = session.metadata.preprocessing
    check_depth(len(voxels), preprocessing.slices, job.image)
    labels: npt.NDArray[np.uint8] = np.empty(voxels.shape[:3], np.uint8)
    times = np.empty((len(voxels), 3))
    with name_file(job.image):
        pixels = to_pixels(voxels)
        for index in range(len(pixels)):
            frame = predict_frame(session, stack_slices(pixels, index, preprocessing))
            labels[index] = frame.labels
            times[index] = frame.prepare_ms, frame.network_ms, frame.restore_ms
    job.scan.write(job.mask, labels, session.metadata)
    prepare_ms, network_ms, restore_ms = map(float, times.mean(axis=0))
    return Predicted(job.image, (voxels.shape[1], voxels.shape[2]), prepare_ms, network_ms, restore_ms, len(labels))
