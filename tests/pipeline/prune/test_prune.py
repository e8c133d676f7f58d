"""Channels go until a network costs what it may, and come back where it loses more than it may.

The network has two scales, and many more channels than its pictures need. Plans by a device's table are always the same, so
most tests go by one, made up: a 3x3 convolution takes a nanosecond for a hundred products, the rest one for a hundred elements.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.command_line import ROUNDS, Program, left_in
from tests.support.pruning_runs import EPOCH, channels, recipe, to
from tests.support.recorded_progress import RecordedProgress
from tests.support.small_artifacts import picture
from tests.support.tflite_reader import read_graph
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.conversion.tflite import schema
from u3p_edge.files.atomic import read_json
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.graph.scheme import Quantized
from u3p_edge.latency.table.table import LatencyTable, write_latency_table
from u3p_edge.manifest import read_manifest
from u3p_edge.pipeline.budgets import CLOSE, LATENCY, int8_milliseconds
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.export import export
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import open_staging
from u3p_edge.pipeline.validation import float_model_dice
from u3p_edge.pipeline.verify import FLOAT_TOLERANCE
from u3p_edge.progress import silent
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.runtime import open_session

# --- it fires


@dataclasses.dataclass(frozen=True)
class Done:
    run: Path
    source: Path
    recipe: ExportRecipe
    start_ms: float


@pytest.fixture(scope="module")
def done(wide: Path, source: Source, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """An export to half the milliseconds that the int8 network takes here, in whole maps and as it is written down."""
    run, start = tmp_path_factory.mktemp("pruned") / "run", int8_milliseconds()(fold_batch_norm(source.graph))
    wanted = recipe(to(start / 2, final_updates=4 * EPOCH), formats=("tflite",), rewrite=False, tiles=1)
    export(wide, pictures, run, wanted, progress=silent)
    return Done(run, wide, wanted, start)


def test_an_export_says_what_it_dropped(done: Done) -> None:
    kept = read_json(done.run / "pruning.json")
    *rows, total = kept["parts"]
    assert {row["part"] for row in rows} == {
        *("enc1_conv1", "enc1_conv2", "enc2_conv1", "dec1_from_enc1", "dec1_from_enc2", "dec1_fuse", "mask_logits"),
    }
    assert all(row["channels_after"] <= row["channels_before"] for row in rows)
    assert total["channels_after"] < total["channels_before"] == 8 + 16 + 32 + 8 + 8 + 16 + 3
    assert total["ms_after"] < total["ms_before"]
    report = (done.run / "report.md").read_text()
    assert "## Pruning\n\n| part | channels before | channels after |" in report
    assert f"| total | {total['channels_before']} | {total['channels_after']} |" in report
    (note,) = [line for line in report.splitlines() if "Pruned to latency, ms" in line]
    assert "by taylor" in note
    assert "after 4 epochs of distillation" in note
    assert note.rstrip().endswith("kept.")


def test_the_cost_that_was_reached_is_measured_and_what_the_file_has_too_much_is_reported(done: Done) -> None:
    (step,) = read_json(done.run / "pruning.json")["steps"]
    assert (step["share"], step["kept"]) == (1.0, True)
    assert step["reached"][LATENCY] < done.start_ms
    asked = done.recipe.pruning
    assert asked is not None
    assert asked.latency_budget_ms is not None
    int8 = read_result(done.run / "report.json").get("model.int8.tflite")
    assert int8 is not None
    took = int8.latency(1)
    assert took is not None
    over = float(np.median(took.samples_ms)) > (1 + CLOSE) * asked.latency_budget_ms
    assert over == ("ms were asked for.**" in (done.run / "report.md").read_text())


# --- structure


def kernels(graph: Graph) -> Counter[tuple[int, ...]]:
    return Counter(node.weights["kernel"].shape for node in graph.nodes if "kernel" in node.weights)


def test_the_int8_file_has_the_channels_of_the_plan_and_no_others(done: Done, source: Source) -> None:
    plan = PruningPlan.from_json(json.dumps(read_json(done.run / "pruning.json")["plan"]))
    expected = kernels(fold_batch_norm(apply_plan(source.graph, plan)))
    assert expected != kernels(fold_batch_norm(source.graph))
    network = read_graph(schema.parse_tflite((done.run / "model.int8.tflite").read_bytes()))
    assert isinstance(network, Quantized)
    assert kernels(network.graph) == expected


def test_all_is_measured_against_the_original_model(done: Done, source: Source) -> None:
    image = picture(40)
    expected = np.asarray(source.model(image[None], training=False))[0]
    whole = open_session(done.run / "reference.float32.tflite").run(image)
    np.testing.assert_allclose(whole, expected, rtol=0, atol=FLOAT_TOLERANCE)
    small = open_session(done.run / "model.float32.tflite").run(image)
    # So far from the original model that verification against that one would have refused it: it was against what
    # pruning made of it.
    assert np.abs(small - expected).max() > 10 * FLOAT_TOLERANCE
    integers = open_session(done.run / "model.int8.tflite").run(image)
    # Where two classes are all but equal, rounding to 1/256 may decide: few pixels of an easy picture.
    assert (small.argmax(axis=-1) == integers.argmax(axis=-1)).mean() > 0.9
    assert "reference.float32.tflite" in (done.run / "report.json").read_text()


def test_every_file_of_an_export_says_the_same_of_itself(done: Done) -> None:
    models = [artifact.file for artifact in read_manifest(done.run).artifacts if artifact.format != "network"]
    metadata = {open_session(done.run / file).metadata for file in models}
    assert len(metadata) == 1


# --- numbers


def test_the_dice_on_record_is_what_the_pruned_network_scores(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path
) -> None:
    result = prune_source(
        Context(source, data, recipe(to(unpruned_ms / 2, final_updates=EPOCH)), open_staging(tmp_path, "key"), device=device)
    )
    (step,) = result.steps
    assert result.float_dice == float_model_dice(source, data.val)
    assert step.dice == float_model_dice(result.source, data.val)
    cut = to_keras(apply_plan(source.graph, result.plan))
    assert step.cut_dice == float_model_dice(dataclasses.replace(source, model=cut), data.val)
    # Three steps on pictures this easy mend what a cut of half the time did; without them the two would be the same.
    assert step.dice > step.cut_dice
    assert (step.epochs, step.best_epoch) == (1, 1)
    assert channels(result.source.graph) == channels(apply_plan(source.graph, result.plan))
    assert (result.source.macs, result.source.parameters) < (source.macs, source.parameters)
    assert result.source.metadata == source.metadata


def test_the_choice_of_integers_starts_from_the_pruned_network(done: Done) -> None:
    kept, choice = read_json(done.run / "pruning.json"), read_json(done.run / "quantization.json")
    assert choice["pruned_dice"] == kept["steps"][-1]["dice"]
    # Of the TFLite file and of tf_keras, whose masks differ by rounding: pixels whose two best classes are all but equal.
    assert choice["float_dice"] == pytest.approx(kept["float_dice"], abs=1e-3)


def test_each_step_says_what_the_validation_images_show_of_its_loss(done: Done) -> None:
    kept = read_json(done.run / "pruning.json")
    (step,) = kept["steps"]
    check = step["loss_check"]
    assert check["loss"]["estimate"] == pytest.approx(100 * (kept["float_dice"] - step["dice"]))
    assert (check["verdict"], check["groups"], check["allowed"]) == ("not shown", 3, done.recipe.max_drop)
    assert "not shown to lose at most" in next(
        line for line in (done.run / "report.md").read_text().splitlines() if "Pruned to latency" in line
    )


@pytest.mark.slow  # three prunings with training
def test_gradient_steps_make_whole_epochs(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path
) -> None:
    for updates, most, expected in ((1, 9, [1, 2]), (1, 1, [1, 1]), (3 * EPOCH, 5, [2, 2])):
        wanted = recipe(to(unpruned_ms / 2, steps=2, updates=updates, final_updates=EPOCH + 1, most_epochs=most))
        result = prune_source(Context(source, data, wanted, open_staging(tmp_path / f"{updates}_{most}", "key"), device=device))
        assert [step.epochs for step in result.steps] == expected


def test_an_export_by_another_table_is_another_export(
    wide: Path, pictures: Path, done: Done, table: LatencyTable, tmp_path: Path
) -> None:
    """Begun, that is: the first stage ends it here."""
    run, one, other = Path(shutil.copytree(done.run, tmp_path / "run")), tmp_path / "one.json", tmp_path / "other.json"
    write_latency_table(one, table)
    write_latency_table(other, dataclasses.replace(table, disturbed=table.disturbed + 1))
    assert export(wide, pictures, run, done.recipe, progress=RecordedProgress()).reused
    for path in (one, other):
        stages = RecordedProgress(interrupt_at=("Score under each normalization", 1))
        with pytest.raises(KeyboardInterrupt):
            export(wide, pictures, run, done.recipe, progress=stages, device=path)
    assert export(wide, pictures, run, done.recipe, progress=RecordedProgress()).reused


def test_a_network_within_its_budget_is_left_as_it_is(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path
) -> None:
    stages = RecordedProgress()
    result = prune_source(
        Context(source, data, recipe(to(2 * unpruned_ms)), open_staging(tmp_path, "key"), stages, device=device)
    )
    assert (result.source, result.steps, stages.stages) == (source, (), [])
    assert result.notes == ("Nothing was pruned: the network is within its budgets as it is.",)
    assert channels(result.before) == channels(result.after)


# --- all of it


@pytest.mark.slow  # the export above prunes, and `tests/cli/test_rewrite.py` exports what is rewritten
def test_the_command_prunes_rewrites_and_keeps_to_the_size(
    program: Program, wide: Path, pictures: Path, tmp_path: Path
) -> None:
    mine, run = tmp_path / "mine.toml", tmp_path / "run"
    mine.write_text(
        "description = 'mine'\nmax_drop = 100\n[pruning]\nspeedup = 2\nshrink = 3\nfinal_updates = 3\nbatch_size = 2\n"
    )
    done = program("export", wide, "--int8", "--data", pictures, "--out", run, "--recipe", mine, "--tiles", 1, *ROUNDS)
    assert done.code == 0, done.err
    assert "Pruned to latency, ms" in done.out.replace("\n", " ")
    assert {"pruning.json", "pareto.svg", "rewrites.json", "model.int8.onnx"} <= set(left_in(run))
    sizes = {a.file: a.bytes for a in read_manifest(run).artifacts}
    assert sizes["model.int8.tflite"] <= sizes["reference.float32.tflite"] / 3
