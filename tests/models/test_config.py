"""The configuration refuses what cannot be, says what can, and needs no TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest

from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ConfigError
from u3p_edge.models.config import UNet3PlusConfig, preset


@pytest.mark.parametrize(
    ("option", "value", "choice"),
    [
        ("normalization", "instance", "'layer'"),
        ("normalization", None, "'none'"),
        ("down_pattern", "maxpooling", "'normconv'"),
        ("down_normalization", "group", "'batch'"),
        ("initializer", "glorot", "'he_normal'"),
        ("binary_cgm_units", 3, "2"),
    ],
)
def test_an_unknown_value_is_refused_and_the_choices_are_named(option: str, value: Any, choice: str) -> None:
    for make in (UNet3PlusConfig, lambda **options: preset("article", **options)):
        with pytest.raises(ConfigError) as caught:
            make(**{option: value})
        assert option in str(caught.value)
        assert choice in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"base_width": 0},
        {"kernel_size": 0},
        {"classes": 0},
        {"head_kernel": 0},
        {"input_shape": (32, 32, 0)},
        {"input_shape": (32, 32)},
        {"cgm_dropout": 1.0},
        {"norm_momentum": -0.1},
        {"norm_epsilon": 0.0},
        {"norm_epsilon": float("nan")},
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        UNet3PlusConfig(**options)


def test_a_size_that_is_no_multiple_of_16_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"multiples of 16.*96 or 112 for the height and 128 for the width"):
        UNet3PlusConfig(input_shape=(100, 128, 1))


@pytest.mark.parametrize("pattern", ["max", "average"])
def test_a_down_normalization_that_would_do_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="down_normalization"):
        preset("article", down_pattern=pattern, down_normalization="batch")


def test_unknown_presets_and_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="'article', 'paper'"):
        preset("official")
    with pytest.raises(ConfigError, match="'width'"):
        preset("paper", width=32)


def test_a_configuration_survives_json() -> None:
    config = preset("paper", classes=4, cgm=True, head_kernel=5, input_shape=(64, 48, 3))
    assert from_dict(UNet3PlusConfig, json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset("paper").classes = 2  # type: ignore[misc]


def test_units_of_the_classification_module() -> None:
    assert preset("article").cgm_units == 1
    assert preset("paper").cgm_units == 2
    assert preset("paper", classes=4).cgm_units == 4


def test_importing_the_models_room_and_its_configuration_needs_no_tensorflow() -> None:
    program = (
        "import sys, u3p_edge.models, u3p_edge.models.config; "
        "sys.exit(' '.join(m for m in ('tensorflow', 'tf_keras', 'keras') if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
