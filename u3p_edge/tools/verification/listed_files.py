"""Is every file of a run there, as its manifest lists it, and no other under a name that an export uses?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import read_json
from u3p_edge.manifest import DIGEST, MANIFEST, SCHEMA, Artifact, Manifest, digest_of, read_manifest, sha256_of
from u3p_edge.pipeline.publish import MODELS, NAMES, NETWORK_FILE
from u3p_edge.pipeline.report_names import CARD, LOCK, REPORT, RESULT, SBOM
from u3p_edge.tools.verification.check import RunCheck, conclude


def check_manifest(run: Path) -> tuple[Manifest | None, RunCheck]:
    """Return the manifest of a run folder and its check; None where it is damaged.

    Raises:
        ArtifactError: there is no such folder, or it has no manifest, so it is no run folder.
    """
    path = run / MANIFEST
    if not path.is_file():
        reason = f"is not a run folder: it has no {MANIFEST}" if run.is_dir() else "is no folder"
        raise ArtifactError(f"{run} {reason}", mend="Give the --out folder of an export.")
    try:
        manifest, content = read_manifest(run), read_json(path)
    except ArtifactError as error:
        return None, conclude("manifest", [error.symptom], "")
    faults = []
    if manifest.schema > SCHEMA:
        faults.append(f"{MANIFEST} is of version {manifest.schema}, and this program knows versions up to {SCHEMA}")
    if manifest.schema >= SCHEMA and content.get(DIGEST) != digest_of(content):
        faults.append(f"{MANIFEST} has changed: its content has not the sha256 that it records")
    if manifest.pending:
        faults.append("an export into this folder was interrupted while it was published; the same command finishes it")
    known = "" if manifest.schema >= SCHEMA else f", written by an older program: version {manifest.schema} of {SCHEMA}"
    return manifest, conclude("manifest", faults, f"{MANIFEST} is readable{known}")


def check_files(run: Path, manifest: Manifest) -> RunCheck:
    """Check that each listed file is there with its sha256, that none is missing, and that none is of other origin."""
    listed = (*manifest.artifacts, *manifest.reports)
    faults = [fault for artifact in listed for fault in _faults(artifact, run)]
    faults += [f"{name} is of other origin: no manifest lists it" for name in _foreign(run, manifest)]
    faults += [f"{name} is missing, and {MANIFEST} does not list it" for name in _unlisted(manifest)]
    return conclude("files", faults, f"{len(listed)} files have the size and the sha256 that {MANIFEST} lists")


def is_export(manifest: Manifest) -> bool:
    """Return whether the files are those of an export, and not of a training."""
    return any(artifact.file in MODELS for artifact in manifest.artifacts)


def _faults(artifact: Artifact, run: Path) -> Iterator[str]:
    path = run / artifact.file
    if not path.is_file():
        yield f"{artifact.file} is missing" if not os.path.lexists(path) else f"{artifact.file} is not a regular file"
        return
    try:
        size, digest = path.stat().st_size, sha256_of(path)
    except OSError as error:
        yield f"{artifact.file} cannot be read: {error.strerror}"
        return
    if size != artifact.bytes:
        yield f"{artifact.file} has changed: it has {size} bytes, not {artifact.bytes}"
    elif digest != artifact.sha256:
        yield f"{artifact.file} has changed: its sha256 is {digest[:12]}..., not {artifact.sha256[:12]}..."


def _foreign(run: Path, manifest: Manifest) -> Iterator[str]:
    """Yield the names that an export uses of files that the manifest does not list."""
    names = NAMES if is_export(manifest) else ()
    return (name for name in names if os.path.lexists(run / name) and name not in manifest.names)


def _unlisted(manifest: Manifest) -> Iterator[str]:
    """Yield the files that every export leaves and that the manifest does not list."""
    if not is_export(manifest):
        return
    needed = [REPORT, RESULT] if manifest.schema > 1 else []
    needed += [CARD, SBOM, LOCK] if manifest.schema >= SCHEMA else []
    if any(artifact.format.endswith("int8") for artifact in manifest.artifacts) and manifest.schema >= SCHEMA:
        needed.append(NETWORK_FILE)
    yield from (name for name in needed if name not in manifest.names)
