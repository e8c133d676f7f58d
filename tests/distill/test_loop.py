"""A pruned network recovers, can be killed at any epoch, and its soft masks and gate follow the teacher."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from safetensors import safe_open

from tests.support.busy import busy_machine
from tests.support.recorded_progress import RecordedProgress
from tests.support.tiny_run import discs, tiny_recipe
from u3p_edge.data.augmentation import Augmentation
from u3p_edge.distill.decoder import decoder_maps
from u3p_edge.distill.loop import CHECKPOINT, FinetuneConfig, FinetuneResult, finetune, teacher_probabilities
from u3p_edge.distill.loss import attention_distance, divergence
from u3p_edge.errors import ArtifactError, ConfigError, DataError, ModelError
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.ir import rename
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.manifest import sha256_of
from u3p_edge.models.unet3plus import build
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.pruning.importance.magnitude import magnitude
from u3p_edge.pruning.plan import PruningPlan

TRAIN, VALIDATION = discs(16, 1), discs(8, 2)
STAGE = "Fine-tune by distillation"
# All that draws at random, and a decay.
CONFIG = FinetuneConfig(epochs=3, batch_size=4, learning_rate=5e-3, augmentation=Augmentation())


def network(**options: object) -> tf_keras.Model:
    """A fresh inference graph of base 4 at 32x32."""
    tf_keras.utils.set_random_seed(0)
    return to_keras(inference_graph(from_keras(build(tiny_recipe(**options).model_config()))).graph)


def dice(model: tf_keras.Model) -> float:
    """Of the discs, on the validation images."""
    # Called and not `predict`: its compilation would take longer than all else here.
    found, truth = model(VALIDATION.images).numpy()[..., 0] > 0.5, VALIDATION.labels > 0
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def half(model: tf_keras.Model) -> tf_keras.Model:
    """The model with half of the channels that may go, the heavier half."""
    graph = from_keras(model)
    scores = magnitude(graph)
    free = [group for group in find_groups(graph) if not group.frozen]
    return to_keras(
        apply_plan(graph, PruningPlan({g.name: np.argsort(-scores[g.name])[: (g.size + 1) // 2].tolist() for g in free}))
    )


def small() -> tf_keras.Model:
    """A network of two convolutions, for what is the same for every network: its step is traced in no time."""
    image = tf_keras.Input((32, 32, 1))
    hidden = tf_keras.layers.ReLU()(tf_keras.layers.BatchNormalization()(tf_keras.layers.Conv2D(4, 3, padding="same")(image)))
    return tf_keras.Model(image, tf_keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(hidden))


def never(*_: object) -> float:
    raise AssertionError("nothing is left to do")


def assert_same_weights(one: tf_keras.Model, other: tf_keras.Model) -> None:
    """Bit for bit."""
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> tf_keras.Model:
    """Trained on labels alone."""
    alone = FinetuneConfig(epochs=8, batch_size=4, learning_rate=1e-2, distillation=0)
    trained = finetune(network(), TRAIN, None, alone, validate=dice, folder=tmp_path_factory.mktemp("teacher"))
    assert trained.scores[trained.best_epoch] > 0.85
    return trained.model


@pytest.fixture(scope="module")
def student(teacher: tf_keras.Model) -> tf_keras.Model:
    return half(teacher)


@pytest.fixture(scope="module")
def soft(teacher: tf_keras.Model) -> np.ndarray:
    return teacher_probabilities(teacher, TRAIN.images)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(student: tf_keras.Model, soft: np.ndarray, folder: Path) -> FinetuneResult:
    """A run that nobody interrupted."""
    before = student.get_weights()
    result = finetune(student, TRAIN, soft, CONFIG, validate=dice, folder=folder)
    for a, b in zip(student.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    return result


def test_a_network_cut_in_half_recovers(whole: FinetuneResult, student: tf_keras.Model) -> None:
    assert len(whole.scores) == len(whole.losses) + 1 == CONFIG.epochs + 1
    assert whole.scores[0] == dice(student)
    assert whole.scores[whole.best_epoch] == max(whole.scores) > whole.scores[0] + 0.3
    assert dice(whole.model) == whole.scores[whole.best_epoch]
    assert whole.losses[-1] < whole.losses[0]
    moved = [w for w in whole.model.weights if "moving" in w.name]
    came = {w.name: w.numpy() for w in student.weights}
    assert moved
    assert all((w.numpy() != came[w.name]).any() for w in moved)
    slow = [layer for layer in whole.model.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]
    assert [layer.momentum for layer in slow] == [student.get_layer(layer.name).momentum for layer in slow]


@pytest.mark.slow  # tests/training/test_loop.py resumes a training, by the same loop
def test_a_resumed_run_is_the_run_that_was_not_interrupted(
    whole: FinetuneResult, student: tf_keras.Model, soft: np.ndarray, folder: Path, tmp_path: Path
) -> None:
    # Sixteen images are four steps: this is in the second epoch.
    with pytest.raises(KeyboardInterrupt):
        finetune(student, TRAIN, soft, CONFIG, validate=dice, folder=tmp_path, progress=RecordedProgress((STAGE, 6)))
    progress = RecordedProgress()

    again = finetune(student, TRAIN, soft, CONFIG, validate=dice, folder=tmp_path, progress=progress)
    assert [steps for _, steps in progress.stages] == [4 * (CONFIG.epochs - 1)]
    assert (again.losses, again.scores, again.best_epoch) == (whole.losses, whole.scores, whole.best_epoch)
    assert_same_weights(again.model, whole.model)
    one, other = (safe_open(path / CHECKPOINT, framework="numpy") for path in (tmp_path, folder))
    assert one.metadata() == other.metadata()
    for name in other.keys():  # noqa: SIM118 (it is no dictionary)
        np.testing.assert_array_equal(one.get_tensor(name), other.get_tensor(name), err_msg=name)


@pytest.mark.slow  # CI replays a whole export by its lock beside busy programs
def test_an_epoch_that_is_to_be_kept_has_the_weights_that_it_had_bit_for_bit_also_beside_busy_programs(
    whole: FinetuneResult, student: tf_keras.Model, soft: np.ndarray, tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, keep_epoch=whole.best_epoch)
    with busy_machine():
        again = finetune(student, TRAIN, soft, config, validate=lambda _: 0.0, folder=tmp_path)
    assert (again.best_epoch, again.losses) == (whole.best_epoch, whole.losses[: whole.best_epoch])
    assert_same_weights(again.model, whole.model)
    with pytest.raises(ConfigError, match="epoch 4 cannot be kept of 3"):
        dataclasses.replace(CONFIG, keep_epoch=4)


def test_a_finished_run_comes_from_its_file(
    whole: FinetuneResult, student: tf_keras.Model, soft: np.ndarray, folder: Path
) -> None:
    before = sha256_of(folder / CHECKPOINT)
    progress = RecordedProgress()
    again = finetune(student, TRAIN, soft, CONFIG, validate=never, folder=folder, progress=progress)
    assert not progress.stages
    assert_same_weights(again.model, whole.model)
    assert dataclasses.replace(again, model=whole.model) == whole
    assert sha256_of(folder / CHECKPOINT) == before


@pytest.mark.usefixtures("whole")
def test_another_run_is_refused(student: tf_keras.Model, soft: np.ndarray, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"recover\.safetensors is of a run with other"):
        finetune(student, TRAIN, soft, dataclasses.replace(CONFIG, seed=1), validate=never, folder=folder)
    with pytest.raises(ArtifactError, match="is of a run with other"):
        finetune(student, TRAIN, soft * np.float16(0.5), CONFIG, validate=never, folder=folder)
    with pytest.raises(ArtifactError, match="is of a run with other"):
        finetune(network(), TRAIN, soft, CONFIG, validate=never, folder=folder)
    (tmp_path / CHECKPOINT).write_bytes((folder / CHECKPOINT).read_bytes()[:1000])
    with pytest.raises(ArtifactError, match="not a checkpoint that can be resumed"):
        finetune(student, TRAIN, soft, CONFIG, validate=never, folder=tmp_path)


def test_a_network_that_training_harms_stays_the_original(tmp_path: Path) -> None:
    student, scores = small(), iter([0.5, float("nan"), 0.5])
    soft = teacher_probabilities(student, TRAIN.images)
    hard = FinetuneConfig(epochs=2, batch_size=16, learning_rate=10.0, warmup=0)
    result = finetune(student, TRAIN, soft, hard, validate=lambda _: next(scores), folder=tmp_path)
    assert result.best_epoch == 0
    assert result.scores == (0.5, -np.inf, 0.5)
    assert_same_weights(result.model, student)
    assert finetune(student, TRAIN, soft, hard, validate=never, folder=tmp_path).scores == result.scores


def test_no_epochs_score_the_student(tmp_path: Path) -> None:
    student = small()
    result = finetune(student, TRAIN, None, FinetuneConfig(epochs=0, distillation=0), validate=dice, folder=tmp_path)
    assert (result.losses, result.scores, result.best_epoch) == ((), (dice(student),), 0)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    broken = dataclasses.replace(TRAIN, images=np.full_like(TRAIN.images, np.inf))
    with pytest.raises(ModelError, match=r"not finite at epoch 1, step 1.*learning_rate below 0\.001"):
        finetune(small(), broken, None, FinetuneConfig(epochs=1, distillation=0), validate=dice, folder=tmp_path)


def test_a_folded_network_learns_its_teachers_maps(teacher: tf_keras.Model, soft: np.ndarray, tmp_path: Path) -> None:
    """Without batch normalisation; its decoder's maps are those of convolutions that a ReLU was fused into."""
    student = to_keras(fold_batch_norm(from_keras(half(teacher))))
    looking = FinetuneConfig(epochs=2, batch_size=4, features=1.0)
    tuned = finetune(student, TRAIN, soft, looking, validate=dice, folder=tmp_path, teacher=teacher)
    assert tuned.losses[1] < tuned.losses[0]


def test_a_decoder_is_known_by_what_it_joins(teacher: tf_keras.Model) -> None:
    sizes = [(32, 32), (16, 16), (8, 8), (4, 4)]
    graph = from_keras(teacher)
    expected = {size: f"dec{level}_fuse_relu" for level, size in enumerate(sizes, start=1)}
    assert decoder_maps(graph) == expected
    assert list(decoder_maps(graph)) == sizes, "the largest first"
    renamed = rename(graph, {name: f"layer_{i}" for i, name in enumerate(expected.values())})
    assert list(decoder_maps(renamed).values()) == [f"layer_{i}" for i in range(4)]
    assert list(decoder_maps(fold_batch_norm(graph)).values()) == [f"dec{level}_fuse_conv" for level in range(1, 5)]


def test_networks_without_a_decoder_map_in_common_are_refused(
    student: tf_keras.Model, soft: np.ndarray, tmp_path: Path
) -> None:
    looking = FinetuneConfig(1, features=1.0)
    with pytest.raises(ConfigError, match="no map of one size in common"):
        finetune(student, TRAIN, soft, looking, validate=never, folder=tmp_path, teacher=small())


@pytest.mark.slow  # a folded network learns them above
def test_attention_maps_come_closer(teacher: tf_keras.Model, student: tf_keras.Model, soft: np.ndarray, tmp_path: Path) -> None:
    def distance(model: tf_keras.Model) -> float:
        name = "dec2_fuse_relu"
        ours, theirs = (tf_keras.Model(m.input, m.get_layer(name).output)(TRAIN.images) for m in (model, teacher))
        return float(tf.reduce_mean(attention_distance(ours, theirs)))

    # Batch normalisation's averages must have forgotten the network before the cut: 0.9^24 = 0.08.
    looking = FinetuneConfig(epochs=3, batch_size=2, learning_rate=5e-3, distillation=0, features=10.0)
    with pytest.raises(ConfigError, match="no teacher"):
        finetune(student, TRAIN, soft, looking, validate=dice, folder=tmp_path)
    result = finetune(student, TRAIN, None, looking, validate=lambda m: -distance(m), folder=tmp_path, teacher=teacher)
    assert distance(result.model) < 0.5 * distance(student)


def test_what_does_not_fit_is_refused(student: tf_keras.Model, soft: np.ndarray, tmp_path: Path) -> None:
    def refused(error: type[Exception], match: str, arrays: object = TRAIN, masks: object = soft, **options: object) -> None:
        with pytest.raises(error, match=match):
            finetune(options.get("model", student), arrays, masks, CONFIG, validate=never, folder=tmp_path)  # type: ignore[arg-type]

    refused(DataError, "teacher probabilities must be floating .*they are none", masks=None)
    refused(DataError, "they are float16", masks=soft[:, :16])
    refused(DataError, "up to 3", dataclasses.replace(TRAIN, labels=TRAIN.labels * 3))
    refused(DataError, "wants images", dataclasses.replace(TRAIN, images=TRAIN.images[:, :16]))
    image = tf_keras.Input((32, 32, 1))
    drawn = tf_keras.layers.Dropout(0.5, name="drawn")(image)
    refused(ModelError, "'drawn'.*at random", model=tf_keras.Model(image, drawn))
    refused(ModelError, "2 outputs", model=tf_keras.Model(image, [drawn, drawn]))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="warmup"):
        FinetuneConfig(1, warmup=-0.5)
    with pytest.raises(ConfigError, match="batch_size"):
        FinetuneConfig(1, batch_size=0)
    with pytest.raises(ConfigError, match="learning_rate"):
        FinetuneConfig(1, learning_rate=0)


def test_soft_masks_are_what_the_teacher_says(teacher: tf_keras.Model) -> None:
    images, seen = np.concatenate([TRAIN.images, TRAIN.images[:3]]), []
    masks = teacher_probabilities(teacher, images, lambda *_: seen.append(1))
    assert (masks.dtype, masks.shape, len(seen)) == (np.float16, (19, 32, 32, 1), 19)
    # float16 has 11 bits of mantissa: half a step below 1 is 2^-12, and half of the smallest subnormal is 2^-25.
    np.testing.assert_allclose(masks, teacher(images), rtol=2**-11, atol=2**-12)


def test_the_divergence_is_that_of_bernoulli_and_least_at_the_teacher() -> None:
    rng = np.random.default_rng(0)
    q, logits = rng.random((2, 5, 6, 3)).astype(np.float32), tf.Variable(rng.standard_normal((2, 5, 6, 3)), dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = divergence(tf.constant(q), tf.sigmoid(logits))
    p = 1 / (1 + np.exp(-logits.numpy().astype(np.float64)))
    expected = (q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))).sum(axis=3).mean(axis=(1, 2))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, logits), (p - q) / 30, atol=1e-6)
    np.testing.assert_allclose(divergence(tf.constant(q), tf.constant(q)), 0, atol=1e-6)
    sure = tf.constant([0.0, 1.0], shape=(1, 1, 2, 1))
    assert np.isfinite(divergence(sure, 1 - sure)).all()


def test_attention_compares_where_and_not_how_much() -> None:
    maps = np.zeros((1, 4, 4, 3), np.float32)
    maps[0, 1, 2] = 2.0
    elsewhere = np.roll(maps, 1, axis=1)
    np.testing.assert_allclose(attention_distance(maps, 5 * maps[..., :2]), 0, atol=1e-6)
    np.testing.assert_allclose(attention_distance(maps, elsewhere), 2, atol=1e-6)
    assert np.isfinite(attention_distance(maps, 0 * maps)).all()


@pytest.mark.slow  # it trains two networks
def test_a_gate_learns_from_the_gated_soft_masks(tmp_path: Path) -> None:
    """The teacher's gate says whether there is a disc; the student's says nothing at first."""
    data = discs(16, 1, empty_every=2)
    there = data.labels.any(axis=(1, 2))

    def gates(model: tf_keras.Model) -> np.ndarray:
        return tf_keras.Model(model.input, model.get_layer("cgm_output").output)(data.images).numpy()[:, -1]

    def parted(model: tf_keras.Model) -> float:
        result = gates(model)
        return float(result[there].min() - result[~there].max())

    alone = FinetuneConfig(epochs=5, batch_size=4, learning_rate=1e-2, distillation=0)
    knows = finetune(network(cgm=True), data, None, alone, validate=parted, folder=tmp_path / "teacher").model
    graph = from_keras(knows)
    blank = {key: 0 * array for key, array in graph["cgm_conv"].weights.items()}
    nodes = [dataclasses.replace(node, weights=blank) if node.name == "cgm_conv" else node for node in graph.nodes]
    student = to_keras(dataclasses.replace(graph, nodes=tuple(nodes)))
    np.testing.assert_array_equal(gates(student), 0.5)
    taught = FinetuneConfig(epochs=3, batch_size=4, learning_rate=1e-2, distillation=5.0)
    result = finetune(
        student, data, teacher_probabilities(knows, data.images), taught, validate=parted, folder=tmp_path / "student"
    )
    assert result.model.get_layer("cgm_conv").kernel.numpy().any()
    # 16 pairs that have nothing to do with each other correlate by so much once in a hundred times (t-test, 14 degrees of
    # freedom). How far above it three epochs come hangs on the order in which TensorFlow's threads add up.
    assert np.corrcoef(gates(result.model), gates(knows))[0, 1] > 0.623
