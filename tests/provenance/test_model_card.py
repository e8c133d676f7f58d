"""The model card: the Hub's own reader takes its front matter, and it says what the measurements say."""

from __future__ import annotations

import dataclasses
import re

import pytest
from huggingface_hub import ModelCard, ModelCardData

from tests.support.sample_results import result
from u3p_edge.benchmark.result import Accuracy, DataInfo, RunResult
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.manifest import Artifact, Manifest, Origin
from u3p_edge.provenance.model_card import CardFacts, Split, main_file, read_card_hashes, write_card
from u3p_edge.provenance.usage import Port, describe_preprocessing

MAIN, FLOAT = "model.int8.tflite", "model.float32.tflite"
STRANGE = 'left: "# | <b>\u202eliver'
"""A class name of a stranger: YAML and Markdown have a meaning for each of its signs."""


def measured(dice: float | None = None) -> RunResult:
    """A float and an int8 file; `dice` is the int8 file's of the strange class, None where it is in no image."""
    run = result()
    scores = (Accuracy((0.99, 0.91, 0.8), (0.98, 0.83, 0.7), 1.0), Accuracy((0.99, 0.905, dice), (0.98, 0.82, dice), 0.99))
    files = tuple(dataclasses.replace(one, accuracy=score) for one, score in zip(run.artifacts, scores, strict=True))
    data = DataInfo("scans", "test", 50, 5, "c" * 64)
    return dataclasses.replace(run, artifacts=files, class_names=("background", "kidney", STRANGE), data=data)


def facts(**changes: object) -> CardFacts:
    intervals = {
        FLOAT: (None, Interval(0.91, 0.88, 0.93), Interval(0.8, 0.7, 0.9)),
        MAIN: (None, Interval(0.905, 0.87, 0.925), None),
    }
    plain = CardFacts(
        title="unet",
        manifest=Manifest(
            (Artifact(MAIN, "tflite-int8", "a" * 64, 1234, "b" * 64),),
            origins=(Origin("float model", "b" * 64, "unet"), Origin("test data", "c" * 64, "scans", license="CC0-1.0")),
        ),
        metadata=default_metadata(Preprocessing(64, 96, normalization="range"), 3, ("background", "kidney", STRANGE)),
        result=measured(),
        main=MAIN,
        intervals=intervals,
        splits=(Split("training", 200, 20), Split("test", 50, 5)),
        ports=(Port("image", (1, 64, 96, 1), "int8", 0.00390625, -128), Port("mask", (1, 64, 96, 3), "int8", 0.00390625, -128)),
        notes=("The network was quantized.",),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type] # changes are fields of its own


@pytest.fixture(scope="module")
def card() -> str:
    return write_card(facts())


def test_the_hubs_own_reader_finds_the_results(card: str) -> None:
    data = ModelCard(card).data
    assert isinstance(data, ModelCardData)
    assert (data.license, data.library_name, data.pipeline_tag) == ("unknown", "u3p_edge", "image-segmentation")
    assert {"image-segmentation", "int8"} <= set(data.tags or ())
    results = {one.metric_name: one for one in data.eval_results or ()}
    assert results["Mean Dice"].metric_value == pytest.approx(0.905)
    assert results["Dice, kidney"].metric_value == 0.905
    assert (results["Mean Dice"].dataset_name, results["Mean Dice"].dataset_split) == ("scans", "test")
    assert not [name for name in results if "liver" in str(name)], "a class that is in no image has no score"


def test_a_class_name_of_a_stranger_stays_a_value_of_the_front_matter() -> None:
    data = ModelCard(write_card(facts(result=measured(0.7)))).data
    assert isinstance(data, ModelCardData)
    assert {"license", "library_name", "tags", "metrics", "model-index", "pipeline_tag"} == set(data.to_dict())
    assert [one.metric_name for one in data.eval_results or ()][-1] == 'Dice, left: "# | <b>\\u202eliver'


def test_it_names_dice_by_class_with_intervals(card: str) -> None:
    assert "| kidney | 91.0 (88.0 to 93.0) | 90.5 (87.0 to 92.5) |" in card
    assert "80.0 (70.0 to 90.0) | in no image |" in card
    assert "5 independent groups, which are few" in card
    alone = {MAIN: (None, Interval(0.9, 0.9, 0.9), None)}
    assert "| kidney | 90.0 |" in write_card(facts(intervals=alone)), "one group has no interval"


def test_it_says_what_it_is_not(card: str) -> None:
    assert "**This is not a medical device.**" in card
    for heading in ("Intended use", "Data", "Accuracy", "Limits", "How to run it", "How to verify it", "Files"):
        assert f"\n## {heading}\n" in card


def test_it_names_data_with_licence_and_files_with_sha256(card: str) -> None:
    assert f"| test | scans | 50 | 5 | CC0-1.0 | {'c' * 64} |" in card
    assert "| training |  | 200 | 20 | not recorded |  |" in card
    assert read_card_hashes(card) == {MAIN: "a" * 64}


def test_it_says_how_to_run_the_file_without_this_package(card: str) -> None:
    assert "- input `image`: int8 [1, 64, 96, 1], real = (integer - (-128)) * 0.00390625: divide by the largest value" in card
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert code is not None
    assert "u3p.open_session('model.int8.tflite')" in code[1]
    compile(code[1], "card", "exec")


@pytest.mark.parametrize("normalization", ["percentile", "zscore", "range", "none", "meanstd"])
@pytest.mark.parametrize("fit", ["resize", "pad"])
def test_every_preprocessing_has_words(normalization: str, fit: str) -> None:
    options = {"mean": (1.5,), "std": (2.5,)} if normalization == "meanstd" else {}
    text = describe_preprocessing(Preprocessing(64, 96, fit=fit, normalization=normalization, **options))  # type: ignore[arg-type] # of a list
    assert "64x96" in text
    assert "{" not in text


def test_the_int8_file_of_litert_is_the_main_one() -> None:
    kinds = ("onnx-int8", "tflite-float32", "tflite-int8", "onnx-float32")
    files = [dataclasses.replace(result().artifacts[0], name=f"model.{kind}", format=kind) for kind in kinds]
    assert main_file(files) == "model.tflite-int8"
    assert main_file(files[-1:]) == "model.onnx-float32"
