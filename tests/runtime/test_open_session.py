"""What is not a model of ours ends in one clear sentence."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.missing_packages import NOT_ON_A_DEVICE, run_without
from tests.support.small_artifacts import Zoo
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.tflite import schema
from u3p_edge.conversion.tflite.pack import pack
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.runtime import open_session

FILES = ("float32.tflite", "int8.tflite", "float32.onnx", "int8.onnx")


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("part", [0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(zoo: Zoo, tmp_path: Path, kind: str, part: float) -> None:
    data = zoo.path(kind).read_bytes()
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(data[: max(1, int(len(data) * part))])
    with pytest.raises(ModelError, match=r"cut\."):
        open_session(path)


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
@pytest.mark.parametrize("data", [b"", b"no model at all", b"\x00" * 4096, b"\x1c\x00\x00\x00TFL3" + b"\xff" * 64])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="model"):
        open_session(path)


def test_a_file_whose_operators_cannot_run_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    """Maps joined along a tenth axis."""
    file = schema.parse_tflite(zoo.path("float32.tflite").read_bytes())
    operators = tuple(
        replace(op, options={**op.options, "axis": 9}) if op.code == "CONCATENATION" else op for op in file.operators
    )
    height, width = file.tensors[file.inputs[0]].shape[1:3]
    path = tmp_path / "wide.tflite"
    path.write_bytes(pack(replace(file, operators=operators), default_metadata(Preprocessing(height, width), 2)))
    with pytest.raises(ModelError, match=r"wide\.tflite cannot be used: .*its axis 9 is not one of 4"):
        open_session(path)


@pytest.mark.parametrize("name", ["absent.tflite", "absent.onnx"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=f"{name} does not exist"):
        open_session(tmp_path / name)


def test_a_folder_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "run.tflite").mkdir()
    with pytest.raises(ModelError, match="is a folder"):
        open_session(tmp_path / "run.tflite")


@settings(deadline=None)  # the machine is shared
@given(suffix=st.text("abcdefgh5.", max_size=6))
def test_only_two_suffixes_are_read(suffix: str) -> None:
    with pytest.raises(ModelError, match=r"is not a \.tflite or \.onnx file"):
        open_session(Path(f"model.{suffix}.h5"))


def test_a_model_without_our_metadata_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    import onnx

    with pytest.raises(ModelError, match="no u3p_edge metadata"):
        open_session(zoo.folder / "plain.tflite")
    proto = onnx.load(str(zoo.path("float32.onnx")))
    del proto.metadata_props[:]
    onnx.save(proto, str(tmp_path / "plain.onnx"))
    with pytest.raises(ModelError, match="no u3p_edge metadata"):
        open_session(tmp_path / "plain.onnx")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"preprocessing": 3}'])
def test_damaged_metadata_is_refused(zoo: Zoo, tmp_path: Path, text: str) -> None:
    import onnx

    proto = onnx.load(str(zoo.path("float32.onnx")))
    proto.metadata_props[0].value = text
    onnx.save(proto, str(tmp_path / "odd.onnx"))
    with pytest.raises(ModelError, match=r"metadata in .*odd\.onnx"):
        open_session(tmp_path / "odd.onnx")


def test_metadata_that_does_not_fit_the_tensors_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    from dataclasses import replace

    from u3p_edge.conversion.tflite.schema import add_metadata

    taller = replace(zoo.metadata, preprocessing=replace(zoo.metadata.preprocessing, height=64))
    path = tmp_path / "taller.tflite"
    path.write_bytes(add_metadata(zoo.path("float32.tflite").read_bytes(), taller))
    with pytest.raises(ModelError, match=r"input `image` .* \[1, 48, 64, 1\], but its metadata says \[1, 64, 64, 1\]"):
        open_session(path)


def test_an_int8_onnx_file_without_its_scales_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    import onnx

    proto = onnx.load(str(zoo.path("int8.onnx")))
    kept = [p for p in proto.metadata_props if p.key != "u3p_edge.quantization"]
    del proto.metadata_props[:]
    proto.metadata_props.extend(kept)
    onnx.save(proto, str(tmp_path / "noscale.onnx"))
    with pytest.raises(ModelError, match="without a scale from u3p_edge"):
        open_session(tmp_path / "noscale.onnx")


def test_a_runtime_can_be_named(zoo: Zoo) -> None:
    assert open_session(zoo.path("int8.onnx"), runtime="onnx").format == "onnx-int8"
    with pytest.raises(ConfigError, match=r"no runtime 'abacus'. Use one of: tflite, onnx, openvino"):
        open_session(zoo.path("int8.onnx"), runtime="abacus")
    with pytest.raises(ModelError, match=r"is not a \.onnx file"):
        open_session(zoo.path("int8.tflite"), runtime="openvino")


def test_no_threads_is_a_mistake(zoo: Zoo) -> None:
    with pytest.raises(ConfigError, match="0 threads"):
        open_session(zoo.path("int8.tflite"), threads=0)


SESSION = """
import numpy as np
from u3p_edge.runtime import open_session
session = open_session({path!r})
print(session.run(np.zeros(session.input_shape, np.float32)).shape)
"""


def run_blocked(path: Path, blocked: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return run_without(blocked, SESSION.format(path=str(path)))


@pytest.mark.parametrize(("kind", "runtime"), [("int8.tflite", "ai_edge_litert"), ("int8.onnx", "onnxruntime")])
def test_a_runtime_needs_neither_tensorflow_nor_the_other_runtime(zoo: Zoo, kind: str, runtime: str) -> None:
    others = {*NOT_ON_A_DEVICE, "ai_edge_litert"} - {runtime}
    done = run_blocked(zoo.path(kind), tuple(others))
    assert done.stdout.strip() == "(48, 64, 3)"
    assert done.stderr == "", "nothing of the runtime's own may reach the terminal"


@pytest.mark.parametrize(
    ("kind", "module", "requirement"),
    [("int8.tflite", "ai_edge_litert", "u3p-edge"), ("int8.onnx", "onnxruntime", "'u3p-edge[onnx]'")],
)
def test_a_missing_runtime_names_what_installs_it(zoo: Zoo, kind: str, module: str, requirement: str) -> None:
    done = run_blocked(zoo.path(kind), (module,))
    assert f"MissingPackageError: {'LiteRT' if 'lite' in kind else 'ONNX Runtime'} is not installed" in done.stderr
    assert f"python -m pip install {requirement}" in done.stderr
