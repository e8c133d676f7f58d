"""Do the documents of a run name the same files, and does what they name lead from each file to its origin?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from u3p_edge.benchmark.result_file import read_result
from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.manifest import MANIFEST, SCHEMA, Manifest
from u3p_edge.pipeline.lock import read_lock
from u3p_edge.pipeline.publish import MODELS, NETWORK_FILE
from u3p_edge.pipeline.report_names import CARD, LOCK, RESULT, SBOM
from u3p_edge.provenance.materials import list_materials
from u3p_edge.provenance.model_card import read_card_hashes
from u3p_edge.provenance.sbom import read_sbom
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.tools.verification.check import RunCheck, conclude, leave_out

FLOAT_MODEL = "origin:float-model"


def check_lineage(manifest: Manifest) -> RunCheck:
    """Check that each file leads to the float model, an int8 one over the network in integers, and that to the data."""
    if manifest.schema < SCHEMA:
        return leave_out("lineage", "the manifest is of an older program, which did not record all that files are made from")
    made_from = list_materials(manifest).made_from
    faults = []
    for artifact in manifest.artifacts:
        reached = _reached(f"file:{artifact.file}", made_from)
        if FLOAT_MODEL not in reached:
            faults.append(f"{artifact.file} does not lead to the float model")
        if artifact.file in MODELS and artifact.format != str(MODELS[artifact.file]):
            faults.append(f"{artifact.file} is listed as {artifact.format}")
        network = f"file:{NETWORK_FILE}"
        if artifact.format.endswith("int8") and not {network, "origin:training-data"} <= reached:
            faults.append(f"{artifact.file} does not lead over {NETWORK_FILE} to the training data")
    model = next((one for one in manifest.origins if one.kind == "float model"), None)
    where = f"{model.name}, sha256 {model.sha256[:12]}..." if model else "none"
    return conclude("lineage", faults, f"each of {len(manifest.artifacts)} files leads to the float model ({where})")


def check_sbom(run: Path, manifest: Manifest) -> RunCheck:
    """Check that the bill of materials is readable and names the files, hashes and dependencies of the manifest."""
    if manifest.schema < SCHEMA:
        return leave_out("bill of materials", "an export of an older program has none")
    try:
        listed, expected = read_sbom(run / SBOM), list_materials(manifest)
    except ArtifactError as error:
        return conclude("bill of materials", [error.symptom], "")
    faults = [*_differences(SBOM, listed.hashes, expected.hashes)]
    differ = [name for name in expected.hashes if listed.made_from.get(name) != expected.made_from[name]]
    faults += [f"{SBOM} says that {_plain(name)} was made from other parts" for name in differ if name in listed.hashes]
    return conclude("bill of materials", faults, f"{SBOM} names the same {len(expected.hashes)} files and origins")


def check_card(run: Path, manifest: Manifest) -> RunCheck:
    """Check that the model card lists the files of the manifest with the same sha256."""
    if manifest.schema < SCHEMA:
        return leave_out("model card", "an export of an older program has none")
    try:
        listed = read_card_hashes((run / CARD).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return conclude("model card", [f"{CARD} cannot be read ({error.__class__.__name__})"], "")
    expected = {artifact.file: artifact.sha256 for artifact in manifest.artifacts}
    return conclude("model card", [*_differences(CARD, listed, expected)], f"{CARD} lists the same {len(expected)} files")


def check_report(run: Path, manifest: Manifest) -> RunCheck:
    """Check that the measurements are of the files and the data of the manifest."""
    try:
        result = read_result(run / RESULT)
    except ArtifactError as error:
        return conclude("report", [error.symptom], "")
    expected = {artifact.file: artifact.sha256 for artifact in manifest.artifacts if artifact.file in MODELS}
    faults = [*_differences(RESULT, {a.name: a.sha256 for a in result.artifacts}, expected)]
    measured_on = {one.sha256 for one in manifest.origins if one.kind == "test data"}
    if measured_on and result.data is not None and result.data.sha256 not in measured_on:
        faults.append(f"{RESULT} was measured on other data than {MANIFEST} lists")
    return conclude("report", faults, f"{RESULT} was measured on the same {len(expected)} files")


def check_lock(run: Path, manifest: Manifest) -> RunCheck:
    """Check that the lock is readable, and that it is of the same origins, options and files as the manifest."""
    if manifest.schema < SCHEMA:
        return leave_out("lock", "an export of an older program has none")
    try:
        lock = read_lock(run / LOCK)
        same_options = lock.options == from_dict(ExportRecipe, json.loads(manifest.recipe))
    except (ArtifactError, ConfigError, ValueError) as error:
        return conclude("lock", [str(error)], "")
    faults = [*_differences(LOCK, lock.files, {artifact.file: artifact.sha256 for artifact in manifest.artifacts})]
    listed = {one.kind: one.sha256 for one in manifest.origins}
    faults += [
        f"{LOCK} has another sha256 of the {one.kind} than the manifest"
        for one in lock.origins
        if listed.get(one.kind) != one.sha256
    ]
    faults += [] if same_options else [f"{LOCK} has other options than the manifest"]
    return conclude("lock", faults, f"{LOCK} is of the same origins, options and {len(lock.files)} files")


def _reached(name: str, made_from: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return all that a part was made from, at any distance."""
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        new = made_from.get(waiting.pop(), frozenset()) - reached
        reached |= new
        waiting += new
    return frozenset(reached)


def _differences(document: str, listed: Mapping[str, str], expected: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*listed, *expected}):
        if name not in listed:
            yield f"{document} does not name {_plain(name)}"
        elif name not in expected:
            yield f"{document} names {_plain(name)}, which the manifest does not list"
        elif listed[name] != expected[name]:
            yield f"{document} names another sha256 of {_plain(name)} than the manifest"


def _plain(name: str) -> str:
    return name.removeprefix("file:").removeprefix("origin:").replace("-", " ") if ":" in name else name
