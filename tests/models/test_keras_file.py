"""Reading other people's model files: the same model comes back, nothing in the file runs, every refusal is one sentence."""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras

from tests.support.article_model import Builder
from tests.support.keras_files import SUFFIXES, assert_same, configure, entry, pack, save, small
from u3p_edge.errors import ModelError
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.models.keras_file import read_keras_file

L = tf_keras.layers


@SUFFIXES
def test_a_model_comes_back_with_its_weights(tmp_path: Path, suffix: str) -> None:
    model = small()
    model.get_layer("norm").moving_mean.assign([1.0, 2.0, 3.0])
    assert_same(read_keras_file(save(model, tmp_path / f"m{suffix}")), model)


@SUFFIXES
def test_what_the_file_says_of_training_is_never_built(tmp_path: Path, suffix: str) -> None:
    @tf_keras.saving.register_keras_serializable("somebody")
    class Special(tf_keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return y_true - y_pred

    def dice(y_true: Any, y_pred: Any) -> Any:
        return y_true * y_pred

    model = small()
    model.compile("adam", loss=Special(), metrics=[dice])
    model.fit(np.zeros((2, 16, 16, 1)), np.zeros((2, 16, 16, 1)), verbose=0)
    path = save(model, tmp_path / f"m{suffix}")
    tf_keras.saving.get_custom_objects().clear()
    result = read_keras_file(path)
    assert_same(result, model)
    assert result.optimizer is None


@SUFFIXES
def test_a_sequential_model_and_mixed_precision_are_read(tmp_path: Path, suffix: str) -> None:
    model = tf_keras.Sequential([tf_keras.Input((16, 16, 1)), L.Conv2D(2, 3, dtype="mixed_float16"), L.Dropout(0.5)])
    assert_same(read_keras_file(save(model, tmp_path / f"m{suffix}")), model)


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    model = small()
    for saved, named in ((".h5", "a.keras"), (".h5", "a.hdf5"), (".keras", "b.bin")):
        path = tmp_path / named
        shutil.move(save(model, tmp_path / f"m{saved}"), path)
        assert_same(read_keras_file(path), model)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        # `tests/pipeline/test_export_sources.py` exports such a file.
        pytest.param(".keras", {"using_cgm": True}, marks=pytest.mark.slow),
        (".h5", {"class_num": 3, "using_deep_supervision": False}),
    ],
    ids=str,
)
def test_the_articles_models_are_read_and_exportable(
    article_builder: Builder, tmp_path: Path, suffix: str, options: dict[str, Any]
) -> None:
    model = article_builder((32, 32, 1), initial_features=2, **options)
    result = read_keras_file(save(model, tmp_path / f"m{suffix}"))
    assert_same(result, model)
    assert inference_graph(from_keras(result)).mask == model.output_names[0]


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `trap_module` on the import path; the file that appears if anything imports it."""
    sprung = tmp_path / "sprung"
    (tmp_path / "trap_module.py").write_text(
        f"import pathlib\npathlib.Path({str(sprung)!r}).write_text('')\n"
        "import tf_keras\nclass Trap(tf_keras.layers.ReLU):\n    pass\n"
        "class Init(tf_keras.initializers.Zeros):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return sprung


def as_layer(config: Any) -> None:
    entry(config, "middle").update(module="trap_module", class_name="Trap", registered_name="Trap")


def as_initializer(config: Any) -> None:
    entry(config, "first")["config"]["kernel_initializer"].update(module="trap_module", class_name="Init")


def as_function(config: Any) -> None:
    entry(config, "first")["config"]["activation"] = {
        "module": "trap_module", "class_name": "function", "config": "Trap", "registered_name": "function",
    }  # fmt: skip


def as_root(config: Any) -> None:
    config.update(module="trap_module", class_name="Trap")


def as_call_argument(config: Any) -> None:
    entry(config, "middle")["inbound_nodes"][0][0][3] = {"x": {"module": "trap_module", "class_name": "Trap", "config": {}}}


@SUFFIXES
@pytest.mark.parametrize(
    ("change", "owner"),
    [
        (as_layer, "layer 'middle'"),
        (as_initializer, "layer 'first'"),
        (as_function, "layer 'first'"),
        (as_root, "the model"),
        (as_call_argument, "layer 'middle'"),
    ],
)
def test_no_module_that_the_file_names_is_imported(
    tmp_path: Path, trap: Path, suffix: str, change: Callable[[Any], None], owner: str
) -> None:
    path = configure(save(small(L.ReLU(name="middle")), tmp_path / f"m{suffix}"), change)
    with pytest.raises(ModelError, match=f"{owner} uses '.*' from trap_module.*could run code. .*--trust"):
        read_keras_file(path)
    assert not trap.exists()


def test_the_trap_is_one(tmp_path: Path, trap: Path) -> None:
    path = configure(save(small(L.ReLU(name="middle")), tmp_path / "m.keras"), as_root)
    with pytest.raises(ModelError):
        read_keras_file(path, trust=True)
    assert trap.exists()


@SUFFIXES
def test_lambda_layers_need_trust(tmp_path: Path, suffix: str) -> None:
    path = save(small(L.Lambda(lambda x: x + 1, name="sly")), tmp_path / f"m{suffix}")
    with pytest.raises(ModelError, match=r"layer 'sly' uses 'Lambda'.*Python code inside the file.*--trust") as refusal:
        read_keras_file(path)
    assert str(path) in str(refusal.value)
    assert read_keras_file(path, trust=True).get_layer("sly")(np.float32(1)) == 2


@SUFFIXES
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda x: x**3.0, "layer '.*pow.*' uses 'TFOpLambda'.*calls a TensorFlow function by name that is no known layer"),
        (lambda x: x[:, 1:], "layer '.*' uses 'SlicingOpLambda'"),
        (L.UnitNormalization(name="unit"), "layer 'unit' uses 'UnitNormalization'.*not one of Keras' layers that can"),
        (tf_keras.Sequential([L.Lambda(lambda x: x, name="deep")], name="inner"), "layer 'deep' uses 'Lambda'"),
    ],
)
def test_functions_and_unknown_layers_are_refused(tmp_path: Path, suffix: str, layer: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_keras_file(save(small(layer), tmp_path / f"m{suffix}"))


@SUFFIXES
def test_registered_classes_are_refused_even_in_a_known_name(tmp_path: Path, suffix: str) -> None:
    def change(config: Any) -> None:
        entry(config, "middle")["registered_name"] = "somebody>ReLU"

    path = configure(save(small(L.ReLU(name="middle")), tmp_path / f"m{suffix}"), change)
    with pytest.raises(ModelError, match=r"layer 'middle' .*registered as 'somebody>ReLU'"):
        read_keras_file(path)


def whole(tmp_path: Path, suffix: str) -> bytes:
    return save(small(), tmp_path / f"whole{suffix}").read_bytes()


@SUFFIXES
@pytest.mark.parametrize("part", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, part: float) -> None:
    data = whole(tmp_path, suffix)
    path = tmp_path / f"m{suffix}"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ModelError, match=r"m\.(keras|h5) is (truncated|damaged)"):
        read_keras_file(path)


def zip_of(**members: bytes) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return memory.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "m.keras is empty"),
        (b"not a model at all", "m.keras is not a Keras file"),
        (pickle.dumps({"model": 1}), "m.keras is not a Keras file"),
        (zip_of(data=b"x"), "m.keras is a zip archive without config.json"),
        (zip_of(**{"config.json": b"{", "metadata.json": b"{}"}), "m.keras is damaged"),
        (zip_of(**{"config.json": b"[]", "metadata.json": b"{}"}), "m.keras does not describe a Keras model"),
        (
            zip_of(**{"config.json": b'{"class_name": "X", "config": {}}', "metadata.json": b"{}"}),
            "m.keras: the model uses 'X'",
        ),
    ],
)
def test_what_is_no_keras_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=message):
        read_keras_file(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.keras does not exist"):
        read_keras_file(tmp_path / "none.keras")
    with pytest.raises(ModelError, match="is a folder, not a Keras file"):
        read_keras_file(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelError, match=r"is a SavedModel folder.*one \.keras file"):
        read_keras_file(tmp_path)


def test_weights_alone_are_refused(tmp_path: Path) -> None:
    small().save_weights(tmp_path / "w.h5")
    with pytest.raises(ModelError, match=r"w\.h5 holds weights but no model.*not model\.save_weights"):
        read_keras_file(tmp_path / "w.h5")


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    def change(config: Any) -> None:
        entry(config, "first")["config"]["filters"] = 5

    for suffix in (".keras", ".h5"):
        path = configure(save(small(), tmp_path / f"m{suffix}"), change)
        with pytest.raises(ModelError, match=f"m{suffix} describes a model of 76 weights and holds 46 numbers"):
            read_keras_file(path)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(save(small(), tmp_path / "m.keras")) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    bomb = pack(tmp_path / "bomb.keras", {**members, name: bytes(65 * 2**20)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 2**20
    with pytest.raises(ModelError, match=f"{name} would unpack to 65 MiB"):
        read_keras_file(bomb)


def test_members_with_paths_of_their_own_are_never_written(tmp_path: Path) -> None:
    model = small()
    with zipfile.ZipFile(save(model, tmp_path / "m.keras")) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    path = pack(tmp_path / "p.keras", {**members, "../escaped.txt": b"x", "assets/../../escaped.txt": b"x"})
    before = set(tmp_path.parent.rglob("escaped.txt"))
    assert_same(read_keras_file(path), model)
    assert set(tmp_path.parent.rglob("escaped.txt")) == before == set()


@SUFFIXES
def test_another_modules_class_under_an_alias_is_still_custom_code(tmp_path: Path, trap: Path, suffix: str) -> None:
    def change(config: Any) -> None:
        entry(config, "norm").update(module="trap_module", class_name="BatchNormalizationV1")

    path = configure(save(small(), tmp_path / f"m{suffix}"), change)
    with pytest.raises(ModelError, match="layer 'norm' uses 'BatchNormalizationV1' from trap_module, which is custom code"):
        read_keras_file(path)
    assert not trap.exists()
