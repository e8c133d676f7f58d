"""Values that describe a model hold their own bounds, so options, recipes and files of strangers meet the same ones."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from u3p_edge.config.limits import MAX_SIDE
from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.plain import from_dict
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import ConfigError
from u3p_edge.training.recipe import TrainRecipe, parse_recipe

MEANSTD = {"normalization": "meanstd", "mean": (1.0,), "std": (2.0,)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"height": 0}, "multiples of 16"),
        ({"height": -16}, "multiples of 16"),
        ({"width": 40}, "nearest sizes"),
        ({"width": MAX_SIDE + 16}, "too large"),
        ({"height": 16 * 10**9}, "too large"),
        ({"channels": 2}, "channels"),
        ({"low": math.nan}, "percentiles"),
        ({"high": math.inf}, "percentiles"),
        ({"low": 50.0, "high": 50.0}, "percentiles"),
        ({"mean": (1.0,)}, "no effect"),
        ({"normalization": "none", "std": (1.0,)}, "no effect"),
        ({"normalization": "meanstd"}, "0 means and 0 standard deviations"),
        ({**MEANSTD, "std": (1.0, 2.0)}, "1 means and 2 standard deviations"),
        ({**MEANSTD, "channels": 3}, "1 values, but channels is 3"),
        ({**MEANSTD, "mean": (math.nan,)}, "mean cannot be nan"),
        ({**MEANSTD, "std": (math.inf,)}, "std cannot be inf"),
        ({**MEANSTD, "std": (0.0,)}, "std cannot be 0"),
        ({**MEANSTD, "std": (-1.0,)}, "std cannot be -1"),
    ],
)
def test_preprocessing_that_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Preprocessing(**{"height": 16, "width": 16, **given})


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(16, 32, normalization="none"),
        Preprocessing(16, 32, 3, "pad", "meanstd", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
    ],
)
def test_metadata_comes_back_from_its_text(preprocessing: Preprocessing) -> None:
    metadata = default_metadata(preprocessing, 3)
    assert Metadata.from_json(metadata.to_json()) == metadata


def test_metadata_written_without_mean_and_std_is_read() -> None:
    metadata = default_metadata(Preprocessing(16, 32, low=2.0), 3)
    plain = json.loads(metadata.to_json())
    del plain["preprocessing"]["mean"], plain["preprocessing"]["std"]
    assert from_dict(Metadata, plain) == metadata


def test_a_training_recipe_keeps_mean_and_std() -> None:
    recipe = TrainRecipe(normalization="meanstd", mean=(120.0, 110.0, 100.0), std=(60.0, 57.5, 55.0))
    assert parse_recipe(recipe.to_toml()) == recipe
    assert recipe.preprocessing().channels == 3
    assert recipe.metadata().preprocessing.mean == (120.0, 110.0, 100.0)
