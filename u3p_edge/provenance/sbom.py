"""The bill of materials of an export: its model files, what they were made from, and the packages that made them.

CycloneDX 1.6 in JSON (https://cyclonedx.org/docs/1.6/json). The dependencies of a file are what it was made from, so they lead
from each model file to the float model and the data. The same files and the same packages give the same bytes: there is no time
in it, and its serial number is derived from the hashes of the files.
"""

from __future__ import annotations

import platform
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from u3p_edge import __version__
from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import read_json
from u3p_edge.manifest import Artifact, Manifest, Origin
from u3p_edge.provenance.materials import Materials, list_materials, reference
from u3p_edge.provenance.packages import Package, list_packages

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

VERSION = "1.6"
"""Of the CycloneDX specification."""

TOOL = Package("u3p-edge", __version__, "Apache-2.0", ())
"""This package."""

SUBJECT, PYTHON = "export", "python"
"""References of the whole export and of the interpreter."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "http://cyclonedx.org/schema/bom-1.6.schema.json")
_FORMAT = {"bomFormat": "CycloneDX", "specVersion": VERSION}


def write_sbom(manifest: Manifest, title: str, packages: Sequence[Package] | None = None) -> str:
    """Return the bill of materials of a run as JSON text.

    Args:
        manifest: of an export: its model files, and what they were made from.
        title: name of the model that was exported.
        packages: that made the files; None for those that are installed.

    Raises:
        ImportError: cyclonedx-python-lib is not installed.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    used = [one for one in (list_packages() if packages is None else packages) if one.name != TOOL.name]
    materials = list_materials(manifest)
    components = {
        **{reference(one): _part(one) for one in manifest.parts},
        **{_url(one): _package(one) for one in (TOOL, *used)},
        PYTHON: Component(name="Python", version=platform.python_version(), type=ComponentType.PLATFORM, bom_ref=PYTHON),
    }
    subject = Component(name=title, type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref=SUBJECT)
    bom = Bom(components=components.values(), serial_number=_serial_number(materials))
    bom.metadata.component = subject
    bom.metadata.timestamp = None  # type: ignore[assignment] # the specification makes it optional; it would differ each time
    bom.register_dependency(subject, [components[reference(one)] for one in manifest.artifacts])
    for name, needed in _dependencies(manifest, materials, used).items():
        bom.register_dependency(components[name], [components[other] for other in needed])
    return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def read_sbom(path: Path) -> Materials:
    """Return the parts of an export that a bill of materials names; packages are left out. Needs no package.

    Raises:
        ArtifactError: the file is no bill of materials as `write_sbom` writes it.
    """
    document = read_json(path)
    try:
        if {key: document.get(key) for key in _FORMAT} != _FORMAT:
            raise ValueError(f"it is not of CycloneDX {VERSION}")
        hashes = {one["bom-ref"]: _sha256(one) for one in document["components"] if _is_part(one["bom-ref"])}
        graph = {one["ref"]: frozenset(filter(_is_part, one.get("dependsOn", ()))) for one in document["dependencies"]}
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"{path} is not a bill of materials of an export ({type(error).__name__}: {error})") from error
    return Materials(hashes, {name: graph.get(name, frozenset()) for name in hashes})


def _serial_number(materials: Materials) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, " ".join(f"{name}={digest}" for name, digest in sorted(materials.hashes.items())))


def _dependencies(manifest: Manifest, materials: Materials, packages: Sequence[Package]) -> dict[str, Sequence[str]]:
    """Return what each component needs: a file what it was made from and this package, a package what it requires."""
    urls = {one.name: _url(one) for one in packages}
    made = {name: sorted(needed) for name, needed in materials.made_from.items()}
    files = {reference(one): [*made[reference(one)], _url(TOOL)] for one in manifest.artifacts}
    required = {_url(one): [urls[name] for name in one.requires if name in urls] for one in packages}
    return {**made, **files, _url(TOOL): [*urls.values(), PYTHON], **required}


def _part(one: Artifact | Origin) -> Component:
    """Return a model file, or what it was made from, as a component."""
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    if isinstance(one, Artifact):
        name, description, license, data = one.file, one.format, "", False
    else:
        name, description, license, data = one.name or one.kind, one.kind, one.license, one.kind.endswith("data")
    return Component(
        name=name,
        type=ComponentType.DATA if data else ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=reference(one),
        description=description,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one.sha256)],
        licenses=_licenses(license),
    )


def _package(one: Package) -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    return Component(
        name=one.name,
        version=one.version,
        type=ComponentType.LIBRARY,
        bom_ref=_url(one),
        purl=PackageURL("pypi", None, one.name, one.version),
        licenses=_licenses(one.license),
    )


def _licenses(text: str) -> tuple[Any, ...]:
    """Return a licence as an SPDX expression where it is one, else as a name; nothing for an empty text."""
    from cyclonedx.contrib.license.factories import LicenseFactory

    return (LicenseFactory().make_from_string(text),) if text else ()


def _url(one: Package) -> str:
    return f"pkg:pypi/{one.name}@{one.version}"


def _is_part(name: str) -> bool:
    return name.startswith(("file:", "origin:"))


def _sha256(component: Mapping[str, Any]) -> str:
    """Return the sha256 of a component. Raises LookupError if it has none."""
    return str({one["alg"]: one["content"] for one in component["hashes"]}["SHA-256"])
