"""Write what every peer gets: one trained float network in several forms, and its images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from benchmarks.peers.peer import Material
from benchmarks.students.exchange import write_network
from benchmarks.students.quantize import calibration_images
from u3p_edge import write_onnx
from u3p_edge.conversion.tflite.converter import convert_float
from u3p_edge.files.atomic import atomic_path, make_folder, write_bytes
from u3p_edge.graph.ir import Graph
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.source import Source

DONE = "done.txt"
STUDENTS = ("pruned_1x", "unet_1x")


def write_material(source: Source, data: ExportData, students: Path, folder: Path) -> Material:
    """Write the network and the images, if that is not done yet.

    Args:
        source: the trained network.
        data: its preprocessed splits.
        students: folder of `benchmarks.students` for the same network and data; what it lacks is left out.
        folder: where the files go.
    """
    material = Material(folder)
    make_folder(folder)
    _copy_students(students, folder / "students")
    if (folder / DONE).exists():
        return material
    write_bytes(material.tflite, convert_float(source.model, source.metadata))
    write_onnx(source.graph, material.onnx, source.metadata)
    source.model.save(material.keras)
    write_network(material.network, source.graph, weights=False)
    _write_weights(material.network.with_suffix(".npz"), source.graph)
    arrays = {name: part.images for name, part in {"train": data.train, "val": data.val, "test": data.test}.items()}
    arrays["calibration"] = calibration_images(data)
    for name, images in arrays.items():
        np.save(folder / f"{name}_images.npy", images)
    np.save(folder / "train_labels.npy", data.train.labels)
    write_bytes(folder / DONE, b"")
    return material


def _write_weights(path: Path, graph: Graph) -> None:
    """Write all weights in float32, since what is quantized shall be the same network everywhere."""
    arrays = {f"{node.name}/{key}": value for node in graph.nodes for key, value in node.weights.items()}
    with atomic_path(path) as partial:
        np.savez(partial, **arrays)  # type: ignore[arg-type]  # of a later keyword that no array is named like


def _copy_students(study: Path, folder: Path) -> None:
    make_folder(folder)
    for name in STUDENTS:
        network, weights = study / "networks" / f"{name}.json", study / "trained" / f"{name}_0.npz"
        if network.is_file() and weights.is_file():
            shutil.copyfile(network, folder / f"{name}.json")
            shutil.copyfile(weights, folder / f"{name}.npz")
