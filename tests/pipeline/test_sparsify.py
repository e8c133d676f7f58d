"""Zeros that are asked for lie in the int8 file, where they make its gzip small; a killed export finds them again."""

from __future__ import annotations

import dataclasses
import gzip
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.command_line import ROUNDS, Program
from tests.support.recipes import make_recipe
from tests.support.recorded_progress import RecordedProgress
from tests.support.small_artifacts import picture
from tests.support.tflite_reader import read_graph
from u3p_edge.conversion.tflite import schema
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.files.atomic import read_json
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.graph.scheme import Quantized
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData, read_export_data
from u3p_edge.pipeline.quantize import quantize_source
from u3p_edge.pipeline.rewrite import Network, rewrite_source
from u3p_edge.pipeline.source import Source, read_source
from u3p_edge.pipeline.sparsify import MB, describe_compression, sparsify_network
from u3p_edge.pipeline.staging import MARKER, Staging, open_staging
from u3p_edge.pipeline.validation import float_model_dice
from u3p_edge.progress import silent
from u3p_edge.quantization.ptq import quantize_ptq
from u3p_edge.quantization.sparsify import LEAST
from u3p_edge.quantization.sparsity import Sparsity

TRAINED = "Train with zeros"
SHARE = 0.7
RECIPE = make_recipe(rewrite=False, method="qat", qat_epochs=1, sparsity=Sparsity(share=SHARE, epochs=1))


@dataclasses.dataclass(frozen=True)
class Made:
    """A network, the same with zeros, where its files are staged, and the stages that it took."""

    source: Source
    data: ExportData
    dense: Network
    network: Network
    staging: Staging
    stages: tuple[str, ...]


@pytest.fixture(scope="module")
def made(wide: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    source = read_source(wide)
    data = read_export_data(pictures, source.metadata, silent)
    staging, progress = open_staging(tmp_path_factory.mktemp("zeros"), "key"), RecordedProgress()
    dense = rewrite_source(source, Context(source, data, RECIPE, staging))
    network = sparsify_network(dense, Context(source, data, RECIPE, staging, progress))
    return Made(source, data, dense, network, staging, tuple(progress.names))


def large(kernels: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
    """Those that zeros are meant for: neither the first nor the head, which are small here."""
    return {name: kernel for name, kernel in kernels.items() if kernel.size >= LEAST}


def kernels(network: Network) -> dict[str, npt.NDArray[np.generic]]:
    return large({node.name: node.weights["kernel"] for node in network.graph.nodes if "kernel" in node.weights})


def by_shape(kernels: Mapping[str, npt.NDArray[np.generic]]) -> dict[tuple[int, ...], npt.NDArray[np.generic]]:
    """Large kernels by their shape, which tells them apart, whatever a converter calls them."""
    result = {kernel.shape: kernel for kernel in kernels.values()}
    assert len(result) == len(kernels) == 5
    return result


def integers(file: Path) -> dict[tuple[int, ...], npt.NDArray[np.generic]]:
    """The large kernels of an int8 file, HWIO."""
    network = read_graph(schema.parse_tflite(file.read_bytes()))
    assert isinstance(network, Quantized)
    # Weights of a Graph are floats; an integer 0 and no other is 0.0 there.
    return by_shape(large({n.name: n.weights["kernel"] for n in network.graph.nodes if "kernel" in n.weights}))


def test_the_share_that_was_asked_for_is_zero(made: Made) -> None:
    assert TRAINED in made.stages
    shapes = kernels(made.network)
    assert len(shapes) == 5
    for name, kernel in shapes.items():
        # TFMOT rounds the number of weights that stay.
        assert (kernel == 0).mean() == pytest.approx(SHARE, abs=1 / kernel.size)
        assert (kernels(made.dense)[name] == 0).mean() < 0.01


def test_the_network_is_the_same_but_for_its_weights(made: Made) -> None:
    nodes, before = made.network.graph.nodes, made.dense.graph.nodes
    assert [(n.name, n.op, n.inputs) for n in nodes] == [(n.name, n.op, n.inputs) for n in before]
    assert made.network.macs_before == made.dense.macs_before
    image = picture(3)[None]
    found, same, dense = (
        np.asarray(model(image, training=False))
        for model in (made.network.model, to_keras(made.network.graph), made.dense.model)
    )
    np.testing.assert_array_equal(found, same)
    assert np.abs(found - dense).max() > 0.01, "seven of ten weights are gone"


def test_without_being_asked_for_there_are_none(made: Made, tmp_path: Path) -> None:
    none = dataclasses.replace(RECIPE, sparsity=None)
    staging = open_staging(tmp_path, "key")
    assert sparsify_network(made.dense, Context(made.source, made.data, none, staging)) is made.dense
    assert [path.name for path in staging.folder.iterdir()] == [MARKER]
    assert describe_compression(tmp_path / "absent.tflite", none.sparsity) == ()


def test_a_killed_export_finds_its_zeros_again(made: Made) -> None:
    progress = RecordedProgress()
    again = sparsify_network(made.dense, Context(made.source, made.data, RECIPE, made.staging, progress))
    assert progress.stages == []
    for ours, theirs in zip(again.model.get_weights(), made.network.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name, kernel in kernels(again).items():
        np.testing.assert_array_equal(kernel, kernels(made.network)[name])


@pytest.mark.slow  # `tests/quantization/test_sparsify.py` trains and converts what has zeros
def test_every_zero_is_one_in_the_int8_files_trained_or_not(made: Made) -> None:
    ready = dataclasses.replace(made.source, model=made.network.model)
    _, choice = quantize_source(ready, Context(made.source, made.data, RECIPE, made.staging))
    assert choice.pruned_dice == float_model_dice(ready, made.data.val)
    assert choice.qat_dice is not None
    expected = by_shape(kernels(made.network))
    for name in ("ptq.tflite", "qat.tflite"):
        result = integers(made.staging.folder / name)
        assert result.keys() == expected.keys()
        for shape, kernel in result.items():
            assert (kernel[expected[shape] == 0] == 0).all()
            assert (kernel != 0).any()
    # One of the two was trained, so it is another one.
    assert (made.staging.folder / "ptq.tflite").read_bytes() != (made.staging.folder / "qat.tflite").read_bytes()


def test_the_note_tells_the_size_of_the_gzip_which_zeros_shrink(made: Made) -> None:
    calibration = made.data.train.images
    files = []
    for name, network in (("dense", made.dense), ("model.int8", made.network)):
        files.append(made.staging.folder / f"{name}.tflite")
        files[-1].write_bytes(write_tflite(quantize_ptq(network.graph, calibration), made.source.metadata))
    sizes = [(path.stat().st_size, len(gzip.compress(path.read_bytes(), 9))) for path in files]
    (note,) = describe_compression(files[1], RECIPE.sparsity)
    assert "70 % of the weights of each large kernel are zero (unstructured)" in note
    stated = re.search(r"model\.int8\.tflite has ([\d.]+) MB, ([\d.]+) MB as gzip", note)
    assert stated is not None
    # To a kilobyte; the time in a gzip's head does not change its length.
    assert [float(number) for number in stated.groups()] == pytest.approx([size / MB for size in sizes[1]], abs=0.0005)
    # The 11.5 thousand weights of the large kernels are a byte each, and by then 0.7 of them are worth a fraction of a bit.
    assert sizes[1][1] < sizes[0][1] - 0.25 * 11_520
    assert sizes[1][0] >= sizes[0][0], "as it lies on the disk it is no shorter than before"


@pytest.mark.slow  # `tests/quantization/test_sparsify.py` has the pattern, the tests above the stage
def test_the_command_leaves_two_zeros_among_any_four(program: Program, wide: Path, pictures: Path, tmp_path: Path) -> None:
    options = ("--recipe", "exact", "--sparsity", "2:4", "--ptq", "--no-rewrite", "--tiles", 1, "--formats", "tflite")
    done = program("export", wide, "--int8", "--data", pictures, "--out", tmp_path, *options, *ROUNDS)
    assert done.code == 0, done.err
    for kernel in integers(tmp_path / "model.int8.tflite").values():
        fours = np.moveaxis(kernel, 2, -1).reshape(-1, 4)
        assert ((fours == 0).sum(axis=1) >= 2).all()
    assert (
        "50 % of the weights of each large kernel are zero (2:4): model.int8.tflite has" in (tmp_path / "report.md").read_text()
    )
    assert "## Pruning" not in (tmp_path / "report.md").read_text(), "no channel was dropped"
    assert not (tmp_path / "pruning.json").exists()
    assert read_json(tmp_path / "quantization.json")["pruned_dice"] is not None
