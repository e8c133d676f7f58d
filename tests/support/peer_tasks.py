"""A task of the peers' benchmark that takes seconds: a tiny untrained network, and images of discs."""

from __future__ import annotations

from pathlib import Path

import tf_keras

from benchmarks.lib import plain_unet
from benchmarks.peers.material import write_material
from benchmarks.peers.measure import Task
from tests.support.tiny_run import discs
from u3p_edge.data.folder import Dataset
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.source import read_source


def make_task(folder: Path) -> Task:
    """A plain UNet of two scales on images of 32x32, with files below `folder`."""
    tf_keras.utils.set_random_seed(0)
    plain_unet.build((32, 32), 1, 1, (4, 8)).save(folder / "unet.keras")
    train, val, test = (discs(count, seed) for count, seed in ((8, 1), (7, 2), (7, 3)))
    data = ExportData("discs", train, val, test, "test", embedded=False, dataset=Dataset(folder, ()))
    source = read_source(folder / "unet.keras")
    material = write_material(source, data, folder / "no students", folder / "material")
    return Task(material, val, test, source.metadata.labels, folder / "files", folder / "environments")
