"""One contract for every runtime: the same image gives the same map, and what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.small_artifacts import SHAPE, Zoo, picture, truth
from u3p_edge.conversion.tflite.schema import parse_tflite
from u3p_edge.errors import DataError
from u3p_edge.runtime import Session, open_session

FILES = ("float32.tflite", "float16.tflite", "int8.tflite", "float-io.tflite", "float32.onnx", "int8.onnx", "float-io.onnx")
KINDS = ("keras", *FILES)


def session(zoo: Zoo, kind: str) -> Session:
    if kind == "keras":
        from u3p_edge.runtime.keras import keras_session

        return keras_session(zoo.model, zoo.metadata)
    return open_session(zoo.path(kind))


@pytest.mark.parametrize("kind", ["keras", "float32.tflite", "float32.onnx"])
def test_a_float_session_gives_the_float_models_map(zoo: Zoo, kind: str) -> None:
    image = picture(11)
    expected = zoo.model(image[None]).numpy()[0]
    actual = session(zoo, kind).run(image)
    assert actual.dtype == np.float32
    assert actual.shape == (48, 64, 3)
    # Runtimes add the same products in another order. The longest sum has 73 terms, so a value may be off by 73 * 2^-24
    # of its size; over three convolutions of values below 32 that is 3 * 32 * 73 * 2^-24 = 4e-4 of a logit, and a
    # probability changes by at most a quarter of its logit's change.
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["int8.tflite", "int8.onnx", "float-io.tflite", "float-io.onnx"])
def test_an_int8_session_stays_within_its_steps_of_the_float_model(zoo: Zoo, kind: str) -> None:
    image = picture(11)
    expected = zoo.model(image[None]).numpy()[0]
    actual = session(zoo, kind).run(image)
    assert actual.dtype == np.float32
    assert actual.shape == (48, 64, 3)
    # Where the softmax is saturated (nearly everywhere on a trained map) its slope is nil and only the rounding of the
    # output to 1/256 is left, half a step at most; the few pixels on an outline may be off by more. Their mean stays
    # below one step. A wrong scale, zero point or layout is off by tens of steps.
    assert np.abs(actual - expected).mean() < 1 / 256
    # For the same reason only pixels on an outline may change their label: the outlines here are about 150 of the 3072
    # pixels, and a fifth of those is 1 %.
    assert (actual.argmax(-1) == expected.argmax(-1)).mean() > 0.99


def test_float16_weights_change_little(zoo: Zoo) -> None:
    # A weight loses 2^-11 of its size at most. Logits are below 32 in size, three layers deep: 3 * 32 * 2^-11 = 0.05, of
    # which a probability takes a quarter.
    actual = session(zoo, "float16.tflite").run(picture(11))
    np.testing.assert_allclose(actual, zoo.model(picture(11)[None]).numpy()[0], rtol=0, atol=0.05 / 4)


def test_the_network_of_this_suite_segments(zoo: Zoo) -> None:
    # Without this a flat map would pass the tests above.
    assert (session(zoo, "keras").run(picture(11)).argmax(-1) == truth(11)).mean() > 0.97


def test_both_int8_files_are_one_integer_network(zoo: Zoo) -> None:
    tflite, onnx = (session(zoo, kind).run(picture(5)) for kind in ("int8.tflite", "int8.onnx"))
    graph = parse_tflite(zoo.path("int8.tflite").read_bytes())
    step = max(float(graph.tensors[op.outputs[0]].scale[0]) for op in graph.operators if op.code == "CONV_2D")
    # The same integers go in. A tie may round differently, by one step of a logit, up in one and down in another; a
    # probability's slope is a quarter at most, and its own rounding adds one output step.
    assert np.abs(tflite - onnx).max() <= 2 * step / 4 + 1 / 256
    assert (tflite != onnx).mean() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_it_is(zoo: Zoo, kind: str) -> None:
    s = session(zoo, kind)
    number, _, suffix = kind.partition(".")
    assert s.format == ("keras-float32" if kind == "keras" else f"{suffix}-{number.replace('float-io', 'int8')}")
    assert s.name == ("float model" if kind == "keras" else f"model.{kind}")
    assert s.metadata == zoo.metadata
    assert s.input_shape == SHAPE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(48, 48, 1), (48, 64, 3), (64, 48, 1), (48, 64), (1, 48, 64, 1)])
def test_an_image_of_another_shape_is_refused(zoo: Zoo, kind: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"does not fit .* which takes 48x64x1"):
        session(zoo, kind).run(np.zeros(shape, np.float32))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused(zoo: Zoo, kind: str, bad: float) -> None:
    image = picture()
    image[4, 5, 0] = bad
    with pytest.raises(DataError, match="NaN or infinite"):
        session(zoo, kind).prepare(image)


@pytest.mark.parametrize("kind", KINDS)
def test_the_image_is_left_as_it_was(zoo: Zoo, kind: str) -> None:
    image = picture()
    before = image.copy()
    image.flags.writeable = False
    session(zoo, kind).run(image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_outlives_the_next_image(zoo: Zoo, kind: str) -> None:
    s = session(zoo, kind)
    first = s.run(picture(0))
    kept = first.copy()
    s.run(picture(1))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prepared_call_can_be_repeated(zoo: Zoo, kind: str) -> None:
    s = session(zoo, kind)
    expected = s.run(picture(2))
    invoke = s.prepare(picture(1))
    for _ in range(3):
        invoke()
    # and it leaves nothing behind that the next run would see
    np.testing.assert_array_equal(s.run(picture(2)), expected)


@pytest.mark.parametrize("kind", FILES)
def test_threads_do_not_change_the_map(zoo: Zoo, kind: str) -> None:
    one, two = (open_session(zoo.path(kind), threads=n) for n in (1, 2))
    assert (one.threads, two.threads) == (1, 2)
    # Tiles are split by rows and channels, never inside a sum; allow a few float32 units of a value below 1.
    np.testing.assert_allclose(one.run(picture()), two.run(picture()), rtol=0, atol=1e-6)
