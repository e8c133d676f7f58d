"""A stored model comes back exactly; anything else in its place is one clear sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from safetensors.numpy import load_file, save_file

from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import ArtifactError, ConfigError, ModelError
from u3p_edge.manifest import sha256_of
from u3p_edge.models import stored_files
from u3p_edge.models.config import UNet3PlusConfig, preset
from u3p_edge.models.store import load_model, save_model
from u3p_edge.models.unet3plus import build

CONFIG = preset("paper", base_width=2, input_shape=(16, 32, 1), classes=3, cgm=True)
METADATA = default_metadata(Preprocessing(16, 32), labels=3)


@cache
def scrambled(seed: int, config: UNet3PlusConfig = CONFIG) -> tf_keras.Model:
    """A model whose every weight, moving statistics too, is drawn; built once a seed."""
    rng = np.random.default_rng(seed)
    model = build(config)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tf_keras.Model]:
    folder = tmp_path_factory.mktemp("store") / "model"
    model = scrambled(0)
    save_model(folder, model, CONFIG, METADATA)
    return folder, model


@pytest.fixture
def folder(saved: tuple[Path, tf_keras.Model], tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved[0], tmp_path / "model"))


def test_a_model_comes_back_exactly(saved: tuple[Path, tf_keras.Model]) -> None:
    folder, model = saved
    loaded, config, metadata = load_model(folder)
    assert (config, metadata) == (CONFIG, METADATA)
    for before, after in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]


def test_weights_are_stored_under_readable_names(saved: tuple[Path, tf_keras.Model]) -> None:
    tensors = load_file(saved[0] / "model.safetensors")
    assert tensors["enc1_conv1/kernel"].shape == (3, 3, 1, 2)
    assert tensors["dec1_fuse_norm/moving_mean"].shape == (10,)


def test_half_stores_kernels_as_float16_and_loads_float32(tmp_path: Path) -> None:
    model = scrambled(1)
    kernel = model.get_layer("enc2_conv1").kernel
    kernel.assign(kernel * 1e5)  # beyond float16, whose largest is 65504
    save_model(tmp_path, model, CONFIG, METADATA, half=True)
    stored = load_file(tmp_path / "model.safetensors")
    assert {str(v.dtype) for k, v in stored.items() if k.endswith("kernel")} == {"float16", "float32"}
    assert stored["enc2_conv1/kernel"].dtype == np.float32
    assert all(v.dtype == np.float32 for k, v in stored.items() if not k.endswith("kernel"))
    loaded, _, _ = load_model(tmp_path)
    for variable, before, after in zip(loaded.weights, model.get_weights(), loaded.get_weights(), strict=True):
        assert after.dtype == np.float32
        # float16 keeps 11 significant bits: half a step is 2^-11 of the value.
        np.testing.assert_allclose(after, before, rtol=2.0**-11 if "kernel" in variable.name else 0)


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def change_tensors(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    """A well-formed safetensors file, rightly described, with other tensors in it."""

    def damage(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")
        describe_anew(folder)

    return damage


def describe_anew(folder: Path) -> None:
    description = json.loads((folder / "model.json").read_text())
    description["sha256"] = sha256_of(folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(description))


def put_a_foreign_file(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000))
    describe_anew(folder)


def describe_a_larger_network(**options: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        description = json.loads((folder / "model.json").read_text())
        description["config"] = {**description["config"], **options}
        (folder / "model.json").write_text(json.dumps(description))

    return damage


def edit_description(key: str, value: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        description = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps({**description, key: value}))

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "model.json does not exist"),
        (lambda f: (f / "model.json").unlink(), "model.json does not exist"),
        (lambda f: (f / "model.json").write_text("{"), "not readable JSON"),
        (lambda f: (f / "model.json").write_text("[]"), "does not hold a JSON object"),
        (edit_description("config", {"base_width": "wide"}), "base_width must be int"),
        (describe_a_larger_network(base_width=1024), "describes a network with a kernel of"),
        (describe_a_larger_network(kernel_size=31), "describes a network with a kernel of"),
        (describe_a_larger_network(input_shape=(16, 32, 10**9)), "It is 1 to 256."),
        (describe_a_larger_network(classes=10**9), "It is 1 to 256."),
        (edit_description("pickle", "x"), "has no option 'pickle'"),
        (edit_description("previous", 3), "must be a table"),
        (lambda f: (f / "model.safetensors").unlink(), "No such file"),
        (truncate, "changed or cut short"),
        (flip_a_bit, "changed or cut short"),
        (put_a_foreign_file, "not a safetensors file"),
        (change_tensors(lambda t: t.pop("enc1_conv1/kernel")), "lacks weight 'enc1_conv1/kernel'"),
        (change_tensors(lambda t: t.update(extra=np.zeros(1, np.float32))), "has a foreign weight 'extra'"),
        (change_tensors(lambda t: t.update({"cgm_conv/bias": np.zeros(7, np.float32)})), "'cgm_conv/bias' is float32"),
        pytest.param(
            change_tensors(lambda t: t.update({"cgm_conv/bias": np.zeros(3, np.int32)})),
            "'cgm_conv/bias' is int32",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_anything_else_is_refused_with_the_file_and_a_mend(folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(folder)
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert caught.value.mend


def test_a_model_is_replaced(folder: Path) -> None:
    newer = scrambled(3)
    save_model(folder, newer, CONFIG, METADATA)
    np.testing.assert_array_equal(load_model(folder)[0].get_weights()[0], newer.get_weights()[0])
    assert "previous" not in json.loads((folder / "model.json").read_text())


class Killed(BaseException):
    """Stands for the process's end: nothing may catch it."""


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_kill_between_the_two_files_leaves_a_whole_model(
    folder: Path, saved: tuple[Path, tf_keras.Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    other = preset("article", base_width=2, input_shape=(16, 32, 1), classes=3, cgm=True)
    newer = scrambled(3, other)
    left = [writes]

    def until_killed(write: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: object) -> None:
            if not left[0]:
                raise Killed
            left[0] -= 1
            write(*arguments)

        return run

    with monkeypatch.context() as patch:
        for name in ("write_json", "write_bytes"):
            patch.setattr(stored_files, name, until_killed(getattr(stored_files, name)))
        with pytest.raises(Killed):
            save_model(folder, newer, other, METADATA)
    # The weights are exchanged by the second of three writes.
    model, config, _ = load_model(folder)
    expected = (newer, other) if writes == 2 else (saved[1], CONFIG)
    assert config == expected[1]
    np.testing.assert_array_equal(model.get_weights()[0], expected[0].get_weights()[0])
    save_model(folder, newer, other, METADATA)
    save_model(tmp_path / "fresh", newer, other, METADATA)
    for name in ("model.json", "model.safetensors"):
        assert (folder / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes(), "what was killed left no trace"


@pytest.mark.parametrize(
    "metadata", [default_metadata(Preprocessing(32, 32), labels=3), default_metadata(Preprocessing(16, 32), labels=2)]
)
def test_metadata_of_another_model_is_refused(tmp_path: Path, metadata: Metadata) -> None:
    with pytest.raises(ConfigError):
        save_model(tmp_path / "new", scrambled(0), CONFIG, metadata)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError):
        save_model(tmp_path / "file" / "model", scrambled(0), CONFIG, METADATA)
