"""What is built is what was counted: golden numbers of both presets, written as arithmetic where the counts are ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.slow import mark_slow
from u3p_edge.models.config import preset
from u3p_edge.models.unet3plus import build

SMALL: Mapping[str, Any] = {"base_width": 4, "input_shape": (32, 32, 1)}

ARTICLE_NAMES = {
    "initial_features": "base_width",
    "class_num": "classes",
    "norm_type": "normalization",
    "use_residual": "residual",
    "using_deep_supervision": "deep_supervision",
    "using_cgm": "cgm",
}
ARTICLE_VALUES = {"maxpooling": "max", "avgpooling": "average", None: "none"}
GOLDEN_CASES = 18
SLOW = (1, 2, 3, 5, 6, 10, 11)
"""Cases whose options one of the others has too."""


def trainable(model: tf_keras.Model) -> int:
    return sum(prod(w.shape) for w in model.trainable_weights)


def convolutions(model: tf_keras.Model) -> list[tf_keras.layers.Conv2D]:
    return [layer for layer in model.layers if isinstance(layer, tf_keras.layers.Conv2D)]


def conv_macs(model: tf_keras.Model) -> int:
    return sum(prod(layer.output_shape[1:3]) * prod(layer.kernel.shape) for layer in convolutions(model))


def outputs(model: tf_keras.Model) -> list[list[Any]]:
    return [[name, list(tensor.shape[1:])] for name, tensor in zip(model.output_names, model.outputs, strict=True)]


@pytest.mark.parametrize("index", mark_slow(range(GOLDEN_CASES), SLOW))
def test_article_preset_reproduces_the_golden_case(shared: Path, index: int) -> None:
    cases = json.loads((shared / "seed" / "golden.json").read_text())["cases"]
    assert len(cases) == GOLDEN_CASES
    case = cases[index]
    options = {
        ARTICLE_NAMES.get(name, name): value if isinstance(value, list) else ARTICLE_VALUES.get(value, value)
        for name, value in case["options"].items()
    }
    config = preset("article", **options)
    model = build(config)
    assert model.count_params() == case["total_params"]
    assert trainable(model) == case["trainable_params"]
    assert len(convolutions(model)) == case["conv2d_layers"]
    assert conv_macs(model) == case["conv_macs"]
    assert outputs(model) == case["outputs"]
    assert tuple(model.output_names) == config.output_names
    tf_keras.backend.clear_session()


def encoder_parameters(base: int, channels: int, bias: int) -> int:
    """Two 3x3 convolutions a scale, each with `bias` and batch normalisation's scale and shift."""
    widths = [base, base * 2, base * 4, base * 8, base * 16]
    inputs = [channels, *widths[:-1]]
    return sum(c * 3 * 3 * w + w * 3 * 3 * w + 2 * w * (bias + 2) for c, w in zip(inputs, widths, strict=True))


def decoder_parameters(base: int, bias: int) -> int:
    """Five 3x3 branches to `base` channels and one 3x3 fusion a scale."""
    encoders = {s: base * 2 ** (s - 1) for s in range(1, 6)}
    fused = base * 5
    total = 0
    for target in (4, 3, 2, 1):
        for source in range(1, 6):
            width = encoders[source] if source <= target or source == 5 else fused
            total += width * 3 * 3 * base + base * (bias + 2)
        total += fused * 3 * 3 * fused + fused * (bias + 2)
    return total


def moving_statistics(base: int) -> int:
    """A mean and a variance for each normalised channel: two convolutions an encoder scale, 5 + 5 `base` a decoder."""
    return 2 * (2 * (base + base * 2 + base * 4 + base * 8 + base * 16) + 4 * (5 * base + base * 5))


def test_paper_preset_reproduces_the_official_network() -> None:
    # PyTorch's count of parameters leaves the moving statistics out, so ours is of the trainable ones.
    plain = build(preset("paper"))
    backbone = encoder_parameters(64, 1, bias=1) + decoder_parameters(64, bias=1)
    assert trainable(plain) == backbone + 320 * 3 * 3 * 1 + 1 == 26_970_625
    assert plain.count_params() - trainable(plain) == moving_statistics(64)
    assert outputs(plain) == [["output", [320, 320, 1]]]
    everything = build(preset("paper", deep_supervision=True, cgm=True))
    supervision = (3 * 320 + 1024) * 3 * 3 * 1 + 4
    assert supervision == 17_860
    assert 1024 * 1 * 1 * 2 + 2 == 2_050
    assert trainable(everything) == 26_970_625 + 17_860 + 2_050
    assert outputs(everything)[-1] == ["cgm_output", [2]]
    assert preset("paper", classes=4, cgm=True).cgm_units == 4
    tf_keras.backend.clear_session()


def test_article_preset_counts_as_arithmetic() -> None:
    model = build(preset("article", base_width=4, input_shape=(32, 48, 3), deep_supervision=False))
    expected = encoder_parameters(4, 3, bias=0) + decoder_parameters(4, bias=0) + 20 * 1 * 1 * 1 + 1
    assert trainable(model) == expected
    assert model.count_params() == expected + moving_statistics(4)


@pytest.mark.parametrize("name", mark_slow(["article", "paper"], ["paper"]))
def test_heads_are_upsampled_bilinearly(name: str) -> None:
    model = build(preset(name, **SMALL, deep_supervision=True))
    ups = [layer for layer in model.layers if isinstance(layer, tf_keras.layers.UpSampling2D)]
    assert len(ups) == (4 + 3 + 2 + 1) + 4
    assert {layer.interpolation for layer in ups} == {"bilinear"}
    # The logits are upsampled, then activated: probabilities between two pixels would not be a sigmoid of anything.
    assert model.get_layer("output_de5").input is model.get_layer("head5_up").output


def test_options_whose_imports_the_article_forgot_do_build_and_run() -> None:
    model = build(preset("article", **SMALL, residual=True, down_pattern="average"))
    assert all(np.isfinite(out).all() for out in model(np.ones((1, 32, 32, 1), np.float32)))
    for kind, count in ((tf_keras.layers.Add, 5), (tf_keras.layers.AveragePooling2D, 4)):
        assert sum(isinstance(layer, kind) for layer in model.layers) == count


@pytest.mark.parametrize(
    ("kind", "layer"),
    [pytest.param("batch", "BatchNormalization", marks=pytest.mark.slow), ("layer", "LayerNormalization")],
)
def test_the_normalisation_after_a_strided_convolution_is_not_thrown_away(kind: str, layer: str) -> None:
    model = build(preset("article", **SMALL, down_pattern="conv", down_normalization=kind))
    for scale in range(1, 5):
        norm = model.get_layer(f"down{scale}_norm")
        assert type(norm).__name__ == layer
        assert norm.input is model.get_layer(f"down{scale}_conv").output
        assert model.get_layer(f"enc{scale + 1}_conv1").input is norm.output


def test_normconv_normalises_before_its_convolution() -> None:
    model = build(preset("article", **SMALL, down_pattern="normconv", down_normalization="batch"))
    assert model.get_layer("down1_conv").input is model.get_layer("down1_norm").output
    assert model.get_layer("enc2_conv1").input is model.get_layer("down1_conv").output


def test_every_decoder_sees_all_five_scales_deepest_first() -> None:
    model = build(preset("article", **SMALL))
    for target in (1, 2, 3, 4):
        feeders = [tensor.node.layer.name for tensor in model.get_layer(f"dec{target}_concat").input]
        sources = [f"dec{s}" if target < s < 5 else f"enc{s}" for s in (5, 4, 3, 2, 1)]
        assert feeders == [f"dec{target}_from_{source}_relu" for source in sources]


def test_the_model_needs_no_custom_code() -> None:
    config = preset("paper", **SMALL, residual=True, down_pattern="conv", down_normalization="layer", cgm=True)
    model = build(config)
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"tf_keras"}
    assert not any(isinstance(layer, tf_keras.layers.Lambda) for layer in model.layers)
    assert len({layer.name for layer in model.layers}) == len(model.layers)
    again = tf_keras.Model.from_config(model.get_config())
    assert [w.name for w in again.weights] == [w.name for w in model.weights]


def test_paper_preset_draws_the_scales_of_batch_normalisation() -> None:
    tf_keras.utils.set_random_seed(0)
    gamma = build(preset("paper", **{**SMALL, "base_width": 16})).get_layer("enc5_norm1").gamma.numpy()
    # 256 draws of N(1, .02): their mean is within 5 * .02 / 16 of 1, their spread within 30 % of .02 (5 standard errors
    # of a spread are 5 / sqrt(2 * 256) = 22 %).
    assert abs(gamma.mean() - 1) < 5 * 0.02 / 16
    assert abs(gamma.std() - 0.02) < 0.3 * 0.02


@settings(max_examples=3, deadline=None)
@given(rows=st.integers(1, 4), columns=st.integers(1, 4), classes=st.integers(1, 3), supervised=st.booleans())
def test_masks_have_the_size_of_the_image(rows: int, columns: int, classes: int, supervised: bool) -> None:
    shape = (16 * rows, 16 * columns, 1)
    model = build(preset("article", base_width=2, input_shape=shape, classes=classes, deep_supervision=supervised, cgm=True))
    *masks, gate = model(np.zeros((2, *shape), np.float32))
    assert len(masks) == (5 if supervised else 1)
    assert all(tuple(mask.shape) == (2, *shape[:2], classes) for mask in masks)
    assert tuple(gate.shape) == (2, classes)
    if classes > 1:
        # A softmax of K float32 numbers sums to 1 within about K roundings of 2**-23.
        np.testing.assert_allclose(masks[0].numpy().sum(-1), 1.0, atol=classes * 2**-22)
    tf_keras.backend.clear_session()
