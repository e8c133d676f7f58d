"""Files of a run: written whole or not at all, and known by their sha256.

A run folder holds artifacts and `manifest.json`, which says of each file its format, its sha256, its size and which
file it was made from. A file is written beside its final name and renamed at the end, so an interrupted command never
leaves half a file under a name that somebody would trust.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from u3p_edge.config import from_dict
from u3p_edge.errors import ArtifactError, ConfigError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Artifact:
    """One file of a run.

    Args:
        file: its name inside the run folder.
        format: what it is, e.g. "tflite-int8".
        sha256: of its bytes, in hexadecimal.
        bytes: its size.
        parent: sha256 of what it was made from; empty for an original.
    """

    file: str
    format: str
    sha256: str
    bytes: int
    parent: str = ""


@dataclass(frozen=True)
class Manifest:
    """What a run folder holds, and what decided it.

    Args:
        artifacts: its files.
        recipe: the options, JSON.
        key: of all that decided it.
        rewrites: (site, form) pairs of an export, which another export can be told to take.
    """

    artifacts: tuple[Artifact, ...] = ()
    recipe: str = "{}"
    key: str = ""
    rewrites: tuple[tuple[str, str], ...] = ()

    def get(self, file: str) -> Artifact | None:
        """The artifact of that file name, if the run has it."""
        return next((a for a in self.artifacts if a.file == file), None)

    def with_artifact(self, artifact: Artifact) -> Manifest:
        """A manifest in which `artifact` replaces the one of the same file name."""
        kept = tuple(a for a in self.artifacts if a.file != artifact.file)
        return dataclasses.replace(self, artifacts=(*kept, artifact))


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def describe(path: Path, format: str, parent: str = "") -> Artifact:
    """The `Artifact` of a file that lies in its run folder."""
    return Artifact(file=path.name, format=format, sha256=sha256_of(path), bytes=path.stat().st_size, parent=parent)


@contextlib.contextmanager
def atomic_path(final: Path, *, sync: bool = True) -> Iterator[Path]:
    """A path beside `final` to write to; renamed to `final` when the block ends well, removed when it does not.

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
        handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.stem}.", suffix=f".partial{final.suffix}")
    except OSError as error:
        raise _cannot_write(final, error) from error
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
        raise _cannot_write(final, error) from error
    finally:
        partial.unlink(missing_ok=True)


def sync_folders(folders: Iterable[Path]) -> None:
    """Wait until everything that was written into these folders is on the disk. Raises ArtifactError."""
    listed = list(folders)
    if not hasattr(os, "sync"):  # Windows: the system writes in its own time
        return
    if listed:
        os.sync()
    for folder in listed:
        try:
            handle = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise _cannot_write(folder, error) from error
        try:
            os.fsync(handle)
        except OSError as error:
            raise _cannot_write(folder, error) from error
        finally:
            os.close(handle)


def write_bytes(final: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_path(final) as partial:
        partial.write_bytes(data)


def write_text(final: Path, text: str) -> None:
    """Write a UTF-8 text whole or not at all."""
    write_bytes(final, text.encode("utf-8"))


def write_json(final: Path, value: object) -> None:
    """Write indented JSON whole or not at all; floats that are not finite are refused."""
    write_text(final, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object. Raises ArtifactError that names the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is not readable JSON ({error})") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} does not hold a JSON object")
    return value


def make_folder(folder: Path) -> None:
    """Create a folder and its parents. Raises ArtifactError when that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error


def read_manifest(run: Path) -> Manifest:
    """The manifest of a run folder; an empty one if it has none yet."""
    path = run / MANIFEST
    if not path.exists():
        return Manifest()
    try:
        return from_dict(Manifest, read_json(path))
    except ConfigError as error:
        raise ArtifactError(f"{path} is not a manifest of ours: {error}", mend="Give a fresh --out folder.") from error


def write_manifest(run: Path, manifest: Manifest) -> None:
    """Write the manifest of a run folder."""
    write_json(run / MANIFEST, dataclasses.asdict(manifest))


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _cannot_write(path: Path, error: OSError) -> ArtifactError:
    reason = error.strerror or type(error).__name__
    return ArtifactError(
        f"{path} cannot be written: {reason}", mend="Free space, or give another --out folder; nothing was left there."
    )
