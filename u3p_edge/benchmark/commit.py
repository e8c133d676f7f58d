"""The commit that a measurement belongs to, as git names it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from u3p_edge.errors import ConfigError

NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
"""What may name a commit: it becomes a part of a file name, and an argument of git."""

CHANGED = "-dirty"
"""Suffix of a commit whose working tree has other files than the commit, as `git describe --dirty` has it."""


@dataclass(frozen=True)
class Commit:
    """A commit.

    Args:
        name: its sha, or how the user calls it.
        date: when it was made, ISO 8601 in UTC, e.g. "2026-11-27T15:48:42+00:00".
    """

    name: str
    date: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigError(f"{self.name!r} cannot name a commit", mend="Use letters, digits, '.', '_' and '-', at most 100.")
        if parse_date(self.date).isoformat() != self.date:
            raise ConfigError(f"the date {self.date!r} of commit {self.name} is not ISO 8601 in UTC")


def parse_date(text: str) -> datetime:
    """Return a date in UTC.

    Raises:
        ConfigError: it is not ISO 8601, or has no time zone.

    >>> parse_date("2026-11-27T16:48:42+01:00").isoformat()
    '2026-11-27T15:48:42+00:00'
    """
    try:
        date = datetime.fromisoformat(text)
        if date.tzinfo is None:
            raise ValueError("it has no time zone")
        return date.astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{text!r} is not a date: {error}", mend="Use for example 2026-11-27T15:48:42+00:00.") from error


def find_commit(folder: Path, name: str = "") -> Commit:
    """Return the commit that is checked out in a folder, or the one of that name.

    The name of the former ends in `CHANGED` where files that git follows differ from the commit. Its date is the committer's; a
    name that git does not know, as where there is no repository, has the present date.

    Args:
        folder: in the repository.
        name: of the commit; empty for the one that is checked out.

    Raises:
        ConfigError: no name is given, and the folder is in no repository, or git is not installed.
    """
    if name:
        if not NAME.fullmatch(name):
            raise ConfigError(f"--commit {name!r} cannot name a commit", mend="Use letters, digits, '.', '_' and '-'.")
        try:
            return Commit(name, parse_date(_git(folder, "log", "-1", "--format=%cI", name, "--")).isoformat())
        except ConfigError:
            return Commit(name, datetime.now(timezone.utc).replace(microsecond=0).isoformat())
    sha, date = _git(folder, "log", "-1", "--format=%H %cI").split()
    changed = CHANGED if _git(folder, "status", "--porcelain", "--untracked-files=no") else ""
    return Commit(sha + changed, parse_date(date).isoformat())


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    except OSError as error:
        raise _unknown(f"git cannot be run: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").splitlines()
        raise _unknown(lines[0] if lines else f"git ended with exit code {done.returncode}")
    return done.stdout.decode("utf-8", "replace").strip()


def _unknown(reason: str) -> ConfigError:
    return ConfigError(f"which commit is measured is not known ({reason})", mend="Name it with --commit.")
