"""Every measure of importance scores every channel, and leads to a plan."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tests.support.pruning_runs import EPOCH, recipe, to
from tests.support.slow import mark_slow
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.pipeline.budgets import CLOSE, LATENCY
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.score_channels import score_channels
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import Staging, open_staging
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.pruning.importance.scores import Importance
from u3p_edge.recipes.recipe import ImportanceMeasure


# The two that look at weights alone have their tests in `tests/pruning`.
@pytest.mark.parametrize("measure", mark_slow(get_args(ImportanceMeasure), ["magnitude", "norm_scale"]))
def test_every_measure_scores_every_channel_and_makes_a_plan(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path, measure: ImportanceMeasure
) -> None:
    wanted = recipe(to(unpruned_ms / 2, importance=measure))
    importance = score_channels(source, Context(source, data, wanted, open_staging(tmp_path, "key")))
    free = {group.name: group.size for group in find_groups(fold_batch_norm(source.graph)) if not group.frozen}
    assert free.items() <= {name: len(scores) for name, scores in importance.items()}.items()
    assert all(np.isfinite(scores).all() and (scores >= 0).all() for scores in importance.values())
    assert len({float(score) for name in free for score in importance[name]}) > 1, "it tells channels apart"
    result = prune_source(Context(source, data, wanted, open_staging(tmp_path, "key"), device=device))
    assert result.steps[0].reached[LATENCY] <= unpruned_ms / 2 * (1 + CLOSE)
    assert f"by {measure}: " in result.notes[0]


def test_chance_is_the_same_for_the_same_seed_alone(source: Source, data: ExportData, tmp_path: Path) -> None:
    def drawn(seed: int) -> Importance:
        return score_channels(source, Context(source, data, recipe(to(1, importance="random"), seed=seed), Staging(tmp_path)))

    one, again, other = drawn(1), drawn(1), drawn(2)
    assert all((one[name] == again[name]).all() for name in one)
    assert any((one[name] != other[name]).any() for name in one)


@pytest.mark.slow  # `tests/distill` has the loss itself
def test_the_float_models_attention_teaches_too(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path
) -> None:
    losses = []
    for features in (0.0, 50.0):
        staging = open_staging(tmp_path / f"{features}", "key")
        wanted = recipe(to(unpruned_ms / 2, final_updates=EPOCH, features=features))
        result = prune_source(Context(source, data, wanted, staging, device=device))
        losses.append(result.source.model.get_weights()[0])
    assert (losses[0] != losses[1]).any()
