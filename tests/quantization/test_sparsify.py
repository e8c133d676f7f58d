"""Magnitude pruning: each kernel gets its share, what is left out is untouched, and zeros stay zeros down to the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras import layers

from tests.support.int8_models import blobs, convert, one_hot, quantize_aware, unet
from tests.support.recorded_progress import RecordedProgress
from tests.support.slow import mark_slow
from u3p_edge.conversion.tflite.schema import parse_tflite
from u3p_edge.errors import ArtifactError, ConfigError, DataError, ModelError
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.quantization.finetune import train_qat
from u3p_edge.quantization.sparsify import LEAST, gzip_bytes, masks, prunable, sparsify
from u3p_edge.quantization.sparsity import Sparsity, SparsityPattern
from u3p_edge.rewriting.rule import Match
from u3p_edge.rewriting.rules.columns_as_channels import ColumnsAsChannels
from u3p_edge.rewriting.rules.one_interpolation import OneInterpolation
from u3p_edge.rewriting.rules.winograd import Winograd

IMAGES, LABELS = blobs(8, 16)
TRUTH = one_hot(LABELS, 3)


def cross_entropy(truth: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    return -tf.reduce_mean(tf.reduce_sum(truth * tf.math.log(probabilities + 1e-6), axis=-1), axis=(1, 2))


def loss_of(model: tf_keras.Model) -> float:
    return float(np.mean(cross_entropy(TRUTH, model(IMAGES, training=False))))


def share_of(zeros: Mapping[str, np.ndarray]) -> float:
    """The share, 0..1, of all weights of `masks` that are zero."""
    return sum(int(mask.sum()) for mask in zeros.values()) / sum(mask.size for mask in zeros.values())


def better(model: tf_keras.Model) -> float:
    return -loss_of(model)


def branch() -> tf_keras.Model:
    """A convolution over an upsampled map and one beside it, behind a first one and before a head: [N, 16, 16, 1] to 3
    classes."""
    tf_keras.utils.set_random_seed(8)
    image = layers.Input((16, 16, 1), name="image")
    first = layers.Conv2D(16, 9, padding="same", activation="relu", name="first")(image)
    up = layers.UpSampling2D(4, interpolation="bilinear", name="grown")(layers.MaxPooling2D(4, name="small")(first))
    up = layers.Conv2D(16, 3, padding="same", activation="relu", name="up")(up)
    few = layers.Conv2D(4, 5, padding="same", activation="relu", name="few")(first)
    joined = layers.Concatenate(name="joined")([up, few])
    middle = layers.Conv2D(24, 3, padding="same", activation="relu", name="middle")(joined)
    logits = layers.Conv2D(3, 5, padding="same", name="logits")(middle)
    return tf_keras.Model(image, layers.Softmax(name="mask")(logits))


PRUNED = ("up", "few", "middle")


@cache
def dense() -> tf_keras.Model:
    """`branch`, trained."""
    model = branch()
    model.compile(tf_keras.optimizers.Adam(3e-3), "categorical_crossentropy")
    model.fit(IMAGES, TRUTH, batch_size=4, epochs=20, verbose=0)
    return model


@cache
def pruned(pattern: SparsityPattern = "unstructured", share: float = 0.5, epochs: int = 3) -> tf_keras.Model:
    sparsity = Sparsity(share, pattern, epochs, learning_rate=1e-3)
    return sparsify(dense(), IMAGES, LABELS, sparsity, loss=cross_entropy, validate=better).model


def kernels(model: tf_keras.Model) -> dict[str, np.ndarray]:
    return {node.name: node.weights["kernel"] for node in from_keras(model).nodes if node.op == "conv"}


def assert_share(zeros: Mapping[str, np.ndarray], names: Sequence[str], share: float) -> None:
    """TFMOT keeps round(size * (1 - share)) weights, so the zeros are within one of size * share."""
    for name, mask in zeros.items():
        assert abs(mask.sum() - (share * mask.size if name in names else 0)) <= (name in names), name
    size = sum(mask.size for mask in zeros.values())
    expected = share * sum(zeros[name].size for name in names) / size
    assert share_of(zeros) == pytest.approx(expected, abs=len(names) / size)


@pytest.mark.parametrize(("share", "epochs"), [(0.5, 3), (0.9, 0), (0.9, 3)])
def test_every_pruned_kernel_has_its_share_of_zeros(share: float, epochs: int) -> None:
    assert prunable(from_keras(dense()), Sparsity(share)) == PRUNED
    assert_share(masks(pruned(share=share, epochs=epochs)), PRUNED, share)


@pytest.mark.slow  # small networks below show the same
def test_nothing_else_changes_in_a_unet3plus() -> None:
    model, (images, labels) = to_keras(fold_batch_norm(from_keras(unet(3)))), blobs(8)
    sparsity = Sparsity(0.7, epochs=2, learning_rate=1e-3)
    scores = iter(range(9))
    sparse = sparsify(model, images, labels, sparsity, loss=cross_entropy, validate=lambda _: float(next(scores))).model
    before, after = from_keras(model), from_keras(sparse)
    names = prunable(before, sparsity)
    assert len(names) == 6 + 5 + 4, "of base width 4: encoder levels 3 to 5, branches from e5 and d4's from e4, fusions"
    assert_share(masks(sparse), names, 0.7)
    for old, new in zip(before.nodes, after.nodes, strict=True):
        assert (old.name, old.op, old.inputs, old.attrs) == (new.name, new.op, new.inputs, new.attrs)
        if old.name in names:
            assert not np.array_equal(old.weights["bias"], new.weights["bias"]), "it was trained"
        else:
            assert old == new, "what is left out keeps its weights"
    assert (after.inputs, after.outputs, after.name) == (before.inputs, before.outputs, before.name)
    assert share_of(masks(model)) == 0, "the model that was given keeps its weights"
    assert not any(np.signbit(kernel[kernel == 0]).any() for kernel in kernels(sparse).values()), "no zero is -0.0"


def test_training_makes_good_what_pruning_did() -> None:
    alone, trained = loss_of(pruned(share=0.9, epochs=0)), loss_of(pruned(share=0.9))
    assert np.isfinite(pruned(share=0.9)(IMAGES).numpy()).all()
    assert loss_of(dense()) < alone, "or there would be nothing to make good"
    assert trained < alone


def test_normalisations_that_are_left_keep_their_statistics() -> None:
    image = layers.Input((16, 16, 1), name="image")
    x = layers.Conv2D(16, 3, padding="same", name="first")(image)
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="middle")(x)
    x = layers.BatchNormalization(name="norm")(x)
    model = tf_keras.Model(image, layers.Conv2D(3, 1, activation="softmax", name="mask")(x))
    norms: list[Node] = []

    def validate(candidate: tf_keras.Model) -> float:
        norms.append(from_keras(candidate)["norm"])
        return float(len(norms))

    sparse = sparsify(model, IMAGES, LABELS, Sparsity(epochs=2), loss=cross_entropy, validate=validate).model
    before, after = from_keras(model)["norm"], from_keras(sparse)["norm"]
    assert before == after
    assert len(norms) == 3
    for norm in norms:
        assert all(np.array_equal(norm.weights[key], before.weights[key]) for key in before.weights)
    assert_share(masks(sparse), ["middle"], 0.5)


@pytest.mark.parametrize("wanted", [0, 2])
def test_the_best_whole_epoch_is_kept(wanted: int) -> None:
    """Four epochs of two steps: the masks are whole from step 4 on, so pruned alone and the last three epochs compete."""
    seen: list[dict[str, np.ndarray]] = []

    def validate(model: tf_keras.Model) -> float:
        seen.append(kernels(model))
        return 1.0 if len(seen) - 1 == wanted else (float("nan") if len(seen) == 1 else 0.5)

    progress = RecordedProgress()
    made = sparsify(
        dense(), IMAGES, LABELS, Sparsity(0.9, epochs=4, learning_rate=1e-3), loss=cross_entropy, validate=validate,
        progress=progress,
    )  # fmt: skip
    model = made.model
    assert len(seen) == 1 + 3
    assert made.epoch == (wanted + 1 if wanted else 0), "the first of the four epochs has not all zeros yet"
    assert progress.stages == [("Train with zeros", 8)]
    assert progress.done.total() == 8
    assert all(np.array_equal(kernel, seen[wanted][name]) for name, kernel in kernels(model).items())
    assert not all(np.array_equal(kernel, seen[3][name]) for name, kernel in kernels(model).items())


def test_two_of_four_neighbours_along_the_input_channels_are_zero() -> None:
    """`middle` has 20 input channels, `up` and `few` 16."""
    assert prunable(from_keras(dense()), Sparsity(pattern="2:4")) == PRUNED
    for name in PRUNED:
        assert (in_fours(kernels(pruned("2:4"))[name] == 0).sum(axis=3) == 2).all(), name
        alone, whole = in_fours(kernels(pruned("2:4", epochs=0))[name]), np.abs(in_fours(kernels(dense())[name]))
        assert np.array_equal(alone != 0, whole >= np.sort(whole, axis=3)[:, :, :, 2:3]), "the two largest stay"


def in_fours(kernel: np.ndarray) -> np.ndarray:
    """[h, w, I, O] to [h, w, I / 4, 4, O]."""
    height, width, channels, filters = kernel.shape
    return kernel.reshape(height, width, channels // 4, 4, filters)


@pytest.mark.parametrize("pattern", mark_slow(["unstructured", "2:4"], ["unstructured"]))
def test_zeros_stay_through_quantization_aware_training_and_in_the_file(pattern: SparsityPattern) -> None:
    """A later score is always better, so that the trained weights are the ones kept."""
    scores = iter(range(9))
    trained = train_qat(
        pruned(pattern), IMAGES, LABELS, loss=cross_entropy, validate=lambda _: float(next(scores)), epochs=1,
        learning_rate=1e-3, keep_zeros=True,
    ).model  # fmt: skip
    content = convert(trained)
    integers = int8_kernels(content, masks(pruned(pattern)))
    moved = 0
    for name, zero in masks(pruned(pattern)).items():
        result = integers[name].transpose(1, 2, 3, 0)  # OHWI, as TFLite has it, to HWIO
        assert (result[zero] == 0).all(), name
        moved += not np.array_equal(fake_quant_kernel(trained, name), kernels(pruned(pattern))[name])
        if name in PRUNED and pattern == "2:4":
            groups = integers[name].reshape(*integers[name].shape[:3], -1, 4)
            assert ((groups == 0).sum(axis=-1) >= 2).all(), "along the last axis of the file's kernel"
    assert moved == len(integers)


def fake_quant_kernel(model: tf_keras.Model, name: str) -> np.ndarray:
    return next(weight.numpy() for weight in model.get_layer(name).weights if weight.name.endswith("/kernel:0"))


def int8_kernels(content: bytes, zeros: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The file's int8 kernels by layer: the converter keeps a layer's name in its kernel's."""
    tensors = [tensor for tensor in parse_tflite(content).tensors if tensor.data is not None and len(tensor.shape) == 4]
    result = {}
    for name, mask in zeros.items():
        own = [t for t in tensors if name in t.name.replace(";", "/").split("/")]
        assert len(own) == 1, (name, [t.name for t in tensors])
        assert own[0].dtype == np.int8
        assert own[0].shape == (mask.shape[3], *mask.shape[:3])
        result[name] = np.asarray(own[0].data)
    return result


def test_without_keep_zeros_training_fills_them_in() -> None:
    scores = iter(range(9))
    trained = train_qat(
        pruned(), IMAGES, LABELS, loss=cross_entropy, validate=lambda _: float(next(scores)), epochs=1, learning_rate=1e-3
    ).model
    assert (fake_quant_kernel(trained, "middle") == 0).mean() < 0.25


def test_gzip_shrinks_a_sparse_file() -> None:
    """Three quarters of a kernel's bytes being zero, its entropy is at most H(1/4) + 8 / 4 = 2.81 bits a byte instead of 8."""
    rng = np.random.default_rng(0)
    full = rng.integers(-127, 128, 36864).astype(np.int8)
    sparse = np.where(rng.random(full.size) < 0.75, 0, full).astype(np.int8)
    assert gzip_bytes(full.tobytes()) > 0.95 * full.size
    assert gzip_bytes(sparse.tobytes()) < 0.5 * full.size


def test_the_integer_file_of_a_sparse_model_is_smaller_in_gzip() -> None:
    """Nine tenths of the pruned kernels' bytes being zero, their entropy is at most H(1/10) + 8 / 10 = 1.3 bits a byte; gzip
    has to save half of them at least."""
    weights = sum(kernels(dense())[name].size for name in PRUNED)
    sizes = [gzip_bytes(convert(quantize_aware(model, IMAGES))) for model in (dense(), pruned(share=0.9))]
    assert sizes[0] - sizes[1] > 0.5 * weights


def test_gzip_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(10_000))
    assert gzip_bytes(path) == gzip_bytes(bytes(10_000)) < 100
    with pytest.raises(ArtifactError, match=r"absent\.tflite cannot be read"):
        gzip_bytes(tmp_path / "absent.tflite")


def rewritten() -> Graph:
    graph = from_keras(dense())
    for name, rule in (("up", OneInterpolation()), ("few", ColumnsAsChannels()), ("middle", Winograd("rows"))):
        match = rule.match(graph, name)
        assert isinstance(match, Match), match
        graph = rule.rewrite(graph, match)
    return graph


def test_kernels_that_a_rewrite_fixed_are_left_alone() -> None:
    """A row of taps of the branch is 16 x 48 = 768 weights, less than LEAST, as are the interpolations "up_a" and "up_b" here;
    "few_wide" is one of columns, whose 5 taps fill 5 of 12. Each product of "middle" has 3 x 20 x 24 weights."""
    graph = rewritten()
    names = prunable(graph, Sparsity())
    assert names == tuple(f"middle_m{i}" for i in range(4))
    assert graph["few_wide"].weights["kernel"].size >= LEAST
    scores = iter(range(9))
    model = sparsify(
        to_keras(graph), IMAGES, LABELS, Sparsity(epochs=2), loss=cross_entropy, validate=lambda _: float(next(scores))
    ).model
    zeros = masks(model)
    assert all(abs(zeros[name].sum() - zeros[name].size / 2) <= 1 for name in names)
    assert all(old == from_keras(model)[old.name] for old in from_keras(to_keras(graph)).nodes if old.name not in names)


@pytest.mark.parametrize("channels", [32, 64])
def test_interpolation_weights_are_no_kernel_to_prune(channels: int) -> None:
    """Of [1, 2, f, f] weights 2 f are not zero: half for f = 2, less above it."""
    image = layers.Input((16, 16, 3), name="image")
    x = layers.Conv2D(channels, 3, padding="same", name="first")(image)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Conv2D(channels, 3, padding="same", name="up")(x)
    graph = from_keras(tf_keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(x)))
    match = OneInterpolation().match(graph, "up")
    assert isinstance(match, Match)
    graph = OneInterpolation().rewrite(graph, match)
    assert graph["up_a"].weights["kernel"].size >= LEAST
    assert prunable(graph, Sparsity()) == tuple(f"up_tap{a}" for a in range(3))


def test_a_sparse_model_is_not_pruned_again() -> None:
    assert prunable(from_keras(pruned()), Sparsity(0.9)) == ()
    with pytest.raises(ModelError, match="no convolution that can be pruned"):
        sparsify(pruned(), IMAGES, LABELS, Sparsity(0.9), loss=cross_entropy, validate=better)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"share": 0.0}, "share of 0"),
        ({"share": 1.0}, "share of 1"),
        ({"share": -0.5}, "share of -0.5"),
        ({"share": float("nan")}, "share of nan"),
        ({"pattern": "1:2"}, "sparsity.pattern cannot be '1:2'"),
        ({"pattern": "2:4", "share": 0.75}, "2:4 has half"),
        ({"epochs": -1}, "sparsity.epochs cannot be -1"),
        ({"learning_rate": 0.0}, "sparsity.learning_rate cannot be 0. It is above 0"),
        ({"batch_size": 0}, "sparsity.batch_size cannot be 0. It is 1 to 65536"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Sparsity(**wrong)  # type: ignore[arg-type]


def test_models_and_labels_that_cannot_be_are_refused() -> None:
    image = layers.Input((8, 8, 1), name="image")
    bare = tf_keras.Model(image, layers.MaxPooling2D()(image))
    for model in (bare, tf_keras.Model(image, layers.Conv2D(LEAST, 3)(image))):
        with pytest.raises(ModelError, match="no convolution that can be pruned"):
            sparsify(model, IMAGES, np.zeros_like(LABELS), Sparsity(), loss=cross_entropy, validate=better)
    with pytest.raises(DataError, match="as many labels as images"):
        sparsify(dense(), IMAGES, LABELS[:3], Sparsity(), loss=cross_entropy, validate=better)
    with pytest.raises(DataError, match="the label 7 is none of a mask of"):
        sparsify(dense(), IMAGES, np.where(LABELS > 0, np.uint8(7), LABELS), Sparsity(), loss=cross_entropy, validate=better)
