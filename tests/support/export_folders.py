"""A run folder with the files and documents that an export leaves, made of a small network without exporting it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tests.support.sample_results import artifact, result
from tests.support.timed_files import METADATA, SIZE, chain
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.conversion.onnx.writer import write_onnx
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.manifest import Manifest, Origin, describe, write_manifest
from u3p_edge.pipeline.report_names import CARD, RESULT, SBOM
from u3p_edge.provenance.model_card import CardFacts, Split, write_card
from u3p_edge.provenance.sbom import write_sbom
from u3p_edge.provenance.usage import Port

FILES = {"model.float32.onnx": "onnx-float32", "model.int8.onnx": "onnx-int8", "model.int8.tflite": "tflite-int8"}
GROUP = "Patient Zero"
"""A name of a group, which the report has."""


def write_export(run: Path) -> Manifest:
    """Write the folder: model files, model card, bill of materials and report.json."""
    run.mkdir()
    network = chain(1)
    integers = make_dummy_quantized(network)
    (run / "model.float32.onnx").write_bytes(write_onnx(network, METADATA))
    (run / "model.int8.onnx").write_bytes(write_onnx(integers, METADATA))
    (run / "model.int8.tflite").write_bytes(write_tflite(integers, METADATA))
    float_model = Origin("float model", "ab" * 32, "unet")
    artifacts = tuple(describe(run / name, kind, float_model.sha256) for name, kind in FILES.items())
    manifest = Manifest(artifacts, origins=(float_model,))
    plain = result()
    assert plain.data is not None
    measured = dataclasses.replace(
        plain,
        class_names=METADATA.class_names,
        reference="model.float32.onnx",
        artifacts=tuple(artifact(name, relative=1, dice=0.9, peak=80, size=1000, seed=1) for name in FILES),
        data=dataclasses.replace(plain.data, group_names=(GROUP,)),
    )
    ports = (Port("image", (1, SIZE, SIZE, 1), "float32"), Port("mask", (1, SIZE, SIZE, 3), "float32"))
    facts = CardFacts("unet", manifest, METADATA, measured, "model.int8.onnx", {}, (Split("test", 12, 1),), ports, ())
    (run / CARD).write_text(write_card(facts), encoding="utf-8")
    (run / SBOM).write_text(write_sbom(manifest, "unet", ()), encoding="utf-8")
    save_result(run / RESULT, measured)
    reports = tuple(describe(run / name, "report") for name in (CARD, RESULT, SBOM))
    whole = dataclasses.replace(manifest, reports=reports)
    write_manifest(run, whole)
    return whole
