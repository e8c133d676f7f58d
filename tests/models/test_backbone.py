"""Encoders of tf_keras.applications under our decoder compute what those networks do, from raw pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tf_keras

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.preprocess import preprocess
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.models.backbone import PREFIX
from u3p_edge.models.backbone_kinds import BACKBONES
from u3p_edge.models.backbone_weights import fill_backbone, read_layers
from u3p_edge.models.config import UNet3PlusConfig
from u3p_edge.models.unet3plus import build
from u3p_edge.training.recipe import TrainRecipe

SIDE = 32
RGB = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
SMALL = "vgg16"
"""The backbone with the fewest layers."""


def application(name: str) -> Any:
    """The network with all weights drawn, running statistics too; kernels keep the spread of their input."""
    model = getattr(tf_keras.applications, BACKBONES[name].model)(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            drawn = [rng.uniform(low, low + 0.5, layer.gamma.shape) for low in (0.8, -0.2, -0.2, 0.8)]
            layer.set_weights([values.astype(np.float32) for values in drawn])
    return model


def as_trained(name: str, rgb: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the network's own code makes of RGB pixels [N, H, W, 3]."""
    if name == "efficientnet_b0":  # with its weights, it does this itself; without, it only divides by 255
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        return np.asarray(255 * (rgb / 255 - mean) / std, np.float32)
    return np.asarray(getattr(tf_keras.applications, name).preprocess_input(rgb.astype(np.float32)), np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", BACKBONES)
def test_the_encoder_computes_from_raw_pixels_what_the_network_does(tmp_path: Path, name: str, channels: int) -> None:
    original, path, kind = application(name), tmp_path / "weights.h5", BACKBONES[name]
    original.save_weights(path)
    model = build(UNet3PlusConfig((SIDE, SIDE, channels), base_width=2, deep_supervision=False, backbone=name))  # type: ignore[arg-type]
    fill_backbone(model, name, path)
    rgb = RGB if channels == 3 else np.repeat(RGB[..., :1], 3, axis=-1)
    mean, std = kind.preprocessing(channels)
    prepare = Preprocessing(SIDE, SIDE, channels, normalization="meanstd", mean=mean, std=std)
    image = preprocess(rgb[0, ..., :channels], prepare)[None]
    expected = tf_keras.Model(original.input, [original.get_layer(layer).output for layer in kind.maps])(as_trained(name, rgb))
    found = tf_keras.Model(model.input, [model.get_layer(PREFIX + layer).output for layer in kind.maps])(image)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        scale = float(np.abs(theirs).max())
        assert float(np.std(theirs)) > 1e-3 * scale
        # Sums of up to 9 * 512 products, at most 50 in a row: sqrt(9 * 512) * 50 roundings of the largest values.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=np.sqrt(9 * 512) * 50 * 2**-24 * scale)
    graph = inference_graph(from_keras(model)).graph
    assert not [node for node in graph.nodes if node.op == "rescale"], "the preprocessing scales the pixels"
    assert graph.shapes["mask"][1:] == (SIDE, SIDE, 1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg16.h5"
    application(SMALL).save_weights(path)
    return path


@pytest.fixture(scope="module")
def network() -> Any:
    return build(UNet3PlusConfig((SIDE, SIDE, 3), base_width=2, deep_supervision=False, backbone="vgg16"))


@pytest.mark.slow
def test_a_whole_model_has_the_weights_of_its_file_of_weights(weights: Path, tmp_path: Path) -> None:
    inner = application(SMALL)
    inner.load_weights(weights)
    nested = tf_keras.Sequential([tf_keras.Input((SIDE, SIDE, 3)), inner, tf_keras.layers.Conv2D(2, 1)])
    for suffix in (".h5", ".keras"):
        nested.save(tmp_path / f"m{suffix}")
        stored, alone = read_layers(tmp_path / f"m{suffix}"), read_layers(weights)
        for name in alone:
            assert all(np.array_equal(a, b) for a, b in zip(stored[name], alone[name], strict=True))


@pytest.mark.slow
def test_a_file_of_another_network_is_refused_by_its_layer(weights: Path, network: Any, tmp_path: Path) -> None:
    lacking, wrong = tmp_path / "lacking.h5", tmp_path / "wrong.h5"
    for path in (lacking, wrong):
        path.write_bytes(weights.read_bytes())
    with h5py.File(lacking, "r+") as file:
        file.attrs["layer_names"] = [
            name for name in file.attrs["layer_names"] if name not in ("block3_conv2", b"block3_conv2")
        ]
    with pytest.raises(ModelError, match="holds no weights of the layer 'block3_conv2' of VGG16"):
        fill_backbone(network, SMALL, lacking)
    with h5py.File(wrong, "r+") as file:
        group = file["block2_conv1"]
        name = group.attrs["weight_names"][0]
        del group[name]
        group[name] = np.zeros((3, 3, 64, 64), np.float32)
    with pytest.raises(ModelError, match=r"'block2_conv1' has weights of the shapes \[\(3, 3, 64, 64\)"):
        fill_backbone(network, SMALL, wrong)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" + b"\0" * 40, b"weights"])
def test_a_file_without_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.h5"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.h5"):
        read_layers(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (32, 32, 2)}, "images of 1 or 3 channels"),
        ({"input_shape": (16, 32, 3)}, "too small"),
        ({"residual": True}, "blocks of its own"),
        ({"backbone": "alexnet"}, "one of None, 'vgg16'"),
    ],
)
def test_what_a_backbone_cannot_have_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        UNet3PlusConfig(**{"backbone": "vgg16", "input_shape": (32, 32, 3), **options})
    assert message in str(refusal.value)


def test_images_are_normalised_as_the_weights_want_unless_the_recipe_says_otherwise() -> None:
    own = TrainRecipe(size=(32, 32), channels=1, backbone="mobilenet_v2", backbone_weights="w.h5")
    assert (own.preprocessing().normalization, own.preprocessing().mean) == ("meanstd", (127.5,))
    said = TrainRecipe(size=(32, 32), backbone="mobilenet_v2", backbone_weights="w.h5", normalization="percentile")
    assert said.preprocessing().normalization == "percentile"
    assert TrainRecipe(size=(32, 32), backbone="mobilenet_v2").preprocessing().normalization == "percentile"
    with pytest.raises(ConfigError, match="backbone_weights is of a backbone, and there is none"):
        TrainRecipe(backbone_weights="w.h5")
