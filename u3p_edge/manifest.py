"""The files of a run, known by their sha256.

A run folder holds artifacts and `manifest.json`, which lists the format, the sha256 and the size of each file, and which
file it was made from.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.atomic import read_json, write_json

MANIFEST = "manifest.json"
REPORT_FORMAT = "report"
"""Format of a file that describes others."""

SCHEMA = 3
"""Version of the manifest. Version 1 has no such entry, and lists no reports; version 2 has no origins and no `DIGEST`."""

DIGEST = "sha256"
"""Entry of a manifest's file that is no field: the sha256 of all others, by which damage to the manifest itself shows."""

WITH_REPORTS = 2
"""The first version that lists all files of a run."""

_NOT_IN_A_NAME = frozenset("/\\\0")


@dataclass(frozen=True)
class Artifact:
    """One file of a run.

    Args:
        file: its name inside the run folder.
        format: what it is, e.g. "tflite-int8".
        sha256: of its bytes, in hexadecimal.
        bytes: its size.
        parent: sha256 of what it was made from; empty for an original.
        uses: sha256 of the data that shaped it.

    Raises:
        ConfigError: `file` is not a plain file name.
    """

    file: str
    format: str
    sha256: str
    bytes: int
    parent: str = ""
    uses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_name(self.file)


@dataclass(frozen=True)
class Origin:
    """What files were made from that is not among them: a model, data, or a network between two files.

    Args:
        kind: what it is, e.g. "float model".
        sha256: of its bytes, in hexadecimal.
        name: how a report calls it; empty where it has no name.
        parent: sha256 of what it was made from; empty for an original.
        uses: sha256 of the data that shaped it.
        license: its licence, an SPDX identifier or a name; empty where none is recorded.
    """

    kind: str
    sha256: str
    name: str = ""
    parent: str = ""
    uses: tuple[str, ...] = ()
    license: str = ""


@dataclass(frozen=True)
class Manifest:
    """The files of a run folder that belong to this program, and the options that they were made with.

    A file that the manifest does not name belongs to somebody else: it is neither replaced nor removed.

    Args:
        artifacts: its files.
        recipe: the options, JSON.
        key: hash of all that decided the files.
        rewrites: (site, candidate) pairs of an export, which another export can reuse.
        reports: files that describe the artifacts.
        pending: files that are being published: each is already in the run folder, or waits in the staging folder.
        staging: name of that folder; empty where nothing is pending.
        origins: what the artifacts were made from, and is not among them.
        claims: names of further files that belong to this program: of a training that goes on, or of an export that is being
            replaced.
        schema: version of the manifest.

    Raises:
        ConfigError: a name that is not a plain file name.
    """

    artifacts: tuple[Artifact, ...] = ()
    recipe: str = "{}"
    key: str = ""
    rewrites: tuple[tuple[str, str], ...] = ()
    reports: tuple[Artifact, ...] = ()
    pending: tuple[Artifact, ...] = ()
    staging: str = ""
    claims: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    schema: int = 1

    def __post_init__(self) -> None:
        for name in (*self.claims, *filter(None, (self.staging,))):
            _check_name(name)

    @property
    def parts(self) -> tuple[Artifact | Origin, ...]:
        """The artifacts, and what they were made from that is not among them."""
        return (*self.artifacts, *self.origins)

    @property
    def names(self) -> frozenset[str]:
        """Names of all files that belong to this program, the manifest included."""
        files = (*self.artifacts, *self.reports, *self.pending)
        return frozenset((MANIFEST, *self.claims, *(a.file for a in files)))

    def get(self, file: str) -> Artifact | None:
        """Return the artifact of that file name; None if the run has none."""
        return next((a for a in self.artifacts if a.file == file), None)

    def with_artifact(self, artifact: Artifact) -> Manifest:
        """Return a manifest in which `artifact` replaces the one of the same file name."""
        kept = tuple(a for a in self.artifacts if a.file != artifact.file)
        return dataclasses.replace(self, artifacts=(*kept, artifact))

    def without(self, names: Collection[str]) -> Manifest:
        """Return a manifest that lists none of the files of those names."""

        def others(files: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
            return tuple(a for a in files if a.file not in names)

        return dataclasses.replace(
            self,
            artifacts=others(self.artifacts),
            reports=others(self.reports),
            pending=others(self.pending),
            claims=tuple(name for name in self.claims if name not in names),
        )

    def with_claims(self, names: Iterable[str]) -> Manifest:
        """Return a manifest that claims those names, and lists none of them as a whole file."""
        claimed = tuple(dict.fromkeys(names))
        return dataclasses.replace(self.without(claimed), claims=tuple(sorted({*self.claims, *claimed})))


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 of a file's bytes. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def describe(path: Path, format: str, parent: str = "", uses: tuple[str, ...] = ()) -> Artifact:
    """Return the `Artifact` of a file in its run folder. Raises OSError."""
    return Artifact(path.name, format, sha256_of(path), path.stat().st_size, parent, uses)


def is_whole(artifact: Artifact, folder: Path) -> bool:
    """Return whether a folder has the artifact's file: a regular file of its size and sha256."""
    path = folder / artifact.file
    try:
        return path.is_file() and path.stat().st_size == artifact.bytes and sha256_of(path) == artifact.sha256
    except OSError:
        return False


def read_manifest(run: Path) -> Manifest:
    """Return the manifest of a run folder; an empty one if it has none yet. Raises ArtifactError for one of another kind."""
    path = run / MANIFEST
    if not path.exists():
        return Manifest()
    try:
        return from_dict(Manifest, {key: value for key, value in read_json(path).items() if key != DIGEST})
    except ConfigError as error:
        raise ArtifactError(f"{path} is not a manifest of this program: {error}", mend="Give a fresh --out folder.") from error


def write_manifest(run: Path, manifest: Manifest) -> None:
    """Write the manifest of a run folder, with a sha256 of its content. Raises ArtifactError."""
    content = dataclasses.asdict(dataclasses.replace(manifest, schema=SCHEMA))
    write_json(run / MANIFEST, {**content, DIGEST: digest_of(content)})


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the sha256 of a manifest's content, the entry `DIGEST` left out."""
    text = json.dumps({key: value for key, value in content.items() if key != DIGEST}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_name(name: str) -> None:
    if name in ("", ".", "..") or _NOT_IN_A_NAME & set(name):
        raise ConfigError(f"{name!r} is not a plain file name")
