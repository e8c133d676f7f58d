"""Files of Keras 3 give the model that Keras 3 computes, without Keras 3; what is no such file is refused in one sentence."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import u3p_edge as u3p
from tests.support.keras_files import pack
from tests.support.paths import REPOSITORY
from u3p_edge.errors import ModelError
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.graph.reference import run
from u3p_edge.models.keras_file import read_keras_file

FILES = REPOSITORY / "tests" / "models" / "data"
FUNCTIONAL = "keras3_functional"
EPS = float(np.finfo(np.float32).eps)
TERMS, LAYERS = 9 * 16 + 1, 8
"""Products in the longest sum, and layers in a row; probabilities are at most 1."""
TOLERANCE = TERMS * LAYERS * EPS


@pytest.mark.parametrize(
    "file",
    [f"{FUNCTIONAL}.keras", f"{FUNCTIONAL}.h5", f"{FUNCTIONAL}.weights.h5", "keras3_sequential.keras", "keras3_nested.keras"],
)
def test_a_model_computes_what_keras_3_computes(file: str) -> None:
    with np.load(FILES / f"{file.partition('.')[0]}.npz") as values:
        image, expected = values["image"], values["output"]
    model = read_keras_file(FILES / file)
    np.testing.assert_allclose(model(image), expected, rtol=0, atol=TOLERANCE)
    assert expected.std() > 10 * TOLERANCE, "a flat map compares nothing"
    graph = from_keras(model)
    (result,) = run(graph, {graph.inputs[0]: image}).values()
    np.testing.assert_allclose(result, expected, rtol=0, atol=TOLERANCE)


def test_a_model_inside_a_model_becomes_its_nodes() -> None:
    graph = from_keras(read_keras_file(FILES / "keras3_nested.keras"))
    assert {"encoder.half", "encoder.same"} <= {node.name for node in graph.nodes}
    assert not [node for node in graph.nodes if node.op == "input" and node.name not in graph.inputs]


def test_a_keras_3_file_becomes_an_int8_file(tmp_path: Path) -> None:
    source = u3p.load(FILES / f"{FUNCTIONAL}.keras")
    assert source.metadata.preprocessing.std == (255.0,), "the network divides its pixels by 255 first"
    with np.load(FILES / f"{FUNCTIONAL}.npz") as values:
        image, expected = values["image"] / 255, values["output"][0]
    path = u3p.write_tflite(u3p.quantize(source.graph, image), tmp_path / "m.tflite", source.metadata)
    result = u3p.open_session(path).run(image[0])
    # Some ten layers of 8 bits each: a network that was mixed up would not follow at all.
    assert expected.var() > 10 * np.mean((result - expected) ** 2)


def changed(path: Path, change: Callable[[Any], None], name: str = FUNCTIONAL) -> Path:
    """A kept file with its config changed as by hand."""
    with zipfile.ZipFile(FILES / f"{name}.keras") as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    return pack(path, {**members, "config.json": json.dumps(config).encode()})


def layer(config: Any, name: str) -> Any:
    return next(each for each in config["config"]["layers"] if each["config"]["name"] == name)


def test_mixed_precision_is_read_as_float32(tmp_path: Path) -> None:
    def change(config: Any) -> None:
        layer(config, "mask")["config"]["dtype"]["config"]["name"] = "mixed_float16"

    model = read_keras_file(changed(tmp_path / "m.keras", change))
    assert model.get_layer("mask").compute_dtype == "float32"


def custom(config: Any) -> None:
    layer(config, "third").update(module="somebody", class_name="Mine", registered_name="somebody>Mine")


def function(config: Any) -> None:
    layer(config, "relu").update(class_name="Cumsum", registered_name="Cumsum")


def lambda_layer(config: Any) -> None:
    layer(config, "max_pooling2d").update(
        class_name="Lambda", config={"name": "max_pooling2d", "function": "x", "dtype": "float32"}
    )


def hard(config: Any) -> None:
    layer(config, "mask")["config"]["activation"] = "hard_sigmoid"


def quantized(config: Any) -> None:
    layer(config, "mask")["config"]["dtype"] = {"class_name": "QuantizedDTypePolicy", "config": {"name": "int8_from_float32"}}


def wider(config: Any) -> None:
    layer(config, "mask")["config"]["filters"] = 2


def no_layer(config: Any) -> None:
    layer(config, "a_second")["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0] = "nothing"


def no_history(config: Any) -> None:
    layer(config, "a_second")["inbound_nodes"][0]["args"][0]["config"] = 7


def with_mask(config: Any) -> None:
    layer(config, "a_second")["inbound_nodes"][0]["args"].append(3.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (custom, "layer 'third' uses 'Mine' from somebody, which is custom code"),
        (function, "layer 'relu' uses 'Cumsum' from keras.src.ops.nn, which is not one of Keras' layers"),
        (lambda_layer, "layer 'max_pooling2d' uses 'Lambda'.*Python code inside the file"),
        (hard, "layer 'mask' has the activation 'hard_sigmoid', which a graph has no form for"),
        (quantized, "layer 'mask' is quantized already"),
        (wider, r"a weight of layer 'mask' has the shape \[1, 1, 8, 3\] in place of \[1, 1, 8, 2\]"),
        (no_layer, "layer 'a_second' reads the layer 'nothing', which does not exist"),
        (no_history, "does not describe its layers as Keras 3 does"),
        (with_mask, "layer 'a_second' is called with more than the maps that it reads"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_keras_file(changed(tmp_path / "m.keras", change))


def test_a_model_called_without_end_is_refused(tmp_path: Path) -> None:
    """Keras would wait for call 1 of the model for ever."""

    def change(config: Any) -> None:
        for entry in config["config"]["layers"]:
            if entry["config"]["name"] == "up":
                entry["inbound_nodes"][0]["args"][0]["config"]["keras_history"][1] = 1

    with pytest.raises(ModelError, match="reads the layer 'encoder', which does not exist"):
        read_keras_file(changed(tmp_path / "m.keras", change, "keras3_nested"))


def test_a_missing_weight_names_its_layer(tmp_path: Path) -> None:
    path = tmp_path / f"{FUNCTIONAL}.weights.h5"
    shutil.copy(FILES / path.name, path)
    with pytest.raises(ModelError, match=r"holds weights but no model.*as NAME\.json for NAME\.weights\.h5"):
        read_keras_file(path)
    shutil.copy(FILES / f"{FUNCTIONAL}.json", tmp_path)
    with h5py.File(path, "r+") as file:
        del file["layers/conv2d_1/vars/0"]
        file["unused"] = np.zeros(1000, np.float32)  # as many numbers as before
    with pytest.raises(ModelError, match=r"holds no layers/conv2d_1/vars/0, a weight of layer 'a_second'"):
        read_keras_file(path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    data = (FILES / f"{FUNCTIONAL}.keras").read_bytes()
    path = tmp_path / "m.keras"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=r"m\.keras is (truncated|damaged)"):
        read_keras_file(path)


def test_trust_runs_nothing_of_keras_3(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="uses 'Lambda'"):
        read_keras_file(changed(tmp_path / "m.keras", lambda_layer), trust=True)
