"""An export in the folder forms of other people's tools: a repository of the Hugging Face Hub, and a MONAI bundle.

Nothing is sent anywhere. A folder is written whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from u3p_edge.benchmark.result_file import read_result
from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import atomic_folder
from u3p_edge.manifest import MANIFEST, Manifest, is_whole, read_manifest
from u3p_edge.pipeline.report_names import CARD, RESULT, SBOM
from u3p_edge.provenance.hub import ATTRIBUTES, make_readme
from u3p_edge.provenance.monai_bundle import SCRIPT, bundle_inference, bundle_metadata
from u3p_edge.runtime import open_session

NETWORKS = ("model.int8.onnx", "model.float32.onnx")
"""What the network of a MONAI bundle may be, the first that the export has."""

Content = Path | str
"""A file to copy, or the text of one."""


def write_hub_folder(run: str | Path, folder: str | Path, *, license: str = "", reports: bool = False) -> tuple[str, ...]:
    """Write a model folder for the Hugging Face Hub: README.md (the model card), the model files, the bill of materials.

    Args:
        run: folder of an export.
        folder: to write; it must be absent or empty.
        license: of the model, as the Hub writes it, e.g. "apache-2.0"; empty for what the card says.
        reports: also copy the reports, with which `u3p-edge verify` passes in the folder. They name groups (patients) of the
            data and show images.

    Returns:
        The names of the files.

    Raises:
        ArtifactError: `run` is no whole export, or the folder is not empty or cannot be written.
    """
    source, manifest = _open_export(Path(run))
    card = (source / CARD).read_text(encoding="utf-8")
    copied = [a.file for a in manifest.artifacts] + [SBOM]
    if reports:
        copied += [MANIFEST, *(report.file for report in manifest.reports if report.file != SBOM)]
    texts: dict[str, Content] = {
        "README.md": make_readme(card, license, verifiable=reports),
        ".gitattributes": ATTRIBUTES,
    }
    return _write_folder(Path(folder), {**{name: source / name for name in copied}, **texts})


def write_monai_bundle(run: str | Path, folder: str | Path, *, license: str = "", authors: str = "") -> tuple[str, ...]:
    """Write a MONAI bundle: configs/metadata.json, configs/inference.json, models/model.onnx, scripts/u3p.py, docs/README.md.

    Args:
        run: folder of an export with an ONNX file, the int8 one if there is one.
        folder: to write; it must be absent or empty.
        license, authors: of the model; empty where they are not stated.

    Returns:
        The names of the files, with their folders.

    Raises:
        ArtifactError: as `write_hub_folder`; also an export without an ONNX file.
        ConfigError: the file gives labels.
    """
    source, manifest = _open_export(Path(run))
    name = next((name for name in NETWORKS if manifest.get(name) is not None), "")
    file = read_result(source / RESULT).get(name)
    if file is None:
        raise ArtifactError(f"{run} has no ONNX file", mend="Export with --formats onnx.")
    metadata, card = open_session(source / name, max_memory_mb=None).metadata, (source / CARD).read_text(encoding="utf-8")
    title = next((one.name for one in manifest.origins if one.kind == "float model"), "") or "UNet 3+"
    described = bundle_metadata(title, metadata, file, license=license, authors=authors)
    contents: dict[str, Content] = {
        "configs/metadata.json": _to_text(described),
        "configs/inference.json": _to_text(bundle_inference(metadata)),
        "models/model.onnx": source / name,
        "scripts/__init__.py": "",
        "scripts/u3p.py": SCRIPT,
        "docs/README.md": make_readme(card, license, verifiable=False),
    }
    return _write_folder(Path(folder), contents)


def _open_export(run: Path) -> tuple[Path, Manifest]:
    """Return the folder of an export and its manifest, once all its files are known to be whole."""
    manifest = read_manifest(run)
    if not manifest.artifacts or CARD not in manifest.names:
        raise ArtifactError(f"{run} is no run folder of an export", mend="Make one with `u3p-edge export`.")
    changed = next((a.file for a in (*manifest.artifacts, *manifest.reports) if not is_whole(a, run)), None)
    if changed is not None or manifest.pending:
        raise ArtifactError(f"{run / (changed or MANIFEST)} is not as the export left it", mend="Export again.")
    return run, manifest


def _write_folder(folder: Path, contents: Mapping[str, Content]) -> tuple[str, ...]:
    """Write files into a folder that is absent or empty: all of them, or none. Return their names."""
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtifactError(f"{folder} is not an empty folder", mend="Give a folder that is not there yet.")
    with atomic_folder(folder) as partial:
        for name, content in contents.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, path)
            else:
                path.write_text(content, encoding="utf-8")
    return tuple(contents)


def _to_text(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
