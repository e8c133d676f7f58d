"""Any plain encoder-decoder goes through: read from its file, pruned, rewritten, quantized, and written in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import u3p_edge as u3p
from tests.support.architectures import ARCHITECTURES, SIZE, build
from tests.support.command_line import QUICK, Program
from tests.support.exported_files import MODELS
from tests.support.prunable_graphs import thinned
from tests.support.slow import mark_slow
from u3p_edge.conversion.onnx.writer import write_onnx
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.graph.cost import cost
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.reference import run
from u3p_edge.manifest import read_manifest
from u3p_edge.pipeline.verify import FLOAT_TOLERANCE, TWIN_SQNR, sqnr
from u3p_edge.pruning.apply import apply_plan, mask_channels
from u3p_edge.quantization.support import check_trainable
from u3p_edge.rewriting.engine import apply_selections, select_candidates
from u3p_edge.runtime import open_session
from u3p_edge.tools.inspect import inspect

Images = np.ndarray[Any, Any]
IMAGES = np.random.default_rng(6).normal(0, 1, (3, *SIZE, 1)).astype(np.float32)
QUICKEST = "UNet++"
"""The others need a minute in all."""

LEAST_SQNR = 15.0
"""Decibels between int8 and float probabilities, as little as `u3p-edge export` accepts."""


def masks(path: Path, data: bytes) -> Images:
    path.write_bytes(data)
    session = open_session(path, 1)
    return np.stack([session.run(image) for image in IMAGES])


def computed(graph: Graph, dtype: Any = np.float32) -> Images:
    return run(graph, {graph.inputs[0]: IMAGES}, dtype=dtype)[graph.outputs[0]]


def most_rewritten(graph: Graph) -> Graph:
    """Every site in its last candidate, as if that were the fastest."""
    choices = select_candidates(graph, lambda graphs: [float(len(graphs) - number) for number in range(len(graphs))])
    return apply_selections(graph, choices)


@pytest.mark.parametrize("name", mark_slow(ARCHITECTURES, [name for name in ARCHITECTURES if name != QUICKEST]))
def test_an_encoder_decoder_goes_through(tmp_path: Path, name: str) -> None:
    model, path = build(name), tmp_path / "network.keras"
    model.save(path)
    source = u3p.load(path, u3p.ModelOptions(normalization="percentile"))
    expected = model.predict(IMAGES, verbose=0)
    assert expected.std() > 0.05, "a flat mask compares nothing"
    check_trainable(source.graph)
    whole = fold_batch_norm(source.graph)
    np.testing.assert_allclose(
        masks(tmp_path / "f.tflite", write_tflite(whole, source.metadata)), expected, rtol=0, atol=FLOAT_TOLERANCE
    )
    float_onnx = masks(tmp_path / "f.onnx", write_onnx(whole, source.metadata))
    np.testing.assert_allclose(float_onnx, expected, rtol=0, atol=FLOAT_TOLERANCE)

    plan = thinned(source.graph)
    pruned = apply_plan(source.graph, plan)
    assert cost(pruned).total_macs < 0.9 * source.macs
    masked = computed(mask_channels(source.graph, plan), np.float64)
    assert np.abs(masked - expected).max() > 10 * FLOAT_TOLERANCE, "the plan drops what counts"
    np.testing.assert_allclose(computed(pruned, np.float64), masked, rtol=0, atol=1e-9)

    ready = most_rewritten(fold_batch_norm(pruned))
    np.testing.assert_allclose(
        masks(tmp_path / "r.tflite", write_tflite(ready, source.metadata)), masked, rtol=0, atol=FLOAT_TOLERANCE
    )
    integers = u3p.quantize(pruned, IMAGES)
    int8 = masks(tmp_path / "q.tflite", write_tflite(integers, source.metadata))
    assert sqnr(masked, int8) >= LEAST_SQNR
    assert sqnr(masks(tmp_path / "q.onnx", write_onnx(integers, source.metadata)), int8) >= TWIN_SQNR
    assert inspect(tmp_path / "q.tflite").nodes


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_whole_export_of_an_encoder_decoder(program: Program, pictures: Path, tmp_path: Path, name: str) -> None:
    model, path, run_folder = build(name), tmp_path / "network.keras", tmp_path / "run"
    model.save(path)
    # Untrained, so no better than a constant prediction.
    ended = program("export", path, "--int8", "--data", pictures, "--out", run_folder, "--accept", *QUICK)
    assert ended.code == 0, ended.err
    assert set(MODELS) <= {artifact.file for artifact in read_manifest(run_folder).artifacts}
    assert "| model.int8.tflite |" in (run_folder / "report.md").read_text(encoding="utf-8")
