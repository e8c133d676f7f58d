"""Names for patients and series that show nothing of a patient, and are the same in every run.

A series is named by a hash of its UID, which is unique in the world and in no list of persons. A patient's identifier is a
short number that somebody could try out, so its hash is made with a key (HMAC, RFC 2104) that stays on this machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import sys
import tempfile
from pathlib import Path

from u3p_edge.errors import ConfigError

FOLDER = "U3P_EDGE_CONFIG"
"""Environment variable that names the folder of the key."""

KEY_FILE = "pseudonym-key"
KEY_BYTES = 32
_DIGITS = 8
"""Hexadecimal digits of a name: of 10,000 patients two share theirs with a probability of 1 %, and then share a split."""

MAX_KEY_BYTES = 1_000_000
"""Most bytes of a key: a device such as /dev/zero has no end."""


def series_pseudonym(uid: str) -> str:
    """Return the name of a series, or of an image that is a case of its own, by its UID.

    >>> series_pseudonym("1.2.840.113619.2.1")
    'sf7a5d3c7'
    """
    return f"s{hashlib.sha256(uid.encode()).hexdigest()[:_DIGITS]}"


def patient_pseudonym(patient: str, key: bytes) -> str:
    """Return the name of a patient.

    Args:
        patient: what identifies the patient in the files.
        key: from `read_key`; another key gives another name.
    """
    return f"p{hmac.new(key, patient.encode(errors='surrogateescape'), hashlib.sha256).hexdigest()[:_DIGITS]}"


def read_key(file: Path | None = None) -> bytes:
    """Return the key of the patients' names; it is made where there is none.

    Args:
        file: that holds it, to have the same names on several machines; None for the user's own.

    Raises:
        ConfigError: the file cannot be read or written, or is too short or too long to be a key.
    """
    path = file or default_key_file()
    try:
        if not path.exists():
            _write_key(path)
        with path.open("rb") as opened:
            key = opened.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"the key of the patients' names, {path}, cannot be read or made: {error.strerror}",
            mend="Give another file with --pseudonym-key FILE.",
        ) from error
    if not KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        size = f"{len(key)} bytes" if len(key) < KEY_BYTES else f"more than {MAX_KEY_BYTES:,} bytes"
        raise ConfigError(
            f"{path} has {size}, and a key of patients' names has {KEY_BYTES} to {MAX_KEY_BYTES:,}",
            mend="Remove it, and a new one is made.",
        )
    return key


def default_key_file() -> Path:
    """Return the key's file in the folder that `U3P_EDGE_CONFIG` names, else in the system's folder for a user's settings."""
    given = os.environ.get(FOLDER)
    if given:
        return Path(given) / KEY_FILE
    if sys.platform == "win32" and os.environ.get("APPDATA"):
        return Path(os.environ["APPDATA"]) / "u3p_edge" / KEY_FILE
    settings = os.environ.get("XDG_CONFIG_HOME")
    return (Path(settings) if settings else Path.home() / ".config") / "u3p_edge" / KEY_FILE


def _write_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file that only its owner may read. It gets its name when it is whole, and of two processes one gives it.
    handle, partial = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    finally:
        Path(partial).unlink()
