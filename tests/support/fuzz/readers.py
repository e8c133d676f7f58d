"""Every reader of a stranger's file, as one function of a path. Run in a process of its own by `worker.py`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

MEMORY_MB = 512
"""What a model file may take here; small enough to be refused, and seen, before the machine is full."""


def _session(path: Path) -> None:
    import numpy as np

    from u3p_edge.runtime import open_session

    session = open_session(path, max_memory_mb=MEMORY_MB)
    session.run(np.zeros(session.input_shape, np.float32))


def _inspect(path: Path) -> None:
    from u3p_edge.progress import silent
    from u3p_edge.report.inspection import inspection_findings, to_dict
    from u3p_edge.tools.inspect import inspect

    result = inspect(path, max_memory_mb=MEMORY_MB, progress=silent)
    inspection_findings(result)
    to_dict(result)


def _onnx_graph(path: Path) -> None:
    from u3p_edge.importing.onnx.reader import read_onnx

    _ = read_onnx(path).shapes


def _source(path: Path) -> None:
    from u3p_edge.pipeline.source import read_source

    read_source(path)


def _run_folder(weights: Path) -> None:
    """The weights beside the untouched description that lies next to them."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(weights, Path(folder) / "model.safetensors")
        shutil.copy(weights.with_name("model.json"), folder)
        _source(Path(folder))


def _description(description: Path) -> None:
    """The description beside the untouched weights."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(description, Path(folder) / "model.json")
        shutil.copy(description.with_name("model.safetensors"), folder)
        _source(Path(folder))


def _backbone(path: Path) -> None:
    from u3p_edge.models.backbone_weights import read_layers

    read_layers(path)


def _result(path: Path) -> None:
    from u3p_edge.benchmark.result_file import read_result
    from u3p_edge.report.markdown import render

    render(read_result(path), title="fuzz")


def _history(path: Path) -> None:
    from u3p_edge.benchmark.history import read_entry

    _ = read_entry(path).file_name


def _manifest(path: Path) -> None:
    from u3p_edge.manifest import read_manifest

    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(path, Path(folder) / "manifest.json")
        read_manifest(Path(folder))


def _sbom(path: Path) -> None:
    from u3p_edge.provenance.sbom import read_sbom

    read_sbom(path)


def _rewrites(path: Path) -> None:
    from u3p_edge.pipeline.choices import read_choices

    read_choices(path)


def _table(path: Path) -> None:
    from u3p_edge.latency.table.table import read_latency_table

    read_latency_table(path)


def _plan(path: Path) -> None:
    from u3p_edge.pruning.plan import PruningPlan

    PruningPlan.from_json(path.read_bytes().decode("utf-8", "surrogateescape"))


def _train_recipe(path: Path) -> None:
    from u3p_edge.training.recipe import read_train_recipe

    read_train_recipe(path).to_toml()


def _export_recipe(path: Path) -> None:
    from u3p_edge.recipes.named import read_export_recipe

    read_export_recipe(str(path)).recipe.to_json()


def _split(path: Path) -> None:
    from PIL import Image

    from u3p_edge.data.folder import read_folder

    with tempfile.TemporaryDirectory() as folder:
        for kind in ("images", "masks"):
            (Path(folder) / kind).mkdir()
            for name in "abc":
                Image.new("L", (4, 4)).save(Path(folder) / kind / f"{name}.png")
        shutil.copy(path, Path(folder) / "split.csv")
        read_folder(Path(folder))


def _source_of_slices(path: Path) -> None:
    """Beside images of the volumes that the sound file names."""
    from u3p_edge.data.volumes import find_spacings, find_volumes, read_axis

    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(path, Path(folder) / "source.json")
        (Path(folder) / "images").mkdir()
        for stem in ("p1_s000", "p1_s001", "p2"):
            (Path(folder) / "images" / f"{stem}.png").touch()
        read_axis(Path(folder))
        find_spacings([*(Path(folder) / "images").iterdir()])
        find_volumes(Path(folder) / "images")


def _image(path: Path) -> None:
    from u3p_edge.data.images import read_image

    for channels in (1, 3):
        read_image(path, channels)


def _mask(path: Path) -> None:
    from u3p_edge.data.masks import read_mask

    read_mask(path, 3)


def _nifti(path: Path) -> None:
    import numpy as np

    from u3p_edge.scans.nifti_file import read_nifti, write_nifti_labels
    from u3p_edge.scans.options import ScanOptions

    volume = read_nifti(path, ScanOptions(max_voxels=10**6))
    with tempfile.TemporaryDirectory() as folder:
        write_nifti_labels(Path(folder) / "mask.nii", np.zeros(volume.voxels.shape[:3], np.uint8), path, "axial")


def _dataset(path: Path) -> None:
    """As nnU-Net and MSD have it, beside scans that are not there."""
    from u3p_edge.scans import msd, nnunet
    from u3p_edge.scans.options import ScanOptions

    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(path, Path(folder) / "dataset.json")
        (Path(folder) / "imagesTr").mkdir()
        for kind in (nnunet, msd):
            if kind.recognize(Path(folder)):
                kind.list_cases(Path(folder), ScanOptions())


def _dicom(path: Path) -> None:
    from u3p_edge.scans.dicom.cases import read_series
    from u3p_edge.scans.dicom.series import read_contents
    from u3p_edge.scans.options import ScanOptions

    options = ScanOptions(max_voxels=10**6)
    for series in read_contents(path, options).series:
        read_series(series, options, {})


def _dicom_labels(path: Path) -> None:
    """A segmentation beside the untouched image that lies next to it."""
    from u3p_edge.scans.dicom.cases import read_series
    from u3p_edge.scans.dicom.labels import number_classes
    from u3p_edge.scans.dicom.series import read_contents
    from u3p_edge.scans.options import ScanOptions

    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(path, Path(folder) / "labels.dcm")
        shutil.copy(path.with_name("image.dcm"), folder)
        for series in read_contents(Path(folder), ScanOptions()).series:
            read_series(series, ScanOptions(), number_classes(series.segmentations))


def _segment_codes(path: Path) -> None:
    from u3p_edge.scans.dicom.codes import read_segment_codes

    read_segment_codes(path, ["background", "liver"])


def _tiff_stack(path: Path) -> None:
    from u3p_edge.scans.options import ScanOptions
    from u3p_edge.scans.tiff_stack import read_labelled_stack

    read_labelled_stack(path, None, ScanOptions(max_voxels=10**6))


def _colour_table(path: Path) -> None:
    from u3p_edge.data.colours import parse_colours
    from u3p_edge.data.labels import LabelRule

    LabelRule(colours=parse_colours(str(path)))


def _video(path: Path) -> None:
    from u3p_edge.data.video import open_video

    with open_video(path, max_pixels=10**6) as video:
        for _ in video.frames:
            pass


READERS: Mapping[str, Callable[[Path], None]] = {
    "tflite": _session,
    "tflite inspected": _inspect,
    "onnx": _session,
    "onnx as a graph": _onnx_graph,
    "keras": _source,
    "weights": _run_folder,
    "description": _description,
    "backbone weights": _backbone,
    "result": _result,
    "history": _history,
    "manifest": _manifest,
    "bill of materials": _sbom,
    "rewrites": _rewrites,
    "table": _table,
    "plan": _plan,
    "train recipe": _train_recipe,
    "export recipe": _export_recipe,
    "split": _split,
    "source of slices": _source_of_slices,
    "image": _image,
    "mask": _mask,
    "tiff stack": _tiff_stack,
    "video": _video,
    "colour table": _colour_table,
    "nifti": _nifti,
    "dataset": _dataset,
    "dicom": _dicom,
    "dicom labels": _dicom_labels,
    "segment codes": _segment_codes,
}
"""Name to a function that returns, or raises an error of ours."""
