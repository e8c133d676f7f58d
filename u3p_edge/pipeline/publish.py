"""The files of an export under their final names, and the manifest that names them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from u3p_edge.artifact import MANIFEST, Manifest, atomic_path, describe, read_manifest, sha256_of, write_manifest
from u3p_edge.benchmark.result import RunResult, read_result
from u3p_edge.pipeline.recipe import FORMATS, ExportRecipe
from u3p_edge.pipeline.reporting import REPORT, REPORTS, RESULT, SAMPLES
from u3p_edge.pipeline.rewriting import Network
from u3p_edge.pipeline.source import Source

QUANTIZATION, REWRITES = "quantization.json", "rewrites.json"

REFERENCE_FILE = "reference.float32.tflite"
"""The float model as it came, which everything is measured against."""

OWN = (REFERENCE_FILE, *(f"model.{number}.{container}" for container in FORMATS for number in ("float32", "float16", "int8")))
"""Names of the models that an export writes."""


def publish(
    files: Mapping[str, Path], run: Path, source: Source, key: str, recipe: ExportRecipe, network: Network
) -> dict[str, Path]:
    """Give the verified files that were asked for their final names, and write the manifest."""
    wanted = {name: path for name, path in files.items() if path.suffix[1:] in recipe.formats}
    # What else lies there, a training run's files say, stays and stays known; of an earlier export nothing may.
    others = tuple(a for a in read_manifest(run).artifacts if a.file not in OWN)
    with contextlib.ExitStack() as all_or_none:
        # Copied first, renamed together at the end: a disk that fills up meanwhile leaves the run folder as it was.
        for name, path in wanted.items():
            shutil.copyfile(path, all_or_none.enter_context(atomic_path(run / name)))
        for name in (MANIFEST, *REPORTS, QUANTIZATION, REWRITES, *OWN):
            (run / name).unlink(missing_ok=True)
    rewrites = tuple((choice.site, choice.chosen) for choice in network.choices)
    manifest = Manifest(others, recipe.to_json(), key, rewrites)
    for name in wanted:
        # The int8 ONNX file holds the integers of the int8 TFLite file; every other file comes from the float model.
        parent = sha256_of(files["model.int8.tflite"]) if name == "model.int8.onnx" else source.sha256
        _, number, container = name.split(".")
        manifest = manifest.with_artifact(describe(run / name, f"{container}-{number}", parent))
    write_manifest(run, manifest)
    return {name: run / name for name in wanted}


def finished_result(run: Path, key: str) -> RunResult | None:
    """The result of an export of the same key whose files are all still as they were."""
    manifest = read_manifest(run)
    same = manifest.key == key and all((run / name).exists() for name in (RESULT, REPORT, SAMPLES))
    whole = same and all((run / a.file).exists() and sha256_of(run / a.file) == a.sha256 for a in manifest.artifacts)
    return read_result(run / RESULT) if whole else None
