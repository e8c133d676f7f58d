"""An ONNX file that reaches out of itself, or computes endless constants, is refused before ONNX Runtime loads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.support.small_artifacts import Zoo
from u3p_edge.errors import ModelError
from u3p_edge.files.onnx_check import check_onnx_content
from u3p_edge.runtime import open_session

KINDS = ("float32.onnx", "int8.onnx", "float-io.onnx")


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_files_are_accepted(zoo: Zoo, kind: str) -> None:
    check_onnx_content(memoryview(zoo.path(kind).read_bytes()), 64)


def external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"


def unmarked_external(model: Any) -> None:
    external(model)
    model.graph.initializer[0].ClearField("data_location")


def branch(model: Any) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("If", ["image"], ["other"], then_branch=body, else_branch=body))


def function(model: Any) -> None:
    model.functions.append(helper.make_function("ai.onnx", "F", ["x"], ["y"], [], model.opset_import))


def other_maker(model: Any) -> None:
    model.graph.node[0].domain = "com.example"


def sparse(model: Any) -> None:
    value = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(value, indices, [2**40]))


def larger_than_its_bytes(model: Any) -> None:
    model.graph.initializer[0].dims[0] = 2**30


def negative(model: Any) -> None:
    model.graph.initializer[0].dims[0] = -1


def filled(model: Any) -> None:
    model.graph.initializer.append(helper.make_tensor("size", TensorProto.INT64, [1], [2**33]))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["filled"]))


def doubled(model: Any) -> None:
    model.graph.initializer.append(helper.make_tensor("d0", TensorProto.FLOAT, [1], [1.0]))
    for index in range(40):
        model.graph.node.append(helper.make_node("Concat", [f"d{index}"] * 2, [f"d{index + 1}"], axis=0))


REFUSED: dict[str, tuple[Callable[[Any], None], str]] = {
    "data of another file": (external, "keeps its constants in another file"),
    "data of another file, unmarked": (unmarked_external, "keeps its constants in another file"),
    "a branch": (branch, "holds a nested graph"),
    "a function": (function, "holds functions"),
    "an operator of another maker": (other_maker, "is not run here"),
    "sparse constants": (sparse, "sparse"),
    "a constant larger than its bytes": (larger_than_its_bytes, "is larger than what the file holds of it"),
    "a constant of negative size": (negative, "is larger than what the file holds of it"),
    "a constant filled in": (filled, "computes a constant of unknown or too large a size"),
    "a constant doubled again and again": (doubled, "computes a constant of unknown or too large a size"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_onnx_runtime_would_follow_is_refused(zoo: Zoo, tmp_path: Path, name: str) -> None:
    change, reason = REFUSED[name]
    model = onnx.load(str(zoo.path("float32.onnx")), load_external_data=False)
    change(model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=rf"model\.onnx cannot be used: .*{reason}"):
        open_session(path)


def test_a_run_ends_at_the_memory_that_is_allowed(zoo: Zoo) -> None:
    """One MB does not hold the network's maps: 48x64x16 floats, of which several are alive, are 0.2 MB each."""
    image = np.zeros((48, 64, 1), np.float32)
    with pytest.raises(ModelError, match=r"ONNX Runtime .*\(.*[Mm]emory"):
        open_session(zoo.path("float32.onnx"), max_memory_mb=0.1).run(image)
    assert open_session(zoo.path("float32.onnx"), max_memory_mb=64).run(image).shape == (48, 64, 3)
