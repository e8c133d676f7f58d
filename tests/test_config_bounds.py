"""Values of the right kind and the wrong size are refused where the value is made, from files and options alike."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from u3p_edge.config.limits import MAX_INTEGER
from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.plain import from_dict
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import ConfigError
from u3p_edge.models.config import UNet3PlusConfig
from u3p_edge.quantization.sparsity import Sparsity
from u3p_edge.recipes.recipe import ExportRecipe, Pruning
from u3p_edge.training.recipe import TrainRecipe, parse_recipe

KEPT: dict[str, Any] = json.loads(default_metadata(Preprocessing(16, 16), 2).to_json())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"colours": [[0, 0, 0], [0, 0, 256]]}, "a colour is not three numbers from 0 to 255"),
        ({"colours": [[0, 0, 0], [-1, 0, 0]]}, "a colour is not three numbers from 0 to 255"),
        ({"class_names": ["a"] * 300, "colours": [[0, 0, 0]] * 300}, "300 classes are too many"),
        ({"class_names": ["a", "b" * 2000]}, "more than 1000 characters"),
        ({"mask_channels": 7}, "2 classes do not fit a mask of 7 channels"),
        ({"mask_channels": 0}, "2 classes do not fit a mask of 0 channels"),
        ({"preprocessing": {"height": 16, "width": 10**30}}, "an integer of 31 digits"),
        ({"preprocessing": {"height": 2**40, "width": 16}}, "1099511627776x16"),
    ],
)
def test_metadata_of_the_wrong_size(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Metadata.from_json(json.dumps({**KEPT, **changes}))


@pytest.mark.parametrize(
    ("cls", "options", "reason"),
    [
        (TrainRecipe, {"labels": 2147483648}, "labels cannot be 2147483648. It is 2 to 256"),
        (TrainRecipe, {"seed": 2**32}, "seed cannot be 4294967296"),
        (TrainRecipe, {"base_width": 10**9}, "base_width cannot be 1000000000"),
        (TrainRecipe, {"batch_size": 10**9}, "batch_size cannot be"),
        (TrainRecipe, {"learning_rate": float("nan")}, "learning_rate cannot be nan"),
        (TrainRecipe, {"augmentation": {"rotation": float("nan")}}, "rotation cannot be nan"),
        (TrainRecipe, {"augmentation": {"gamma": 1e300}}, "gamma=1e.300 is above 100"),
        (TrainRecipe, {"class_names": ["a", "\ud800"]}, "half a character"),
        (ExportRecipe, {"seed": 2**32}, "seed cannot be"),
        (ExportRecipe, {"tiling": {"tiles": 10**9}}, "tiling.tiles cannot be"),
        (ExportRecipe, {"max_drop": 10**400}, "max_drop is out of range"),
        (Pruning, {"speedup": 2.0, "steps": 10**9}, "pruning.steps cannot be"),
        (Sparsity, {"epochs": 10**9}, "sparsity.epochs cannot be"),
        (UNet3PlusConfig, {"kernel_size": 10**6}, "kernel_size cannot be"),
    ],
)
def test_options_of_the_wrong_size(cls: type[Any], options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        from_dict(cls, options)


def test_a_wrong_value_is_shown_in_part() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_recipe("size = [" + "0x" + "f" * 9000 + ", 16]")
    assert len(str(caught.value)) < 300
    with pytest.raises(ConfigError) as caught:
        parse_recipe(f"fit = '{'x' * 9000}'")
    assert len(str(caught.value)) < 300


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.integers(MAX_INTEGER, 10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("height", "gamma")), inner, max_size=2),
    max_leaves=6,
)


@pytest.mark.parametrize("cls", [TrainRecipe, ExportRecipe, Pruning, Metadata, UNet3PlusConfig])
@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_values_give_a_value_or_one_error(cls: type[Any], data: st.DataObject) -> None:
    names = sorted(cls.__dataclass_fields__)
    options = data.draw(st.dictionaries(st.sampled_from(names), ANY, max_size=3))
    kept = KEPT if cls is Metadata else {"speedup": 2.0} if cls is Pruning else {}
    with contextlib.suppress(ConfigError):
        from_dict(cls, {**kept, **options})
