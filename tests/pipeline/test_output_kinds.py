"""`--output`: exports whose files give logits or labels, and everything that reads such files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import u3p_edge as u3p
from tests.support.command_line import Program, refusal
from tests.support.exported_files import CONVERTED, REFERENCE
from tests.support.recipes import make_recipe
from tests.support.slow import mark_slow
from tests.support.small_artifacts import Zoo, picture
from u3p_edge.benchmark.accuracy import predict_labels
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.config.metadata import OutputKind
from u3p_edge.conversion.network_file import read_network
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.errors import ModelError
from u3p_edge.files.atomic import read_json
from u3p_edge.manifest import read_manifest
from u3p_edge.pipeline.export import export
from u3p_edge.pipeline.publish import NETWORK_FILE
from u3p_edge.pipeline.verify import find_number_faults
from u3p_edge.progress import silent
from u3p_edge.runtime import open_session

SAID = {"labels": "the label, 0 to 2", "logits": "the logits of the 3 classes"}


@pytest.fixture(scope="module", params=mark_slow(["labels", "logits"], ["logits"]))
def exported(
    request: pytest.FixtureRequest, keras_file: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[OutputKind, Path]:
    """The zoo's network, with int8 in both formats and in tiles."""
    run = tmp_path_factory.mktemp("output") / request.param
    recipe = make_recipe(rounds=5, method="ptq", rewrite=False, tiles=2, output=request.param)
    export(keras_file, pictures, run, recipe, progress=silent)
    return request.param, run


def images() -> np.ndarray:
    return np.stack([picture(seed) for seed in range(20, 24)])


def test_every_document_says_what_the_files_give(exported: tuple[OutputKind, Path]) -> None:
    output, run = exported
    assert {name: open_session(run / name).metadata.output for name in CONVERTED} == dict.fromkeys(CONVERTED, output)
    assert open_session(run / REFERENCE).metadata.output == "probabilities"
    assert json.loads(read_manifest(run).recipe)["output"] == output
    assert read_json(run / "export.lock.json")["recipe"]["output"] == output
    assert f"For each pixel the files give {SAID[output]}" in (run / "report.md").read_text()
    card = (run / "model_card.md").read_text()
    dtype = "uint8 [1, 48, 64]" if output == "labels" else "int8 [1, 48, 64, 3], real ="
    assert f"- output `mask`: {dtype}" in card
    assert SAID[output] in card


def test_the_labels_are_those_of_the_network_with_probabilities(exported: tuple[OutputKind, Path], tmp_path: Path) -> None:
    """The network in integers is the zoo's in all its values; whatever the files give, a pixel has one label."""
    _, run = exported
    network = read_network((run / NETWORK_FILE).read_bytes())
    session = open_session(run / "model.int8.tflite")
    (tmp_path / "logits.tflite").write_bytes(write_tflite(network, dataclasses.replace(session.metadata, output="logits")))
    expected = predict_labels(open_session(tmp_path / "logits.tflite"), images())
    np.testing.assert_array_equal(predict_labels(session, images()), expected)
    floats = [predict_labels(open_session(run / name), images()) for name in ("model.float32.tflite", REFERENCE)]
    np.testing.assert_array_equal(floats[0], floats[1])
    scores = {one.name: one.accuracy.mean_dice for one in read_result(run / "report.json").artifacts if one.accuracy}
    assert scores["model.float32.tflite"] == scores[REFERENCE]


def test_such_a_run_is_verified_benchmarked_and_gated(
    exported: tuple[OutputKind, Path], pictures: Path, keras_file: Path, program: Program
) -> None:
    _, run = exported
    verified = program("verify", run, "--data", pictures, "--model", keras_file)
    assert (verified.code, "failed" in verified.out) == (0, False), verified.out + verified.err
    files, saved = [run / name for name in (*CONVERTED, REFERENCE)], run.parent / f"{run.name}.json"
    measured = program("bench", *files, "--data", pictures, "--save", saved, "--rounds", "5", "--memory", "0")
    assert measured.code == 0, measured.err
    again, before = read_result(saved), read_result(run / "report.json")
    assert len(again.artifacts) == len(before.artifacts)
    for artifact in again.artifacts:
        first = before.get(artifact.name)
        assert first is not None
        assert first.accuracy is not None
        assert artifact.accuracy is not None
        assert artifact.accuracy.dice == first.accuracy.dice
    gated = program("gate", run / "report.json", run / "report.json")
    assert gated.code == 0, gated.out + gated.err


def test_predict_writes_masks_of_any_size(exported: tuple[OutputKind, Path], pictures: Path) -> None:
    _, run = exported
    pixels = Image.open(pictures / "images" / "p9.png")
    session, reference = (u3p.open_session(run / name) for name in ("model.float32.tflite", REFERENCE))
    np.testing.assert_array_equal(session.predict(np.asarray(pixels)), reference.predict(np.asarray(pixels)))
    larger = np.asarray(pixels.resize((100, 90)))
    mask, wanted = session.predict(larger), reference.predict(larger)
    assert mask.shape == (90, 100)
    # Other values are interpolated, so outlines may move by a pixel: they are about 250 of these 9000 pixels long.
    assert (mask == wanted).mean() > 1 - 2 * 250 / 9000


def test_a_file_of_labels_refuses_to_give_probabilities(exported: tuple[OutputKind, Path]) -> None:
    output, run = exported
    session = u3p.open_session(run / "model.int8.tflite")
    if output == "logits":
        assert session.run(picture(1)).shape == (48, 64, 3)
        return
    with pytest.raises(ModelError, match=r"model\.int8\.tflite gives labels alone.*--output probabilities or logits"):
        session.run(picture(1))


def test_metadata_that_do_not_fit_the_output_are_refused(zoo: Zoo, tmp_path: Path) -> None:
    network = read_network((zoo.folder / NETWORK_FILE).read_bytes())
    file = write_tflite(network, dataclasses.replace(zoo.metadata, output="labels"))
    (tmp_path / "other.tflite").write_bytes(file.replace(b'"output":"labels"', b'"output":"logits"'))
    with pytest.raises(ModelError, match=r"shape \[1, 48, 64\], but its metadata says \[1, 48, 64, 3\]"):
        open_session(tmp_path / "other.tflite")


def test_labels_of_another_network_fail_the_verification() -> None:
    probabilities = np.zeros((1, 10, 10, 2), np.float32)
    probabilities[..., 1] = 1
    labels = np.ones((1, 10, 10), np.uint8)
    for name, allowed in (("model.float32.tflite", 0), ("model.float16.tflite", 12), ("model.int8.tflite", 7)):
        for wrong in (allowed, allowed + 1):
            changed = labels.copy()
            changed.ravel()[:wrong] = 0
            assert len(find_number_faults(name, {name: changed}, probabilities, 20)) == (wrong > allowed), (name, wrong)


def test_an_output_that_cannot_be_is_refused(program: Program, keras_file: Path, pictures: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('output = "masks"\n')
    ended = program("export", keras_file, "--data", pictures, "--out", tmp_path / "run", "--recipe", recipe)
    assert "cannot be 'masks'. It is one of 'probabilities', 'logits', 'labels'." in refusal(ended)
