"""Versions of the installed packages."""

from __future__ import annotations

from importlib import metadata


def installed_version(package: str) -> str:
    """Return the version of a package by its distribution's name; empty if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
