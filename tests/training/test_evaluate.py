"""Training scores a split as every report does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.tiny_run import discs, tiny_recipe
from u3p_edge.benchmark.accuracy import score
from u3p_edge.data.fit_notes import Original
from u3p_edge.data.preprocess import to_labels
from u3p_edge.data.tiled_labels import label_inputs
from u3p_edge.training.evaluate import evaluate
from u3p_edge.training.trainer import Trainer


def test_the_dice_of_training_is_that_of_a_report_whatever_the_batches() -> None:
    """Groups of one, two and three images, which batches of four do not respect."""
    arrays = replace(discs(6, seed=4), groups=("a", "b", "b", "c", "c", "c"))
    trainer = Trainer(tiny_recipe(fit="pad"))
    scores = evaluate(trainer, arrays)
    masks = trainer.evaluate(arrays.images, arrays.labels)[0].numpy()
    predicted = np.stack([to_labels(mask) for mask in masks])
    expected = score(arrays.labels, predicted, predicted, arrays.groups, labels=2)
    # A batch of another size may round a probability at 0.5 to the other side in a pixel of 1024.
    assert scores.dice == pytest.approx(expected.dice, abs=2e-3)
    assert scores.iou == pytest.approx(expected.iou, abs=2e-3)
    assert scores.mean_dice == pytest.approx(expected.mean_dice, abs=2e-3)
    pooled = score(arrays.labels, predicted, predicted, ("all",) * 6, labels=2)
    assert pooled.mean_dice != pytest.approx(expected.mean_dice, abs=2e-3), "or nothing was told apart"
    # The same inputs as two tiles of each of three images, which are blended.
    originals = (Original((32, 56)),) * 3
    joined = np.stack(list(label_inputs(masks, originals, trainer.recipe.metadata())))
    blended = score(arrays.labels, joined, joined, arrays.groups, labels=2)
    assert evaluate(trainer, replace(arrays, originals=originals)).dice == pytest.approx(blended.dice, abs=2e-3)
    assert blended.dice != pytest.approx(expected.dice, abs=2e-3), "or blending would change nothing"
