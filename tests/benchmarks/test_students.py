"""The benchmark of students: its controls, its files, how it chooses, and what its report counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.lib import narrow_unet3plus, plain_unet
from benchmarks.students.exchange import read_network, with_weights, write_network
from benchmarks.students.finish import choose_finalists, join_seeds
from benchmarks.students.quantize import Int8Student
from benchmarks.students.report import is_equal, worst_tenth
from benchmarks.students.trained import Trained
from tests.support.student_networks import narrow, predict
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.result import Accuracy, ArtifactResult, RunResult
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.keras_io import from_keras


def student(kind: str, val: float, test: float, budget: str = "1x") -> Trained:
    control = "unet" in kind
    return Trained(f"{kind}_{budget}", kind, budget, "", control, 1.0, 1, 1, (0,), val, test)


def test_controls_give_a_mask_of_the_images_size_whether_folded_or_not() -> None:
    image = np.random.default_rng(0).random((1, 16, 16, 1), dtype=np.float32)
    plain = inference_graph(from_keras(plain_unet.build((16, 16), 1, 1, (4, 8), 2))).graph
    for graph, classes in ((narrow(1), 3), (narrow(2), 3), (plain, 1)):
        assert predict(graph, image).shape == (1, 16, 16, classes)
        finest = max(graph.shapes[node.name][1] for node in graph.nodes if node.op == "conv")
        assert finest == (8 if any(node.op == "depth_to_space" for node in graph.nodes) else 16)


def test_every_decoder_of_the_narrow_control_reads_every_level() -> None:
    graph = inference_graph(from_keras(narrow_unet3plus.build((16, 16), 1, 3, (2, 2, 2), 2, 6))).graph
    assert [len(node.inputs) for node in graph.nodes if node.op == "concat"] == [3, 3]


def test_a_network_comes_back_from_its_files(tmp_path: Path) -> None:
    graph, path = narrow(), tmp_path / "narrow.json"
    write_network(path, graph, weights=True)
    back = read_network(path, path.with_suffix(".npz"))
    assert back == with_weights(back, path.with_suffix(".npz"))
    assert [(n.name, n.op, n.inputs) for n in back.nodes] == [(n.name, n.op, n.inputs) for n in graph.nodes]
    image = np.random.default_rng(0).random((2, 16, 16, 1), dtype=np.float32)
    # Kernels are stored in float16, so a weight is off by 2^-11 of itself at most, through 8 convolutions; the slope of a
    # softmax is at most 1/4 and activations are normalised, so 8 * 2^-11 / 4 = .001 is typical; 10 times that is allowed.
    np.testing.assert_allclose(predict(back, image), predict(graph, image), atol=0.01)


def test_a_network_without_all_its_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "narrow.json"
    write_network(path, narrow(), weights=False)
    np.savez(tmp_path / "few.npz", none=np.zeros(1))
    with pytest.raises(KeyError):
        read_network(path, tmp_path / "few.npz")


def test_finalists_are_chosen_by_the_validation_of_their_int8_files_alone() -> None:
    trained = [
        student("pruned", 80, 99), student("folded", 90, 70), student("deep_head", 95, 99), student("unet", 70, 99),
        student("folded_unet", 85, 60), student("pruned", 80, 80, "1.5x"), student("folded_unet", 85, 85, "1.5x"),
        student("pruned", 80, 80, "3x"),
    ]  # fmt: skip
    files = {one.name: [Int8Student("", "ptq", one.val, one.val - 0.1)] for one in trained}
    # Integers cost the best float network more than training under fake quantization brings back.
    files["deep_head_1x"] = [Int8Student("", "qat", 95, 80, 89)]
    chosen, without_plain = choose_finalists(trained, files)  # at 3x there is no control to compare with
    assert chosen.names == ("folded_1x", "pruned_1x", "folded_unet_1x", "unet_1x")
    assert (chosen.best, chosen.control, chosen.plain) == ("folded_1x", "folded_unet_1x", "unet_1x")
    assert (without_plain.names, without_plain.plain) == (("pruned_1.5x", "folded_unet_1.5x"), None)


def test_the_score_of_an_int8_file_is_that_of_the_method_that_made_it() -> None:
    assert Int8Student("", "ptq", 90, 89).val == 89
    assert Int8Student("", "ptq", 90, 89, 88).val == 89
    assert Int8Student("", "qat", 90, 80, 85).val == 85


def test_the_worst_tenth_is_of_patients_not_of_classes() -> None:
    dice = np.array([[np.nan, 0.5, np.nan], [1.0, 1.0, 0.2]] + 9 * [[1.0, 0.9, 0.9]])  # 11 patients: a tenth is 2 of them
    assert worst_tenth(dice) == pytest.approx(100 * (0.5 + 0.6) / 2)


def test_equal_dice_is_decided_by_the_bound_of_the_loss_not_by_its_estimate() -> None:
    assert is_equal(Interval(0.4, 0.1, 0.5))
    assert not is_equal(Interval(0.0, -0.6, 0.6))


def test_scores_are_averaged_over_seeds_patient_by_patient() -> None:
    def artifact(seed: int, *dice: float) -> ArtifactResult:
        scored = Accuracy((1.0, 0.5), (1.0, 0.5), 1.0, group_dice=tuple((1.0, value) for value in dice))
        return ArtifactResult(f"a_{seed}.int8.tflite", "tflite-int8", "", 1, (16, 16, 1), accuracy=scored)

    artifacts = (artifact(0, 0.2, 0.6), artifact(1, 0.4, 0.8))
    result = RunResult("", describe_environment(), ("background", "organ"), artifacts[0].name, artifacts)
    joined = join_seeds(result, {"a": [Path(one.name) for one in artifacts]})
    assert len(joined["a"].seeds) == 2
    np.testing.assert_allclose(joined["a"].dice, [[1.0, 0.3], [1.0, 0.7]])
    assert joined["a"].artifact == artifacts[0]
