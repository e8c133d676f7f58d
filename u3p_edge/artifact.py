"""Files of a run: written whole or not at all, and known by their sha256.

A run folder holds artifacts and `manifest.json`, which lists the format, the sha256 and the size of each file, and which
file it was made from. A file is written beside its final name and renamed at the end, so an interrupted command never
leaves half a file under a name that somebody would trust. What a kill leaves beside it has a name that begins with `PARTIAL`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.json_toml import parse_json

MANIFEST = "manifest.json"
REPORT_FORMAT = "report"
"""Format of a file that describes others."""

PARTIAL = ".u3p-edge-partial-"
"""First part of the name of every file that is being written."""

SCHEMA = 2
"""Version of the manifest. A manifest of version 1 has no such entry, and lists no reports."""

_NOT_IN_A_NAME = frozenset("/\\\0")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Artifact:
    """One file of a run.

    Args:
        file: its name inside the run folder.
        format: what it is, e.g. "tflite-int8".
        sha256: of its bytes, in hexadecimal.
        bytes: its size.
        parent: sha256 of what it was made from; empty for an original.

    Raises:
        ConfigError: `file` is not a plain file name.
    """

    file: str
    format: str
    sha256: str
    bytes: int
    parent: str = ""

    def __post_init__(self) -> None:
        _check_name(self.file)


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
    schema: int = 1

    def __post_init__(self) -> None:
        for name in (*self.claims, *filter(None, (self.staging,))):
            _check_name(name)

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


def describe(path: Path, format: str, parent: str = "") -> Artifact:
    """Return the `Artifact` of a file in its run folder. Raises OSError."""
    return Artifact(file=path.name, format=format, sha256=sha256_of(path), bytes=path.stat().st_size, parent=parent)


def is_whole(artifact: Artifact, folder: Path) -> bool:
    """Return whether a folder has the artifact's file: a regular file of its size and sha256."""
    path = folder / artifact.file
    try:
        return path.is_file() and path.stat().st_size == artifact.bytes and sha256_of(path) == artifact.sha256
    except OSError:
        return False


@contextlib.contextmanager
def atomic_path(final: Path, *, sync: bool = True) -> Iterator[Path]:
    """Give a path beside `final` to write to. It is renamed to `final` when the block ends well, and removed when it does not.

    Args:
        final: where the file will be.
        sync: wait until its bytes are on the disk, so that it is whole even after a power cut; without it, many files are
            written faster, and `sync_folders` waits for all of them at once.

    Raises:
        ArtifactError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    make_folder(final.parent)
    # The suffix stays: writers such as Pillow and NumPy choose the format by it, or append it.
    try:
        handle, name = tempfile.mkstemp(dir=final.parent, prefix=PARTIAL, suffix=final.suffix)
    except OSError as error:
        raise cannot_write(final, error) from error
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        if sync:
            _sync(partial)
        # mkstemp makes files that only their owner may read; an artifact is as readable as any file the user makes.
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o666 & ~mask)
        partial.replace(final)
    except OSError as error:
        raise cannot_write(final, error) from error
    finally:
        partial.unlink(missing_ok=True)


def sync_folders(folders: Iterable[Path]) -> None:
    """Wait until everything that was written into these folders is on the disk. Raises ArtifactError."""
    listed = list(folders)
    if not hasattr(os, "sync"):  # Windows: the system writes when it chooses
        return
    if listed:
        os.sync()
    for folder in listed:
        try:
            handle = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise cannot_write(folder, error) from error
        try:
            os.fsync(handle)
        except OSError as error:
            raise cannot_write(folder, error) from error
        finally:
            os.close(handle)


def write_bytes(final: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises ArtifactError."""
    with atomic_path(final) as partial:
        partial.write_bytes(data)


def write_text(final: Path, text: str) -> None:
    """Write a UTF-8 text whole or not at all; a byte of a file name that is not UTF-8 is written as an escape, `\\udcff`.

    Raises ArtifactError.
    """
    write_bytes(final, text.encode("utf-8", errors="backslashreplace"))


def write_json(final: Path, value: object) -> None:
    """Write indented JSON whole or not at all. Raises ArtifactError, and ValueError for floats that are not finite."""
    write_text(final, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object. Raises ArtifactError that names the file."""
    if path.exists() and not path.is_file():
        raise ArtifactError(f"{path} is not a regular file")  # a pipe or a device may have no end
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is not readable JSON ({error})") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} does not hold a JSON object")
    return value


def make_folder(folder: Path) -> None:
    """Create a folder and its parents. Raises ArtifactError when that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def read_manifest(run: Path) -> Manifest:
    """Return the manifest of a run folder; an empty one if it has none yet. Raises ArtifactError for one of another kind."""
    path = run / MANIFEST
    if not path.exists():
        return Manifest()
    try:
        return from_dict(Manifest, read_json(path))
    except ConfigError as error:
        raise ArtifactError(f"{path} is not a manifest of this program: {error}", mend="Give a fresh --out folder.") from error


def write_manifest(run: Path, manifest: Manifest) -> None:
    """Write the manifest of a run folder. Raises ArtifactError."""
    write_json(run / MANIFEST, dataclasses.asdict(dataclasses.replace(manifest, schema=SCHEMA)))


def cannot_write(path: Path, error: OSError) -> ArtifactError:
    """Return the error for a file or folder that the system refuses to write."""
    reason = error.strerror or type(error).__name__
    mend = "Free space, or give another --out folder" if error.errno in _FULL else "Give another --out folder"
    return ArtifactError(f"{path} cannot be written: {reason}", mend=f"{mend}; nothing was left there.")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _check_name(name: str) -> None:
    if name in ("", ".", "..") or _NOT_IN_A_NAME & set(name):
        raise ConfigError(f"{name!r} is not a plain file name")
