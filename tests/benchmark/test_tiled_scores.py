"""What `bench` scores of an image in tiles is the mask that `predict` writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.tflite_models import graph
from u3p_edge.benchmark.accuracy import dice_by_group, predict_labels
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.data.folder import open_folder
from u3p_edge.data.load import load_samples
from u3p_edge.data.options import DataOptions
from u3p_edge.data.preprocess import score_tiles
from u3p_edge.graph.ir import Node
from u3p_edge.metrics import IGNORE
from u3p_edge.pipeline.validation import session_scores
from u3p_edge.runtime import open_session
from u3p_edge.runtime.segment import predict_image

SHAPE = (48, 64, 1)
SIZES = ((100, 150), (48, 200), (48, 64), (20, 30))


def test_tiles_are_scored_as_they_are_predicted(tmp_path: Path) -> None:
    """Pixel by pixel, of a network that sees two pixels around each, so that tiles disagree at their edges."""
    kernel = np.random.default_rng(0).normal(size=(5, 5, 1, 3)).astype(np.float32)
    conv = Node("conv", "conv", ("image",), {"padding": "same"}, {"kernel": kernel})
    network = graph([conv, Node("mask", "activation", ("conv",), {"function": "softmax"})], SHAPE)
    metadata = default_metadata(Preprocessing(*SHAPE, fit="pad", normalization="range"), labels=3)
    (tmp_path / "pad.tflite").write_bytes(write_tflite(network, metadata))
    session = open_session(tmp_path / "pad.tflite")
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for k, size in enumerate(SIZES):
        noise = np.random.default_rng(k).integers(0, 256, size, np.uint8)
        Image.fromarray(noise).save(tmp_path / "data" / "images" / f"{k}.png")
        Image.fromarray(noise % 3).save(tmp_path / "data" / "masks" / f"{k}.png")
    samples = open_folder(tmp_path / "data", DataOptions()).samples
    arrays = load_samples(samples, metadata.preprocessing, 3, tiled=True)
    labels = predict_labels(session, arrays.images, originals=arrays.originals)
    masks = [predict_image(session, sample.image) for sample in samples]
    cut = np.stack([tile for mask in masks for tile in score_tiles(mask, metadata.preprocessing)])
    counted = cut != IGNORE
    np.testing.assert_array_equal(counted, arrays.labels != IGNORE)
    assert np.count_nonzero(counted) == sum(height * width for height, width in SIZES)
    np.testing.assert_array_equal(labels[counted], cut[counted])
    alone = predict_labels(session, arrays.images)
    assert (alone != labels)[counted].any(), "or the test could not tell blending from cutting"
    # With these masks as truth the validation finds no fault; cut at the middle of the overlap, they have some.
    truth = replace(arrays, labels=np.where(counted, labels, np.uint8(IGNORE)))
    assert session_scores(session, truth).min() == 1
    assert dice_by_group(truth.labels, alone, arrays.groups, labels=3).min() < 1
