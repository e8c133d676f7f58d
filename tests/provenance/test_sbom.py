"""The bill of materials is valid CycloneDX, names every file and what it was made from, and is the same each time."""

from __future__ import annotations

import dataclasses
import json
from importlib import metadata
from pathlib import Path

import grimp
import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from u3p_edge.errors import EXTRAS, ArtifactError
from u3p_edge.manifest import Artifact, Manifest, Origin
from u3p_edge.provenance.materials import list_materials
from u3p_edge.provenance.packages import ROOTS, Package, list_packages, normalise_name
from u3p_edge.provenance.sbom import read_sbom, write_sbom

MODEL, TRAIN, VAL, TEST, FLOAT, NETWORK, INT8 = (digit * 64 for digit in "1234567")
RUN = Manifest(
    artifacts=(
        Artifact("reference.float32.tflite", "tflite-float32", "a" * 64, 9, MODEL),
        # The same bytes under two names, as an export has them where nothing was rewritten.
        Artifact("model.float32.tflite", "tflite-float32", "a" * 64, 9, FLOAT),
        Artifact("network.int8.safetensors", "network", NETWORK, 5, FLOAT, (TRAIN, VAL)),
        Artifact("model.int8.tflite", "tflite-int8", INT8, 4, NETWORK),
    ),
    origins=(
        Origin("float model", MODEL, "unet"),
        Origin("training data", TRAIN, "scans", license="CC0-1.0"),
        Origin("validation data", VAL, "scans", license="CC0-1.0"),
        Origin("test data", TEST, "scans", license="a licence of our own"),
        Origin("float network", FLOAT, parent=MODEL, uses=(TRAIN, VAL)),
    ),
)
PACKAGES = (Package("numpy", "2.0", "BSD-3-Clause", ()), Package("onnx", "1.18", "Apache License v2.0", ("numpy",)))


@pytest.fixture(scope="module")
def text() -> str:
    return write_sbom(RUN, "unet", PACKAGES)


def component(text: str, name: str) -> dict[str, object]:
    return next(one for one in json.loads(text)["components"] if one["bom-ref"] == name)


def test_the_specifications_own_schema_accepts_it(text: str) -> None:
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert fault is None
    # The library reads what it wrote, and every reference leads to a component.
    bom = Bom.from_json(json.loads(text))  # type: ignore[attr-defined] # a decorator of the library adds it
    assert bom.validate()


def test_the_schema_would_have_found_a_fault(text: str) -> None:
    broken = json.loads(text)
    broken["components"][0]["type"] = "unet"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(broken)) is not None


def test_files_and_data_carry_their_hashes_and_licences(text: str) -> None:
    model = component(text, "file:model.int8.tflite")
    assert (model["type"], model["hashes"]) == ("machine-learning-model", [{"alg": "SHA-256", "content": INT8}])
    train, test = component(text, "origin:training-data"), component(text, "origin:test-data")
    assert (train["type"], train["name"], train["licenses"]) == ("data", "scans", [{"license": {"id": "CC0-1.0"}}])
    assert test["licenses"] == [{"license": {"name": "a licence of our own"}}]


def test_each_file_leads_to_the_model_and_to_the_data(text: str) -> None:
    needs = {one["ref"]: set(one.get("dependsOn", ())) for one in json.loads(text)["dependencies"]}

    def reached(name: str) -> set[str]:
        return {name}.union(*map(reached, needs[name]))

    float_model, data = "origin:float-model", {"origin:training-data", "origin:validation-data"}
    assert {"file:network.int8.safetensors", "origin:float-network", float_model, *data} <= reached("file:model.int8.tflite")
    assert float_model in reached("file:reference.float32.tflite")
    assert not data & reached("file:reference.float32.tflite"), "the original model is only converted"
    assert "origin:test-data" not in reached("export"), "no file depends on the test data"
    assert {"pkg:pypi/onnx@1.18", "pkg:pypi/numpy@2.0", "python"} <= reached("file:model.int8.tflite")


def test_it_is_the_same_each_time_and_another_for_other_files(text: str) -> None:
    assert write_sbom(RUN, "unet", PACKAGES) == text
    other = dataclasses.replace(RUN, artifacts=RUN.artifacts[:-1])
    assert json.loads(write_sbom(other, "unet", PACKAGES))["serialNumber"] != json.loads(text)["serialNumber"]
    assert "timestamp" not in text


def test_it_is_read_back_as_it_was_written(text: str, tmp_path: Path) -> None:
    path = tmp_path / "sbom.cdx.json"
    path.write_text(text)
    assert read_sbom(path) == list_materials(RUN)


FORMAT = '"bomFormat": "CycloneDX", "specVersion": "1.6"'


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[]",
        "{",
        f'{{{FORMAT}, "components": [{{}}]}}',
        f'{{{FORMAT}, "components": [{{"bom-ref": "file:a", "hashes": [{{"alg": "SHA-1", "content": "0"}}]}}]}}',
    ],
)
def test_what_is_no_bill_of_materials_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "sbom.cdx.json"
    path.write_text(content)
    with pytest.raises(ArtifactError, match=r"sbom\.cdx\.json"):
        read_sbom(path)


def test_the_installed_packages_are_listed_with_all_that_they_require() -> None:
    packages = {one.name: one for one in list_packages(("onnx", "no_such_module"))}
    assert packages["onnx"].version == metadata.version("onnx")
    assert {"numpy", "protobuf"} <= set(packages["onnx"].requires) <= set(packages)
    assert packages["numpy"].license.startswith("BSD-3-Clause")
    assert all(len(one.license) < 100 for one in packages.values()), "no whole text of a licence"


def test_an_export_lists_every_package_that_it_may_import() -> None:
    """By the imports in all modules that the command can reach, also those inside functions."""
    graph = grimp.build_graph("u3p_edge", include_external_packages=True, cache_dir=None)
    imported = graph.find_upstream_modules("u3p_edge.cli.export") & EXTRAS.keys()
    homes = metadata.packages_distributions()
    expected = {normalise_name(homes[module][0]) for module in imported if module in homes}
    assert {"numpy", "onnx", "tf-keras"} <= expected <= {one.name for one in list_packages()}
    # Extras that no export uses, such as one for a format of images, would be named as makers of its files.
    assert {EXTRAS[module] for module in ROOTS} == {EXTRAS[module] for module in imported}
