"""OpenVINO reads our ONNX files as ONNX Runtime does, and says what it cannot read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.missing_packages import run_without
from tests.support.small_artifacts import SHAPE, Zoo, picture
from u3p_edge.conversion.tflite.schema import parse_tflite
from u3p_edge.errors import DataError, ModelError
from u3p_edge.runtime import open_session
from u3p_edge.runtime.openvino import open_file as open_openvino

pytest.importorskip("openvino")

KINDS = ("float32.onnx", "int8.onnx", "float-io.onnx")


def test_a_float_file_gives_what_onnx_runtime_gives(zoo: Zoo) -> None:
    path, image = zoo.path("float32.onnx"), picture(11)
    actual = open_openvino(path).run(image)
    assert (actual.dtype, actual.shape) == (np.float32, (48, 64, 3))
    # As between a runtime and Keras (test_sessions): sums of 73 terms in another order, over three convolutions of values
    # below 32, are 3 * 32 * 73 * 2^-24 = 4e-4 of a logit and a quarter of it of a probability.
    np.testing.assert_allclose(actual, open_session(path).run(image), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["int8.onnx", "float-io.onnx"])
def test_an_int8_file_gives_what_onnx_runtime_gives(zoo: Zoo, kind: str) -> None:
    image = picture(11)
    actual, expected = (opened(zoo.path(kind)).run(image) for opened in (open_openvino, open_session))
    graph = parse_tflite(zoo.path("int8.tflite").read_bytes())
    step = max(float(graph.tensors[op.outputs[0]].scale[0]) for op in graph.operators if op.code == "CONV_2D")
    # OpenVINO may keep floats between integer kernels where ONNX Runtime rounds: a map in between is off by a step or two,
    # which a probability takes a quarter of, and its own rounding adds one step. Few places are on such a slope.
    assert np.abs(actual - expected).max() <= 3 * step / 4 + 1 / 256
    assert np.abs(actual - expected).mean() < 1 / 256
    assert (actual.argmax(-1) == expected.argmax(-1)).mean() > 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_it_is(zoo: Zoo, kind: str) -> None:
    session = open_openvino(zoo.path(kind), threads=2)
    assert session.format == ("openvino-float32" if kind == "float32.onnx" else "openvino-int8")
    assert (session.name, session.metadata, session.threads) == (f"model.{kind}", zoo.metadata, 2)
    assert session.input_shape == SHAPE


@pytest.mark.parametrize("kind", KINDS)
def test_a_prepared_call_can_be_repeated_and_maps_outlive_it(zoo: Zoo, kind: str) -> None:
    session = open_openvino(zoo.path(kind))
    expected = session.run(picture(2))
    kept = expected.copy()
    invoke = session.prepare(picture(1))
    for _ in range(3):
        invoke()
    np.testing.assert_array_equal(expected, kept)
    np.testing.assert_array_equal(session.run(picture(2)), expected)


def test_an_image_that_does_not_fit_is_refused(zoo: Zoo) -> None:
    session = open_openvino(zoo.path("int8.onnx"))
    with pytest.raises(DataError, match="which takes 48x64x1"):
        session.run(np.zeros((48, 48, 1), np.float32))
    with pytest.raises(DataError, match="NaN or infinite"):
        session.prepare(np.full(SHAPE, np.nan, np.float32))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.onnx does not exist"):
        open_openvino(tmp_path / "absent.onnx")
    with pytest.raises(ModelError, match="is a folder"):
        open_openvino(tmp_path)


@pytest.mark.parametrize("part", [0.001, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["float32.onnx", "int8.onnx"])
def test_a_truncated_file_is_refused(zoo: Zoo, tmp_path: Path, kind: str, part: float) -> None:
    data = zoo.path(kind).read_bytes()
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(data[: max(1, int(len(data) * part))])
    with pytest.raises(ModelError, match=r"cut\..* is not an ONNX file"):
        open_openvino(path)


def test_what_is_not_ours_or_lost_its_scales_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "odd.onnx"
    proto = onnx.load(str(zoo.path("int8.onnx")))
    mine = [entry for entry in proto.metadata_props if entry.key != "u3p_edge.quantization"]
    for kept, text in ((mine, "`image` of .* is int8 without a scale from u3p_edge"), ([], "no u3p_edge metadata")):
        del proto.metadata_props[:]
        proto.metadata_props.extend(kept)
        onnx.save(proto, str(path))
        with pytest.raises(ModelError, match=text):
            open_openvino(path)


def test_a_graph_that_openvino_cannot_run_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    import onnx

    proto = onnx.load(str(zoo.path("float32.onnx")))
    next(node for node in proto.graph.node if node.op_type == "Conv").op_type = "NoSuchOperator"
    onnx.save(proto, str(tmp_path / "odd.onnx"))
    with pytest.raises(ModelError, match=r"OpenVINO cannot run .*odd\.onnx \(.+\)"):
        open_openvino(tmp_path / "odd.onnx")


def test_it_needs_no_tensorflow_and_names_what_is_missing(zoo: Zoo) -> None:
    code = f"""
from pathlib import Path
import numpy as np
from u3p_edge.runtime.openvino import open_file as open_openvino
session = open_openvino(Path({str(zoo.path("int8.onnx"))!r}))
print(session.run(np.zeros(session.input_shape, np.float32)).shape)
"""
    done = run_without(("tensorflow", "tf_keras", "keras", "onnxruntime", "ai_edge_litert"), code)
    assert done.stdout.strip() == "(48, 64, 3)", done.stderr
    done = run_without(("openvino",), code)
    assert "MissingPackageError: OpenVINO is not installed" in done.stderr
    assert "python -m pip install 'u3p-edge[openvino]'" in done.stderr
