"""A folder that a command writes to: checked before the work, and written by one process at a time.

The folder may have files of other origin. Only a file that its manifest names is replaced or removed; a command that would
write over another one is refused before its work begins.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import PARTIAL, cannot_write, make_folder, read_json, write_json
from u3p_edge.manifest import DIGEST, MANIFEST, Manifest, read_manifest
from u3p_edge.progress import Progress, silent
from u3p_edge.text import to_terminal

LOCK = ".u3p-edge-lock"
"""Name of the lock. The system holds it, and frees it when its process ends in any way."""

HOLDER = ".u3p-edge-lock-holder.json"
"""Name of the file that says which process holds the lock."""

_OTHER = "Give another --out folder."


def check_output_folder(folder: Path) -> None:
    """Refuse what cannot become an output folder. Nothing is changed.

    Raises:
        ArtifactError: a file, a symbolic link to nowhere, or a name that is not UTF-8.
    """
    try:
        str(folder).encode("utf-8")
    except UnicodeEncodeError as error:
        # TensorFlow, LiteRT and ONNX Runtime take a path as UTF-8 text.
        raise ArtifactError(f"the folder name {to_terminal(str(folder))} is not UTF-8", mend=_OTHER) from error
    if folder.is_symlink() and not folder.exists():
        raise ArtifactError(f"{folder} is a symbolic link that leads nowhere", mend=_OTHER)
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} is a file, not a folder", mend=_OTHER)


def check_output_file(path: Path) -> None:
    """Refuse what cannot become an output file, before the work is done in vain. The folder around it is made.

    Raises:
        ArtifactError: a folder, or a file whose folder cannot be made.
    """
    make_folder(path.parent)
    if path.is_dir():
        raise ArtifactError(f"{path} is a folder, not a file", mend="Name a file in it.")


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Make a folder and keep every other process of this program from writing to it meanwhile.

    What killed processes were writing there is removed. A lock whose process has ended is taken over.

    Raises:
        ArtifactError: another process writes there, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout  # a device that only predicts does without

    check_output_folder(folder)
    make_folder(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ArtifactError(
            f"{folder} is being written by another process{_holder(folder)}",
            mend="Wait until it has ended, or give another --out folder.",
        ) from error
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        remove_partials(folder)
        write_json(folder / HOLDER, {"pid": os.getpid(), "host": socket.gethostname()})
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / HOLDER).unlink(missing_ok=True)
            # While it is held: whoever opened the file before finds it without a name, and looks again.
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()


def open_manifest(folder: Path, names: Iterable[str], *, force: bool = False, progress: Progress = silent) -> Manifest:
    """Return the manifest of a folder that a command is about to write to.

    A damaged manifest of this program becomes one that claims all of `names` that are there.

    Args:
        folder: held by this process.
        names: that the command may write.
        force: take a manifest that is not JSON as one of this program.
        progress: is given a note of a damaged manifest.

    Raises:
        ArtifactError: the manifest is somebody else's.
    """
    path = folder / MANIFEST
    try:
        return read_manifest(folder)
    except ArtifactError as error:
        if not _is_ours(path, force=force):
            raise ArtifactError(
                f"{path} is not a manifest of this program, and would be replaced",
                mend="Move it away, or give another --out folder.",
            ) from error
        progress.note(f"{path} is damaged, so it is made anew, and so is all that it named.")
        return Manifest(claims=tuple(name for name in names if os.path.lexists(folder / name)))


def check_ours(folder: Path, manifest: Manifest, names: Iterable[str], folders: Iterable[str] = ()) -> None:
    """Refuse to write to a folder where one of these names belongs to somebody else.

    Args:
        folder: to be written to.
        manifest: of that folder.
        names: of files that the command may write, replace or remove.
        folders: of folders likewise.

    Raises:
        ArtifactError: names the first file that no manifest names, or that is a folder, or the other way round.
    """
    for name, is_folder in (*((name, False) for name in names), *((name, True) for name in folders)):
        path = folder / name
        if not os.path.lexists(path):
            continue
        mend = "Move it away, or give another --out folder."
        if name not in manifest.names:
            raise ArtifactError(f"{path} would be replaced, and no manifest of this program names it", mend=mend)
        if (path.is_dir() and not path.is_symlink()) != is_folder:
            raise ArtifactError(f"{path} is in the way: it is {'no' if is_folder else 'a'} folder", mend=mend)


def remove_partials(folder: Path) -> None:
    """Remove what killed processes were writing into a folder; to be called by the one process that writes there."""
    for path in folder.glob(PARTIAL + "*"):
        if path.is_file():
            path.unlink(missing_ok=True)


def sync_names(folder: Path) -> None:
    """Make the names in a folder outlast a loss of power, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _is_ours(path: Path, *, force: bool) -> bool:
    """Return whether this program wrote a manifest that is not readable now, as far as its content shows."""
    if not path.is_file():
        return False
    data = path.read_bytes()
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        start = b'{\n  "artifacts"'
        return force or not data.strip(b"\0") or data.startswith(start) or start.startswith(data)
    return (
        isinstance(value, dict) and "artifacts" in value and set(value) <= {DIGEST, *(field.name for field in fields(Manifest))}
    )


def _holder(folder: Path) -> str:
    """Return which process holds the lock, for a message; empty where that is not known."""
    try:
        holder = read_json(folder / HOLDER)
    except ArtifactError:
        return ""
    pid, host = holder.get("pid"), holder.get("host")
    known = type(pid) is int and isinstance(host, str) and host.isprintable()
    return f" (pid {pid} on {host})" if known else ""
