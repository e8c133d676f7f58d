"""The installed packages that make the files of an export: those that this package imports, and all that they require."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from u3p_edge.errors import BASE, EXTRAS

ROOTS = tuple(module for module, extra in EXTRAS.items() if extra in (BASE, "export", "onnx"))
"""The modules that an export may import."""

_LONGEST = 80
"""Characters of a licence's name. Some packages have the whole text in that field."""


@dataclass(frozen=True)
class Package:
    """One installed package.

    Args:
        name: normalised, as in a package URL.
        version: that is installed.
        license: an SPDX expression or a name; empty where its metadata has none.
        requires: names of the installed packages that it requires.
    """

    name: str
    version: str
    license: str
    requires: tuple[str, ...]


@cache
def list_packages(modules: tuple[str, ...] = ROOTS) -> tuple[Package, ...]:
    """Return the installed packages that have these modules, and all that they require, by name.

    Args:
        modules: top-level modules; one that is not installed is left out.
    """
    homes = metadata.packages_distributions()
    waiting = [normalise_name(name) for module in modules for name in homes.get(module, ())]
    packages: dict[str, Package] = {}
    while waiting:
        name = waiting.pop()
        package = None if name in packages else _read(name)
        if package is not None:
            packages[name] = package
            waiting += package.requires
    return tuple(packages[name] for name in sorted(packages))


def normalise_name(name: str) -> str:
    """Return a package's name as indexes and package URLs write it.

    >>> normalise_name("tf_keras")
    'tf-keras'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def _read(name: str) -> Package | None:
    """Return an installed package; None if it is not installed."""
    installed = _distribution(name)
    if installed is None:
        return None
    required = (normalise_name(one) for one in _requirements(installed.requires or ()) if _distribution(one) is not None)
    return Package(name, installed.version, _license(installed), tuple(sorted(set(required))))


def _distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _requirements(lines: Iterable[str]) -> Iterator[str]:
    """Yield the names of the requirements that apply here, extras left out."""
    from packaging.requirements import InvalidRequirement, Requirement  # a device only reads what an export wrote

    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # of an old package, in a form that installers no longer accept
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def _license(package: metadata.Distribution) -> str:
    """Return the licence by the newest of the three ways in which metadata gives it."""
    fields = package.metadata
    for key in ("License-Expression", "License"):
        text = str((fields.get_all(key) or [""])[0]).strip()
        if text and len(text) <= _LONGEST and "\n" not in text and text.upper() != "UNKNOWN":
            return text
    classifiers = (line for line in fields.get_all("Classifier") or () if line.startswith("License ::"))
    return next((line.rpartition(" :: ")[2] for line in classifiers), "")
