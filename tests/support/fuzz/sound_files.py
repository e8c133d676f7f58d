"""Small sound files for every reader."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from tests.support.command_line import make_keras_files
from tests.support.dicom_files import image, multiframe, ramp, save, segmentation
from tests.support.histories import commit_at
from tests.support.nifti_files import save_nifti, scan_voxels
from tests.support.onnx_networks import save_unet
from tests.support.picture_files import write_deep_png
from tests.support.sample_results import result
from tests.support.small_artifacts import SHAPE, Zoo, picture, truth
from u3p_edge.benchmark.history import record
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.files.atomic import write_json
from u3p_edge.latency.table.table import Correction, Device, LatencyTable, LayerTimes, Steps, write_latency_table
from u3p_edge.manifest import Artifact, Manifest
from u3p_edge.pipeline.choices import selections_to_json
from u3p_edge.provenance.sbom import write_sbom
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.recipes.named import FOLDER
from u3p_edge.rewriting.engine import Candidate, Selection
from u3p_edge.training.recipe import TrainRecipe

DATASET = """{
  "channel_names": {"0": "T2"}, "modality": {"0": "T2"}, "labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz",
  "licence": "CC0-1.0", "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}]
}"""
"""Of nnU-Net and of MSD at once."""

SEGMENT_CODES = """[liver]
category = ["123037004", "SCT", "Body structure"]
type = ["10200004", "SCT", "Liver"]
"""


def make(zoo: Zoo, folder: Path) -> dict[str, list[Path]]:
    """Paths by reader."""
    tflite = [zoo.path(f"{kind}.tflite") for kind in ("float32", "int8", "float16", "float-io")]
    weights, description = _run_folder(folder)
    return {
        "tflite": tflite,
        "tflite inspected": tflite[:2],
        "onnx": [zoo.path("float32.onnx"), zoo.path("int8.onnx")],
        "onnx as a graph": [zoo.path("float32.onnx"), save_unet(folder / "unet.onnx", (16, 16))],
        "keras": list(make_keras_files(zoo).values()),
        "weights": [weights],
        "description": [description],
        "backbone weights": [_backbone(folder)],
        **_texts(folder),
        "image": _images(folder),
        "mask": [folder / "palette.png"],
        "dicom": _dicom(folder / "dicom"),
        "dicom labels": [_dicom_labels(folder / "dicom labels")],
        "tiff stack": [_stack(folder / "stack.tif")],
        "video": [_video(folder / "video.mp4")],
        "nifti": [save_nifti(folder / name, scan_voxels(0)) for name in ("scan.nii", "scan.nii.gz")],
    }


def _dicom(folder: Path) -> list[Path]:
    compressed = []
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset = image(ramp(1, (64, 64))[0])
        dataset.compress(syntax)
        compressed.append(save(dataset, folder / f"{syntax.keyword}.dcm"))
    plain, frames = image(ramp(1)[0]), multiframe(ramp(3), [0, 1, 2])
    return [save(plain, folder / "slice.dcm"), save(frames, folder / "frames.dcm"), *compressed]


def _dicom_labels(folder: Path) -> Path:
    save(image(ramp(1)[0]), folder / "image.dcm")
    return save(segmentation(ramp(2, dtype="uint8") % 2 * [[[1]], [[0]]], [0, 0], ["left", "right"]), folder / "labels.dcm")


def _run_folder(folder: Path) -> tuple[Path, Path]:
    from u3p_edge.models.config import preset
    from u3p_edge.models.store import save_model
    from u3p_edge.models.unet3plus import build

    config = preset("article", input_shape=SHAPE, base_width=2, classes=1, deep_supervision=False)
    save_model(folder / "run", build(config), config, default_metadata(Preprocessing(*SHAPE), labels=2))
    return folder / "run" / "model.safetensors", folder / "run" / "model.json"


def _backbone(folder: Path) -> Path:
    import tf_keras

    image = tf_keras.Input((8, 8, 3))
    model = tf_keras.Model(image, tf_keras.layers.Conv2D(2, 3, name="block1_conv1")(image))
    model.save_weights(folder / "backbone.h5")
    return folder / "backbone.h5"


def _texts(folder: Path) -> dict[str, list[Path]]:
    choices = (
        Selection(
            "conv",
            "separable",
            (Candidate("reference", 8, 2.5), Candidate("separable", 4, 1.5), Candidate("winograd", refusal="no")),
        ),
    )
    written = {
        "rewrites": ("rewrites.json", selections_to_json(choices)),
        "plan": ("plan.json", PruningPlan({"a": [0, 2], "b": [1]}).to_json()),
        "train recipe": ("train.toml", TrainRecipe().to_toml()),
        "export recipe": ("export.toml", (FOLDER / "balanced.toml").read_text(encoding="utf-8")),
        "dataset": ("dataset.json", DATASET),
        "segment codes": ("codes.toml", SEGMENT_CODES),
        "colour table": ("colours.csv", "name,r,g,b,class\nvoid,0,0,0,0\nroad,255,0,9,1\n"),
        "source of slices": (
            "source.json",
            '{"axis": "axial", "cases": {"p1": {"slices": 2, "spacing_mm": [5, 1, 0.5]}, "p2": {"slices": 1}}}',
        ),
        "split": ("split.csv", "name,split,patient\na,train,1\nb,val,2\nc,test,3\n"),
    }
    manifest = Manifest((Artifact("model.int8.tflite", "tflite-int8", "ab" * 32, 1234, "cd" * 32),), "{}", "key", (("a", "b"),))
    written["bill of materials"] = ("sbom.json", write_sbom(manifest, "unet", ()))
    for name, text in written.values():
        (folder / name).write_text(text, encoding="utf-8")
    save_result(folder / "result.json", result())
    record(folder / "history", result(), commit_at(0)).replace(folder / "history.json")
    write_json(folder / "manifest.json", dataclasses.asdict(manifest))
    device = Device("Linux aarch64", "Cortex-A76", 4, "tflite", "2.3.0", 1, "int8")
    layers = (LayerTimes("max_pool 8x8", ((8, 0, 0.01), (16, 0, 0.02))),)
    write_latency_table(folder / "table.json", LatencyTable(device, Steps(1, 16), layers, Correction()))
    return {**{reader: [folder / name] for reader, (name, _) in written.items()}} | {
        kind: [folder / f"{kind}.json"] for kind in ("result", "history", "manifest", "table")
    }


def _images(folder: Path) -> list[Path]:
    grey = (255 * picture(0)[:, :, 0]).astype(np.uint8)
    pictures = {
        "grey.png": Image.fromarray(grey),
        "grey.tif": Image.fromarray(grey.astype(np.uint16)),
        "colour.jpg": Image.fromarray(np.stack([grey] * 3, -1)),
        "palette.png": Image.fromarray(truth(0)).convert("P"),
        "colour.bmp": Image.fromarray(np.stack([grey] * 3, -1)),
    }
    for name, one in pictures.items():
        one.save(folder / name)
    deep = write_deep_png(folder / "deep.png", np.stack([grey.astype(np.uint16) * 257] * 3, -1))
    return [*(folder / name for name in pictures), deep]


def _video(path: Path) -> Path:
    from u3p_edge.data.video import write_video

    with write_video(path, (48, 64), 10) as append:
        for k in range(3):
            append(np.repeat((255 * picture(k)).astype(np.uint8), 3, axis=2))
    return path


def _stack(path: Path) -> Path:
    """A TIFF of two slices, as ImageJ describes it."""
    pages = [Image.fromarray((picture(k)[:, :, 0] * 60000).astype(np.uint16)) for k in range(2)]
    text = "ImageJ=1.54\nimages=2\nslices=2\nunit=mm\nspacing=2.5\n"
    pages[0].save(
        path, save_all=True, append_images=pages[1:], tiffinfo={270: text, 282: 2.0, 283: 2.0}, compression="tiff_lzw"
    )
    return path
