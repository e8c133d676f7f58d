"""Find DICOM files and read them. A file that cannot be read is a DataError that names it, and nothing of what is in it.

Messages of pydicom quote values, which may be a patient's, so none of them is passed on.
"""

from __future__ import annotations

import contextlib
import itertools
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from u3p_edge.errors import DataError, U3pEdgeError, require_packages

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES = (".dcm", ".dicom", ".ima")
"""Usual suffixes; scanners and archives also write names without one."""

PREAMBLE = 128
"""Bytes before the mark (PS3.10, 7.1)."""

MARK = b"DICM"

LOOKED_AT = 20
"""Files without a suffix whose mark is looked for, before a folder counts as one of another kind."""

_INDEX = "dicomdir"
"""Name of the file that lists the others on a medium."""


def is_dicom_file(path: Path) -> bool:
    """Return whether a file has the mark of DICOM after its preamble."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return file.read(PREAMBLE + len(MARK))[PREAMBLE:] == MARK
    except OSError:
        return False


def is_dicom(source: Path) -> bool:
    """Return whether a source is a DICOM file, or a folder that holds some, in folders inside it too; few files are opened."""
    if not source.is_dir():
        return is_dicom_file(source)
    without_suffix: list[Path] = []
    for path in source.rglob("*"):
        if path.suffix.lower() in SUFFIXES or path.name.lower() == _INDEX:
            return True
        if _may_be_dicom(path) and len(without_suffix) < LOOKED_AT:
            without_suffix.append(path)
    return any(map(is_dicom_file, without_suffix))


def list_files(source: Path) -> tuple[Path, ...]:
    """List the DICOM files of a source, sorted: itself, or those in the folder and in folders inside it.

    A file whose name ends as a DICOM file's is listed without the mark too, so that reading it says what is wrong with it.

    Raises:
        DataError: there is none.
    """
    if not source.is_dir():
        return (source,)
    files = [
        path
        for path in sorted(source.rglob("*"))
        if path.is_file()
        and path.name.lower() != _INDEX
        and not path.name.startswith(".")
        and (path.suffix.lower() in SUFFIXES or (_may_be_dicom(path) and is_dicom_file(path)))
    ]
    if not files:
        raise DataError(f"{source} holds no DICOM files", mend="Name the folder that holds the files of a series.")
    return tuple(files)


def read_elements(path: Path, keywords: Sequence[str] | None = None) -> Dataset:
    """Read the data elements of a DICOM file, without its pixels.

    Args:
        path: of the file.
        keywords: of the elements that are wanted; None for all.

    Raises:
        DataError: the file cannot be read, or is no DICOM file. MissingPackageError: pydicom is not installed.
    """
    with name_dicom_file(path):
        from pydicom import dcmread
        from pydicom.filereader import read_file_meta_info

        if not path.is_file():
            raise DataError(f"{path} is not a regular file" if path.exists() else f"{path} does not exist")
        if not is_dicom_file(path):
            short = path.stat().st_size < PREAMBLE + len(MARK)
            raise DataError(
                f"{path} {'is cut short' if short else 'is not a DICOM file'}: it has no mark DICM after {PREAMBLE} bytes",
                mend="Copy it again from where it came, or remove it.",
            )
        syntax = read_file_meta_info(path).get("TransferSyntaxUID")
        if syntax is not None and syntax.is_deflated:
            # It would be inflated whole, to a thousand times its size.
            raise DataError(f"{path} is deflated, which is not read", mend="Convert it to another transfer syntax.")
        wanted = None if keywords is None else list(keywords)
        return dcmread(path, stop_before_pixels=True, specific_tags=wanted)


@contextlib.contextmanager
def name_dicom_file(path: Path) -> Iterator[None]:
    """Raise whatever a library raises of a file's bytes in the block as a DataError that names the file, and nothing in it."""
    try:
        with require_packages("reading DICOM"):
            yield
    except (U3pEdgeError, ImportError):
        raise
    except OSError as error:
        reason = f"cannot be read: {error.strerror}" if error.errno else "is cut short or damaged"
        raise DataError(f"{path} {reason}", mend="Copy it again from where it came.") from None
    except MemoryError:
        raise DataError(f"{path} does not fit into memory", mend="Free memory, or leave it out.") from None
    # pydicom reads an element when it is asked for, and lets nearly any exception out of a damaged one.
    except Exception as error:
        raise DataError(
            f"{path} is cut short or damaged ({type(error).__name__})", mend="Copy it again from where it came."
        ) from None


def _may_be_dicom(path: Path) -> bool:
    """Return whether a name without a usual suffix may be a DICOM file's: it has none, or is a number such as an UID's end."""
    suffix = path.suffix[1:]
    return not suffix or suffix.isdigit()


def first_files(files: Sequence[Path], most: int = 3) -> str:
    """Return the names of a few files for a message."""
    shown = ", ".join(map(str, itertools.islice(files, most)))
    return f"{shown} and {len(files) - most} more" if len(files) > most else shown
