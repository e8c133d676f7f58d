"""The files of a MONAI bundle: metadata.json, inference.json, and a module that runs the network in torch's place.

https://docs.monai.io/en/stable/mb_specification.html. MONAI knows no network of this kind, so the bundle's network is an ONNX
file, and this package prepares images and runs it as `predict` does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from u3p_edge import __version__
from u3p_edge.benchmark.result import ArtifactResult
from u3p_edge.config.metadata import Metadata
from u3p_edge.errors import ConfigError
from u3p_edge.runtime.packages import installed_version
from u3p_edge.text import to_terminal

SCHEMA_URL = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
"""The JSON Schema of metadata.json; MONAI's own check reads it from there."""

MONAI, PYTORCH = "1.6.1", "2.13.0"
"""The versions that the bundle's own checks and its inference were run with."""

BUNDLE_VERSION = "0.1.0"
NOT_STATED = "not stated"

SCRIPT = '''"""The network of this bundle and its preprocessing, run by u3p_edge."""

import numpy as np
import torch

from u3p_edge import open_session
from u3p_edge.data.preprocess import preprocess
from u3p_edge.runtime.segment import read_pixels


class Prepare:
    """Read the image that a dictionary names, and replace it by what the network takes: float32 [C, H, W]."""

    def __init__(self, path, key="image"):
        self.preprocessing = open_session(path).metadata.preprocessing
        self.key = key

    def __call__(self, data):
        image = read_pixels(data[self.key], self.preprocessing)
        values = preprocess(image, self.preprocessing)
        return {**data, self.key: torch.from_numpy(values).movedim(-1, 0)}


class Network(torch.nn.Module):
    """Images float32 [N, C, H, W] to scores float32 [N, K, H, W]."""

    def __init__(self, path):
        super().__init__()
        self.session = open_session(path)

    def forward(self, images):
        batch = images.detach().cpu().movedim(1, -1).numpy()
        outputs = np.stack([self.session.run(np.ascontiguousarray(image)) for image in batch])
        return torch.from_numpy(outputs).movedim(-1, 1).to(images.device)
'''
"""scripts/u3p.py of a bundle."""


def bundle_metadata(
    title: str, metadata: Metadata, file: ArtifactResult, *, license: str = "", authors: str = ""
) -> dict[str, Any]:
    """Return configs/metadata.json.

    Args:
        title: name of the model.
        metadata: of the ONNX file.
        file: the measurements of the ONNX file.
        license: of the model; empty where it is not stated.
        authors: of the model; likewise.

    Raises:
        ConfigError: the file gives labels, and MONAI's checks want real numbers.
    """
    if metadata.output == "labels":
        raise ConfigError(
            f"{file.name} gives labels, and the network of a MONAI bundle gives scores",
            mend="Export with --output probabilities or logits.",
        )
    classes = ", ".join(map(to_terminal, metadata.class_names))
    packages = {"u3p-edge": __version__, "onnxruntime": installed_version("onnxruntime")}
    dice = None if file.accuracy is None else file.accuracy.mean_dice
    return {
        "schema": SCHEMA_URL,
        "version": BUNDLE_VERSION,
        "changelog": {BUNDLE_VERSION: f"Exported by u3p_edge {__version__}."},
        "monai_version": MONAI,
        "pytorch_version": PYTORCH,
        "numpy_version": np.__version__,
        "required_packages_version": {name: version for name, version in packages.items() if version},
        "optional_packages_version": {},
        "name": to_terminal(title),
        "task": f"Segment images into {classes}",
        "description": f"A UNet 3+, {file.format}, exported for small devices. docs/README.md is its model card.",
        "authors": to_terminal(authors) or NOT_STATED,
        "copyright": to_terminal(license) or NOT_STATED,
        "intended_use": "Research. This is not a medical device.",
        "eval_metrics": {} if dice is None else {"mean_dice": round(dice, 4)},
        "network_data_format": {"inputs": {"image": _input(metadata)}, "outputs": {"pred": _output(metadata)}},
    }


def bundle_inference(metadata: Metadata) -> dict[str, Any]:
    """Return configs/inference.json: the images of a folder `images` within the bundle, one after another, to labels."""
    if metadata.channels_out == metadata.labels:
        discrete: dict[str, Any] = {"argmax": True}
    else:
        discrete = {"threshold": 0.5 if metadata.output == "probabilities" else 0.0}
    return {
        "imports": ["$from pathlib import Path", "$import torch"],
        "bundle_root": ".",
        "device": "$torch.device('cpu')",
        "dataset_dir": "$@bundle_root + '/images'",
        "model": "$@bundle_root + '/models/model.onnx'",
        "datalist": "$[{'image': Path(name)} for name in sorted(Path(@dataset_dir).iterdir())]",
        "network_def": {"_target_": "scripts.u3p.Network", "path": "@model"},
        "preprocessing": {"_target_": "scripts.u3p.Prepare", "path": "@model"},
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "AsDiscreted", "keys": "pred", **discrete},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network_def",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": ["$@evaluator.run()"],
    }


def _input(metadata: Metadata) -> dict[str, Any]:
    p = metadata.preprocessing
    names: tuple[str, ...] = ("grey",) if p.channels == 1 else ("red", "green", "blue")
    if p.slices > 1:
        names = tuple(f"slice {index - p.slices // 2:+d}" for index in range(p.slices))
    bounded = p.normalization in ("percentile", "range")
    return {
        **_tensor(metadata, p.channels, [0, 1] if bounded else []),
        "format": "magnitude",
        "modality": "n/a",
        "channel_def": {str(index): name for index, name in enumerate(names)},
    }


def _output(metadata: Metadata) -> dict[str, Any]:
    names = metadata.class_names[metadata.labels - metadata.channels_out :]
    return {
        **_tensor(metadata, metadata.channels_out, [0, 1] if metadata.output == "probabilities" else []),
        "format": "labels" if metadata.channels_out > 1 else "classes",
        "channel_def": {str(index): to_terminal(name) for index, name in enumerate(names)},
    }


def _tensor(metadata: Metadata, channels: int, bounds: list[int]) -> dict[str, Any]:
    p = metadata.preprocessing
    return {
        "type": "image",
        "num_channels": channels,
        "spatial_shape": [p.height, p.width],
        "dtype": "float32",
        "value_range": bounds,
        "is_patch_data": p.fit == "pad",
    }
