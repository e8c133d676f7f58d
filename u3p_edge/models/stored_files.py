"""The two files of a stored model, replaced together. No TensorFlow here.

    model.safetensors   the weights, each under its variable's name, e.g. "enc1_conv1/kernel"
    model.json          configuration, metadata, and the sha256 of model.safetensors

They stay consistent even if the process is killed in between: while the weights are being replaced, model.json describes the
old ones too, under `previous`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import read_json, write_bytes, write_json

WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"


def reference_folder() -> Path:
    """Return the folder of the trained reference model that travels in the package."""
    return Path(__file__).resolve().parent / "reference"


def replace_files(folder: Path, weights: bytes, description: Mapping[str, Any]) -> None:
    """Write both files, in place of those that are there.

    Args:
        folder: created if need be; other files in it are left alone.
        weights: the content of model.safetensors.
        description: the content of model.json without the sha256, which is added.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    new = {**description, "sha256": hashlib.sha256(weights).hexdigest()}
    old = _existing(folder)
    if old is not None:
        write_json(folder / DESCRIPTION, {**new, "previous": old})
    write_bytes(folder / WEIGHTS, weights)
    write_json(folder / DESCRIPTION, new)


def _existing(folder: Path) -> object:
    """Return the description of the weights in `folder`, to keep while they are replaced; None if there is none."""
    try:
        stored = read_json(folder / DESCRIPTION)
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    except (ArtifactError, OSError):
        return None
    current = {key: value for key, value in stored.items() if key != "previous"}
    known = (current, stored.get("previous"))
    return next((d for d in known if isinstance(d, dict) and d.get("sha256") == digest), None)
