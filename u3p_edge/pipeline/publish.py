"""The files of an export under their final names: the old export or the new one, whenever the process is killed.

    1. every new file lies whole in the staging folder                     `assemble`, and the reports
    2. the manifest lists them as pending, and claims what they replace    `publish`
    3. they are renamed to their final names, and what is left of the old export is removed
    4. the manifest lists them as the files of the run

A kill before 2 leaves the old export as it was. After it, the next export finishes 3 and 4 by the manifest (`open_run`).
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import atomic_path, cannot_write
from u3p_edge.manifest import REPORT_FORMAT, SCHEMA, WITH_REPORTS, Artifact, Manifest, describe, is_whole, write_manifest
from u3p_edge.pipeline.report_names import REPORTS, RESULT
from u3p_edge.pipeline.staging import PREFIX, Staging
from u3p_edge.progress import Progress, silent
from u3p_edge.recipes.recipe import FORMATS
from u3p_edge.run_folder import check_ours, open_manifest, sync_names

REFERENCE_FILE = "reference.float32.tflite"
"""The original float model, which everything is measured against."""


@dataclass(frozen=True)
class ArtifactKind:
    """What a model file is.

    Args:
        container: its file format, which is also its suffix.
        number: the number type of its weights, "float32", "float16" or "int8".
    """

    container: str
    number: str

    def __str__(self) -> str:
        """Return the format that a manifest lists."""
        return f"{self.container}-{self.number}"


MODELS: Mapping[str, ArtifactKind] = MappingProxyType(
    {
        REFERENCE_FILE: ArtifactKind("tflite", "float32"),
        **{
            f"model.{number}.{container}": ArtifactKind(container, number)
            for container in FORMATS
            for number in ("float32", "float16", "int8")
        },
    }
)
"""The models that an export writes, by file name."""

NETWORK_FILE = "network.int8.safetensors"
"""The network in integers that the int8 models hold, in this package's own format (`conversion.network_file`)."""

NAMES = (*MODELS, NETWORK_FILE, *REPORTS)
"""Names of all files that an export writes, besides the manifest."""

READY = "ready"
"""Within the staging folder: the files that are published together, under their final names."""


def open_run(run: Path, *, force: bool = False, progress: Progress = silent) -> Manifest:
    """Return the manifest of a folder that an export is about to write to.

    An export that was killed while it was published is finished first; if its files are no longer whole, it is dropped.

    Args:
        run: held by this process.
        force: reuse nothing that an earlier export left.
        progress: is given a note of each thing that was damaged.

    Raises:
        ArtifactError: a file of other origin has a name that an export writes; nothing was changed.
    """
    manifest = _with_reports(open_manifest(run, NAMES, force=force, progress=progress))
    check_ours(run, manifest, NAMES)
    if manifest.pending and not force and _can_finish(run, manifest):
        return _finish(run, manifest)
    if manifest.pending or force:
        return dataclasses.replace(manifest.with_claims(a.file for a in manifest.pending), staging="", key="")
    return manifest


def assemble(files: Mapping[str, Path], staging: Staging) -> Path:
    """Make a folder with copies of the files under their final names, and nothing else."""
    folder = staging.folder / READY
    shutil.rmtree(folder, ignore_errors=True)
    staging.part(READY)
    for name, path in files.items():
        with atomic_path(folder / name) as partial:
            shutil.copyfile(path, partial)
    return folder


def publish(ready: Path, run: Path, before: Manifest, after: Manifest) -> Manifest:
    """Give all files of a folder their final names, in place of those of an earlier export.

    Args:
        ready: the folder that `assemble` gave.
        run: the run folder, held by this process.
        before: what `open_run` gave.
        after: recipe, key, rewrites, origins and models of the new export; every other file of `ready` is a report of it.

    Returns:
        The manifest that `run` has now.

    Raises:
        ArtifactError: a file cannot be written; the next export into the folder finishes this one.
    """
    reports = (describe(path, REPORT_FORMAT) for path in sorted(ready.iterdir()) if after.get(path.name) is None)
    pending = (*after.artifacts, *reports)
    kept, new = before.without(NAMES), {a.file for a in pending}
    replaced = (name for name in NAMES if name in before.names and name not in new)
    intent = dataclasses.replace(kept.with_claims(replaced), recipe=after.recipe, key=after.key, rewrites=after.rewrites)
    intent = dataclasses.replace(intent, pending=pending, staging=ready.parent.name, origins=after.origins, schema=SCHEMA)
    write_manifest(run, intent)
    sync_names(run)
    return _finish(run, intent)


def finished_result(run: Path, manifest: Manifest, key: str, progress: Progress = silent) -> RunResult | None:
    """Return the result of an export with the same key if all its files are unchanged; else None.

    Args:
        run: the run folder.
        manifest: what `open_run` gave.
        key: of the export that is asked for.
        progress: is given a note where a file has changed.
    """
    if (
        manifest.key != key
        or manifest.pending
        or manifest.schema < SCHEMA
        or RESULT not in {report.file for report in manifest.reports}
    ):
        return None
    changed = next((a.file for a in (*manifest.artifacts, *manifest.reports) if not is_whole(a, run)), None)
    if changed is not None:
        progress.note(f"{run / changed} is not as the export left it, so the export is made anew.")
        return None
    try:
        return read_result(run / RESULT)
    except ArtifactError as error:
        progress.note(f"{error.symptom}; the export is made anew.")
        return None


def _with_reports(manifest: Manifest) -> Manifest:
    """Return the manifest; where an older version of this program exported, add the reports, which it did not list."""
    if manifest.schema >= WITH_REPORTS or not any(a.file in MODELS for a in manifest.artifacts):
        return manifest
    return manifest.with_claims(REPORTS)


def _waiting(run: Path, manifest: Manifest) -> Path:
    """Return the folder of the pending files that do not have their final names yet."""
    return run / manifest.staging / READY


def _can_finish(run: Path, manifest: Manifest) -> bool:
    """Whether every pending file is whole, in the staging folder or already under its final name."""
    ready = _waiting(run, manifest)
    whole = (is_whole(a, ready if os.path.lexists(ready / a.file) else run) for a in manifest.pending)
    return manifest.staging.startswith(PREFIX) and all(whole)


def _finish(run: Path, intent: Manifest) -> Manifest:
    """Rename what is pending, remove what it replaces, and list it as the files of the run."""
    ready = _waiting(run, intent)
    try:
        for artifact in intent.pending:
            if os.path.lexists(ready / artifact.file):
                (ready / artifact.file).replace(run / artifact.file)
        for name in intent.claims:
            if name in NAMES:
                (run / name).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(run, error) from error
    sync_names(run)
    done = _listed(intent)
    write_manifest(run, done)
    sync_names(run)
    return done


def _listed(intent: Manifest) -> Manifest:
    """Return the manifest once the pending files have their final names."""
    files: tuple[Artifact, ...] = intent.pending
    reports = tuple(a for a in files if a.format == REPORT_FORMAT)
    kept = dataclasses.replace(intent.without(NAMES), staging="")
    return dataclasses.replace(kept, artifacts=(*kept.artifacts, *(a for a in files if a not in reports)), reports=reports)
