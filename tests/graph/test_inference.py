"""From a trained model of any shape of outputs to one image in, one mask out."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.article_model import Builder
from tests.support.slow import mark_slow
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.graph.inference import Inference, inference_graph, is_multi_label
from u3p_edge.graph.ir import Graph, Node, rename
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.models.config import preset
from u3p_edge.models.unet3plus import build

L = tf_keras.layers
Array = np.ndarray[Any, Any]
EPS = float(np.finfo(np.float32).eps)


def images(model: tf_keras.Model) -> Array:
    return np.random.default_rng(1).normal(size=(2, *model.input_shape[1:])).astype(np.float32)


def run(model: tf_keras.Model, batch: Array) -> list[Array]:
    outputs = model(batch, training=False)
    return [np.asarray(x) for x in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def assert_plain(result: Inference) -> tf_keras.Model:
    """One image in, one mask out, nothing dead and nothing of training; the Keras model says so too."""
    graph = result.graph
    assert graph.inputs == ("image",)
    assert graph.outputs == ("mask",)
    readers = graph.consumers
    assert [name for name, found in readers.items() if not found] == ["mask"]
    assert not any(node.kind.is_identity for node in graph.nodes)
    model = to_keras(graph)
    assert model.input_names == ["image"]
    assert model.output_names == ["mask"]
    return model


ARTICLE: list[dict[str, Any]] = [
    {},
    {"using_cgm": True, "class_num": 3, "use_residual": True, "double_features": True},
    {"using_cgm": True, "using_deep_supervision": False, "norm_type": None, "down_pattern": "conv"},
    {"norm_type": "layer", "down_pattern": "normconv", "use_residual": True, "using_cgm": True},
]


# Our own model below has the gate too.
@pytest.mark.parametrize("options", mark_slow(ARTICLE, ARTICLE[1:]), ids=str)
def test_the_articles_models_become_one_gated_mask(article_builder: Builder, options: dict[str, Any]) -> None:
    model = article_builder((48, 64, 1), initial_features=4, **options)
    result = inference_graph(from_keras(model))
    batch = images(model)
    expected = run(model, batch)
    gate = expected[-1][:, None, None, :] if options.get("using_cgm") else np.float32(1)
    (found,) = run(assert_plain(result), batch)
    # The same ops on the same weights in the same order, then one product of numbers of at most 1: half an eps of
    # rounding in each of mask, gate and product.
    np.testing.assert_allclose(found, expected[0] * gate, rtol=0, atol=1.5 * EPS)
    assert result.mask == model.output_names[0]
    assert result.gate == ("cgm_output" if options.get("using_cgm") else None)
    assert set(result.dropped) == set(model.output_names) - {result.mask, result.gate}
    assert not result.activation_added


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_mask_is_found_in_any_order_under_any_name(article_builder: Builder, data: st.DataObject) -> None:
    graph = article_graph(article_builder)
    order = data.draw(st.permutations(graph.outputs))
    anonymous = {node.name: f"n{i}" for i, node in enumerate(graph.nodes)}
    hidden = rename(Graph(graph.nodes, graph.inputs, tuple(order)), anonymous)
    result = inference_graph(hidden)
    assert result.mask == anonymous["output_de1"]
    assert result.gate == anonymous["cgm_output"]


@functools.cache  # building is slow, graphs are values
def article_graph(builder: Builder) -> Graph:
    return from_keras(builder((32, 32, 1), initial_features=1, class_num=3, using_cgm=True))


OWN: list[Any] = [
    pytest.param("article", {"cgm": True, "classes": 3}, marks=pytest.mark.slow),
    ("paper", {"deep_supervision": True, "classes": 4, "cgm": True}),
]


@pytest.mark.parametrize(("name", "options"), OWN, ids=str)
def test_our_own_models_become_one_gated_mask(name: str, options: dict[str, Any]) -> None:
    model = build(preset(name, input_shape=(32, 48, 1), base_width=4, **options))
    result = inference_graph(from_keras(model))
    batch = images(model)
    expected = run(model, batch)
    gate = expected[-1][:, None, None, :] if options.get("cgm") else np.float32(1)
    (found,) = run(assert_plain(result), batch)
    np.testing.assert_allclose(found, expected[0] * gate, rtol=0, atol=1.5 * EPS)  # as above


def test_of_the_papers_two_gate_units_the_present_one_is_kept() -> None:
    model = build(preset("paper", input_shape=(32, 32, 1), base_width=4, cgm=True))
    result = inference_graph(from_keras(model))
    assert result.graph["cgm_conv"].weights["kernel"].shape[-1] == 1
    batch = images(model)
    mask, gate = run(model, batch)
    (found,) = run(assert_plain(result), batch)
    # A narrower product may sum its C terms in another order: the logit is off by at most C * eps * sum |w x|, and the
    # sigmoid passes at most a quarter of it; then the roundings of above.
    deepest = tf_keras.Model(model.input, model.get_layer("cgm_conv").input)(batch).numpy()
    size = float((np.abs(deepest) @ np.abs(model.get_layer("cgm_conv").kernel.numpy()[0, 0])).max())
    tolerance = 0.25 * deepest.shape[-1] * EPS * size + 1.5 * EPS
    assert tolerance < 1e-3
    np.testing.assert_allclose(found, mask * gate[:, None, None, 1:], rtol=0, atol=tolerance)
    assert np.abs(gate[:, 1] - gate[:, 0]).min() > 10 * tolerance  # so that the other unit would have failed
    assert "present" in " ".join(result.notes)


def small(height: int = 32, width: int = 32, channels: int = 4) -> tuple[Any, Any]:
    inputs = tf_keras.Input((height, width, 1), name="pixels")
    return inputs, L.Conv2D(channels, 3, padding="same", activation="relu", name="features")(inputs)


def head(features: Any, channels: int = 1, name: str = "head", activation: str | None = "sigmoid") -> Any:
    return L.Conv2D(channels, 1, activation=activation, name=name)(features)


def result_of(inputs: Any, outputs: Any, **options: Any) -> Inference:
    return inference_graph(from_keras(tf_keras.Model(inputs, outputs)), **options)


@pytest.mark.parametrize(("channels", "activation"), [(1, "sigmoid"), (3, "softmax")])
def test_logits_get_their_activation_and_the_result_says_so(channels: int, activation: str) -> None:
    inputs, x = small()
    model = tf_keras.Model(inputs, head(x, channels, activation=None))
    result = inference_graph(from_keras(model))
    assert result.activation_added
    assert result.activation == activation
    assert any("logits" in note for note in result.notes)
    batch = images(model)
    expected = getattr(tf_keras.activations, activation)(model(batch)).numpy()
    np.testing.assert_array_equal(run(assert_plain(result), batch)[0], expected)


def test_logits_beside_their_probabilities_are_a_by_product() -> None:
    inputs, x = small()
    logits = head(x, 3, "logits", None)
    result = result_of(inputs, [logits, L.Softmax(name="probabilities")(logits)])
    assert result.mask == "probabilities"
    assert result.dropped == ("logits",)


def test_identities_and_dropout_vanish_also_at_the_output() -> None:
    inputs, x = small()
    x = L.SpatialDropout2D(0.2)(L.Identity()(x))
    output = L.Activation("linear", name="mask")(L.Dropout(0.5, name="image")(head(x)))
    result = result_of(inputs, output)
    assert_plain(result)
    assert [node.op for node in result.graph.nodes] == ["input", "conv", "conv"]


def test_names_that_the_exported_model_needs_are_freed() -> None:
    inputs, x = small()
    x = L.ReLU(name="image")(L.ReLU(name="mask")(x))
    result = result_of(inputs, head(x))
    assert_plain(result)
    assert {"image_", "mask_"} <= {node.name for node in result.graph.nodes}


def test_training_options_and_fixed_batches_do_not_reach_the_device() -> None:
    inputs = tf_keras.Input(batch_shape=(4, 32, 32, 1))
    x = L.Conv2D(2, 3, padding="same", kernel_regularizer="l2", trainable=False, dtype="mixed_float16")(inputs)
    model = assert_plain(result_of(inputs, head(x)))
    assert model.input_shape == (None, 32, 32, 1)
    assert model.output.dtype == "float32"
    assert model.losses == []


def test_two_heads_on_the_same_features_are_refused_until_one_is_named() -> None:
    inputs, x = small()
    outputs = [head(x, name="organ"), head(x, name="border")]
    with pytest.raises(ModelError, match=r"'organ', 'border' could be the mask; the outputs are organ \[32, 32, 1\], border"):
        result_of(inputs, outputs)
    assert result_of(inputs, outputs, mask="border").dropped == ("organ",)
    with pytest.raises(ModelError, match=r"the model has no output 'other'. Its outputs are organ, border"):
        result_of(inputs, outputs, mask="other")


def gate_of(features: Any, units: int, activation: str = "sigmoid", name: str = "gate") -> Any:
    return L.Activation(activation, name=name)(L.GlobalMaxPooling2D()(L.Conv2D(units, 1)(features)))


def test_a_gate_of_four_axes_is_a_gate() -> None:
    inputs, x = small()
    gate = L.Activation("sigmoid", name="gate")(L.GlobalMaxPooling2D(keepdims=True)(L.Conv2D(1, 1)(x)))
    model = tf_keras.Model(inputs, [gate, head(x)])
    result = inference_graph(from_keras(model))
    assert result.gate == "gate"
    batch = images(model)
    found, mask = run(model, batch)
    np.testing.assert_allclose(run(assert_plain(result), batch)[0], mask * found, rtol=0, atol=1.5 * EPS)  # as above


def two_units_after_dense() -> Any:
    inputs, x = small()
    shared = L.Dense(2, activation="sigmoid", name="shared")(L.GlobalMaxPooling2D()(x))
    gate = L.Activation("linear", name="gate")(shared)
    return inputs, [L.Multiply(name="masked")([head(x, 1), L.Dense(1, activation="sigmoid")(shared)]), gate]


def gated(mask: str | None, gate: str = "sigmoid") -> Any:
    inputs, x = small()
    return inputs, L.Multiply(name="product")([head(x, activation=mask), gate_of(x, 1, gate)])


def with_gate(channels: int, *gates: Any) -> Any:
    inputs, x = small()
    activation = "sigmoid" if channels == 1 else "softmax"
    return inputs, [head(x, channels, activation=activation), *(gate_of(x, *gate) for gate in gates)]


def only(build_output: Any, *size: int) -> Any:
    inputs, x = small(*size)
    return inputs, build_output(x)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            lambda: only(lambda x: L.GlobalMaxPooling2D(name="pool")(x)),
            r"no output is a mask .*32x32; the outputs are pool \[4\]",
        ),
        (lambda: only(lambda x: L.MaxPooling2D((2, 1), name="half")(head(x))), r"no output is a mask .*half \[16, 32, 1\]"),
        (lambda: only(lambda x: head(x, 1, activation="relu")), "'head' has 1 channels and ends in relu"),
        (lambda: only(lambda x: head(x, 1, activation="softmax")), "'head' has 1 channels and ends in softmax"),
        (lambda: only(lambda x: head(x, 3, activation="tanh")), "'head' has 3 channels and ends in tanh"),
        (lambda: only(lambda x: L.Softmax(axis=1, name="s")(head(x, 3))), "ends in softmax over axis 1"),
        (lambda: gated(None), "'product' has 1 channels and ends in multiply.*after that, not before"),
        (lambda: with_gate(3, (2,)), "'gate' has 2 units for the 3 channels of the mask 'head'"),
        (lambda: with_gate(3, (1,)), "'gate' has 1 units for the 3 channels of the mask 'head'"),
        (lambda: with_gate(1, (1, "linear")), "'gate' ends in linear"),
        (lambda: with_gate(1, (2, "softmax")), "'gate' ends in softmax"),
        (lambda: with_gate(1, (1,), (1, "sigmoid", "second")), "'gate', 'second' could be the mask's gate"),
        (two_units_after_dense, "'present' cannot be taken out"),
    ],
)
def test_what_is_no_gated_mask_is_refused(parts: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        result_of(*parts())


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_several_sigmoids_are_classes_that_may_overlap(activation: str | None) -> None:
    """As the model has them, or added to its logits where that is asked for; a gate multiplies each channel by its unit."""
    inputs, x = small()
    model = tf_keras.Model(inputs, [head(x, 3, activation=activation), gate_of(x, 3)])
    result = inference_graph(from_keras(model), multi_label=activation is None)
    assert (result.activation, result.activation_added) == ("sigmoid", activation is None)
    assert is_multi_label(result.graph)
    batch = images(model)
    mask, gate = run(model, batch)
    probabilities = mask if activation else 1 / (1 + np.exp(-mask))
    # Two multiplications and a sigmoid in float32, of values of at most 1.
    np.testing.assert_allclose(run(to_keras(result.graph), batch)[0], probabilities * gate[:, None, None, :], atol=8 * EPS)


def test_logits_of_several_classes_are_one_class_a_pixel_by_default() -> None:
    result = result_of(*only(lambda x: head(x, 3, activation=None)))
    assert (result.activation, is_multi_label(result.graph)) == ("softmax", False)
    with pytest.raises(ModelError, match="'head' has 3 channels and ends in softmax"):
        inference_graph(from_keras(tf_keras.Model(*only(lambda x: head(x, 3, activation="softmax")))), multi_label=True)


def test_a_mask_that_its_model_already_gates_is_left_alone() -> None:
    inputs, output = gated("sigmoid")
    result = result_of(inputs, output)
    assert result.mask == "product"
    assert not result.activation_added


def test_inputs_must_be_one_image_of_a_fixed_size() -> None:
    free = tf_keras.Input((None, None, 1))
    with pytest.raises(ModelError, match=r"no fixed size: \(None, None, 1\).*--size 256x256"):
        result_of(free, head(free))
    with pytest.raises(ConfigError, match=r"multiples of 16.*32 or 48"):
        result_of(*only(head, 40, 32))
    first, second = tf_keras.Input((32, 32, 1)), tf_keras.Input((32, 32, 1))
    with pytest.raises(ModelError, match="has 2 inputs"):
        result_of([first, second], head(L.Add()([first, second])))
    line = tf_keras.Input((32, 1))
    with pytest.raises(ModelError, match="not a batch of images"):
        result_of(line, L.Dense(1, activation="sigmoid")(line))


def test_a_deeper_decoder_outranks_its_side_outputs_without_concatenation() -> None:
    # A decoder that adds its skips, side outputs first: the mask is the one whose way joins the skip.
    kernel = np.ones((1, 1, 1, 1), np.float32)
    conv: dict[str, Any] = {"op": "conv", "weights": {"kernel": kernel}}
    graph = Graph(
        (
            Node("x", "input", attrs={"shape": (None, 32, 32, 1)}),
            Node("down", "max_pool", ("x",)),
            Node("side", inputs=("down",), **conv),
            Node("side_up", "upsample", ("side",)),
            Node("up", "upsample", ("down",)),
            Node("sum", "add", ("up", "x")),
            Node("main", inputs=("sum",), **conv),
        ),
        ("x",),
        ("side_up", "main"),
    )
    result = inference_graph(graph)
    assert result.mask == "main"
    assert result.graph.shapes["mask"] == (1, 32, 32, 1)
