"""`u3p-edge export`: a float UNet 3+ to verified files in two formats, and a report. The order of its stages.

source ─ inference graph ─► prune to the budget ─► exact rewrites ─► sparsity ─► float32, int8 (PTQ, else QAT) ─► spatial tiling
                                                                                                                        │
                final names ◄─ report ◄─ measure ◄─ verify ◄─ ONNX from the same integers ◄─────────────────────────────┘
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from u3p_edge import __version__
from u3p_edge.artifact import Manifest, describe, sha256_of, write_json, write_text
from u3p_edge.benchmark.accuracy import data_sha256, predict_labels
from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.suite import EvaluationData, Measured, Settings, default_threads, measure
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.errors import ModelError, VerificationError
from u3p_edge.export.onnx import float_writer, int8_writer
from u3p_edge.export.tflite import converter, schema
from u3p_edge.graph.ir import Graph
from u3p_edge.pipeline import tile
from u3p_edge.pipeline.budgets import find_missed
from u3p_edge.pipeline.choices import to_json
from u3p_edge.pipeline.data import ExportData, check_fit, data_options, read_export_data, validation_samples
from u3p_edge.pipeline.normalization_check import check_normalization, require_working
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.pruning_result import PruningResult
from u3p_edge.pipeline.publish import MODELS, REFERENCE_FILE, assemble, finished_result, open_run, publish
from u3p_edge.pipeline.quantize import QuantizationChoice, float_tflite, quantize_source
from u3p_edge.pipeline.report_names import QUANTIZATION, REWRITES
from u3p_edge.pipeline.reporting import write_report
from u3p_edge.pipeline.rewrite import Network, rewrite_source
from u3p_edge.pipeline.source import Source, read_source, training_of
from u3p_edge.pipeline.sparsify import describe_compression, sparsify_source
from u3p_edge.pipeline.staging import Staging, drop, key_of, open_staging, staging_folder
from u3p_edge.pipeline.verify import verify
from u3p_edge.progress import Progress
from u3p_edge.quantize.support import UntrainableError
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.run_folder import hold
from u3p_edge.runtime.keras import KerasSession, keras_session

VERIFIED_IMAGES = 4


@dataclass(frozen=True)
class Made:
    """What the files were made from: the pruning result, the network, the int8 choice (None without int8), notes for the
    report, and a sentence for each file that could not be made."""

    pruned: PruningResult
    network: Network
    choice: QuantizationChoice | None
    notes: tuple[str, ...]
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Args:
        run: the run folder.
        result: the measurements.
        notes: how the files were made, one sentence each.
        choice: which int8 network was kept; None without int8.
        reused: the run folder already held all of it; nothing was computed.
        failures: one sentence for each file that could not be made; the others were made.
    """

    run: Path
    result: RunResult
    notes: tuple[str, ...]
    choice: QuantizationChoice | None
    reused: bool = False
    failures: tuple[str, ...] = ()


def export(
    model: Path | None,
    data: Path | None,
    run: Path,
    recipe: ExportRecipe,
    *,
    progress: Progress,
    device: Path | None = None,
    command: str = "",
    force: bool = False,
    accept: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Exported:
    """Export a model: convert, quantize, verify, measure, report.

    Args:
        model: a run folder, a `.keras` or `.h5` file, or None for the embedded reference model.
        data: a data folder, or None for the embedded images.
        run: folder for the files; made if it does not exist. An interrupted export continues where it stopped.
        recipe: the options.
        progress: shows the stages, and notes each thing in `run` that was damaged and is made again.
        device: a latency table of `u3p-edge device profile` for pruning; None for this machine.
        command: the command line, for the report.
        force: export again even if `run` already holds the same export, and reuse nothing that is there.
        accept: export a Keras file whose float model does not work on the data as it would be exported.
        max_pixels: height x width that an image or mask may have.

    Raises:
        U3pEdgeError: bad input; nothing half-written is left.
        ArtifactError: `run` holds a file of other origin under a name that an export writes, or another process writes there.
        VerificationError: a file does not compute what the float model computes.
    """
    with hold(run):
        before = open_run(run, force=force, progress=progress)
        source = read_source(model, recipe)
        check_fit(source.metadata, data)
        options = data_options(recipe, training_of(source), data, max_pixels)
        splits = read_export_data(data, source.metadata, progress, options)
        device_sha256 = (sha256_of(device),) if device is not None else ()
        key = key_of(__version__, source.sha256, *_fingerprints(splits), recipe.to_json(), *device_sha256)
        if not force and (done := finished_result(run, before, key, progress)):
            drop(staging_folder(run, key))
            return Exported(run, done, (), None, reused=True)
        # A run folder of `u3p-edge train` records its normalisation; a Keras file does not.
        check = check_normalization(source, validation_samples(data, options), progress) if source.folder is None else None
        if not accept:
            require_working(check)
        staging = open_staging(run, key, fresh=force, progress=progress)
        files, made = _make(source, splits, recipe, device, staging, progress)
        _verify(files, made, source, splits, recipe, staging, progress)
        ready = assemble({name: path for name, path in files.items() if path.suffix[1:] in recipe.formats}, staging)
        # Without a key the next run with the same options does not take this one for finished.
        manifest = _manifest(ready, source, files.get("model.int8.tflite"), "" if made.failures else key, recipe, made.network)
        measured = _measure(ready, manifest, keras_session(source.model, source.metadata), splits, recipe, command, progress)
        over = () if recipe.pruning is None else find_missed(recipe.pruning, measured.result, elsewhere=device is not None)
        checked = (check.note,) if check else ()
        notes = (*checked, *_notes(source, splits, made, recipe), *over)
        _write_choices(ready, made)
        write_report(ready, measured, splits, source, notes, made.pruned)
        publish(ready, run, before, manifest)
        drop(staging.folder)
        return Exported(run, measured.result, notes, made.choice, failures=made.failures)


def _write_choices(folder: Path, made: Made) -> None:
    if made.network.choices:
        write_text(folder / REWRITES, to_json(made.network.choices))
    if made.choice:
        write_json(folder / QUANTIZATION, dataclasses.asdict(made.choice))


def _make(
    source: Source, data: ExportData, recipe: ExportRecipe, device: Path | None, staging: Staging, progress: Progress
) -> tuple[dict[str, Path], Made]:
    """Make every file in the staging folder, by its final name; int8 TFLite is made even where only int8 ONNX is asked for."""
    before = float_tflite(source, staging, progress)
    cut = prune_source(source, data, recipe, device, staging, progress)
    network = sparsify_source(rewrite_source(cut.source, recipe, staging, progress), source, data, recipe, staging, progress)
    whole = tile.tile_float(network.graph, recipe)
    ready = dataclasses.replace(cut.source, model=network.model)
    files = {"model.float32.tflite": _float32(ready, whole.graph, before, recipe, staging)}
    if not recipe.as_it_came:
        files = {REFERENCE_FILE: before, **files}
    choice, notes, failures = None, whole.notes, list[str]()
    if recipe.float16:
        half = partial(converter.convert_float, network.model, source.metadata, half=True)
        with _one_file("model.float16.tflite", failures):
            files["model.float16.tflite"] = staging.file("float16.tflite", half)
    if recipe.int8:
        with _one_file("model.int8.tflite", failures):
            quantized, choice = quantize_source(ready, data, recipe, staging, progress)
            files["model.int8.tflite"], notes = _depth_first(quantized, source, recipe, staging)
            notes += describe_compression(files["model.int8.tflite"], recipe)
    if "onnx" in recipe.formats:
        files |= _onnx(ready, files.get("model.int8.tflite"), staging, progress, failures)
    if not any(path.suffix[1:] in recipe.formats for path in files.values()):
        raise ModelError("; ".join(failures))
    return files, Made(cut, network, choice, (*cut.notes, *network.notes, *notes), tuple(failures))


@contextlib.contextmanager
def _one_file(name: str, failures: list[str]) -> Iterator[None]:
    """Add a sentence to `failures` where one format cannot express a layer, so that the other files are still made.

    UntrainableError (quantization-aware training was asked for and cannot be done) is raised: no file would be as asked for.
    """
    try:
        yield
    except UntrainableError:
        raise
    except ModelError as error:
        failures.append(f"{name} was not made: {error}")


def _float32(ready: Source, graph: Graph, before: Path, recipe: ExportRecipe, staging: Staging) -> Path:
    """Return the float32 TFLite file: the converter's for the original network, this package's writer's for a changed one."""
    if recipe.as_it_came:
        return before
    otherwise = partial(converter.convert_float, ready.model, ready.metadata)
    return staging.file("model.float32.tflite", lambda: tile.float_file(graph, ready.metadata, otherwise))


def _depth_first(quantized: Path, source: Source, recipe: ExportRecipe, staging: Staging) -> tuple[Path, tuple[str, ...]]:
    """Return the int8 file with spatial tiling, and notes on what that did."""
    file, notes = tile.tile_int8(quantized.read_bytes(), source.metadata, recipe)
    return staging.file("model.int8.tflite", lambda: file), notes


def _onnx(source: Source, int8: Path | None, staging: Staging, progress: Progress, failures: list[str]) -> dict[str, Path]:
    """Make the float file, untiled (tiling would make its conversion several times longer), and the int8 file."""
    step = progress("Convert to ONNX", 1 if int8 is None else 2)

    def float32() -> bytes:
        return bytes(float_writer.write_float_onnx(source.model, source.metadata).SerializeToString())

    files = {}
    with _one_file("model.float32.onnx", failures):
        files["model.float32.onnx"] = staging.file("float32.onnx", float32)
    step()
    if int8 is not None:
        with _one_file("model.int8.onnx", failures):
            files["model.int8.onnx"] = staging.file("int8.onnx", partial(_twin, int8, source))
        step()
    return files


def _twin(int8: Path, source: Source) -> bytes:
    """Return the int8 TFLite file's integers as an ONNX file."""
    return bytes(int8_writer.write_int8_onnx(schema.parse_tflite(int8.read_bytes()), source.metadata).SerializeToString())


def _verify(
    files: Mapping[str, Path],
    made: Made,
    source: Source,
    data: ExportData,
    recipe: ExportRecipe,
    staging: Staging,
    progress: Progress,
) -> None:
    """Verify every file against the float network that it was made from: the reference against the original model, the others
    against the pruned one (or the sparse one, where weights were set to zero)."""
    places = np.unique(np.linspace(0, len(data.test.images) - 1, VERIFIED_IMAGES).round().astype(int))
    images = data.test.images[places]
    own = {name: path for name, path in files.items() if name != REFERENCE_FILE}
    pairs = [(own, made.network.model if recipe.zeros else made.pruned.source.model)]
    if REFERENCE_FILE in files:
        pairs.append(({REFERENCE_FILE: files[REFERENCE_FILE]}, source.model))
    try:
        for some, model in pairs:
            float_model = keras_session(model, source.metadata)
            verify(some, float_model, images, min_sqnr=recipe.min_sqnr, float_io=recipe.float_io, progress=progress)
    except VerificationError:
        # Files that are kept would fail again; files made again may not (a damaged disk, another version of a runtime).
        drop(staging.folder)
        raise


def _manifest(folder: Path, source: Source, int8: Path | None, key: str, recipe: ExportRecipe, network: Network) -> Manifest:
    """Return the manifest of the models in a folder."""
    rewrites = tuple((choice.site, choice.chosen) for choice in network.choices)
    manifest = Manifest(recipe=recipe.to_json(), key=key, rewrites=rewrites)
    for path in (folder / name for name in MODELS if (folder / name).exists()):
        # The int8 ONNX file holds the integers of the int8 TFLite file; every other file comes from the float model.
        parent = sha256_of(int8) if int8 is not None and path.name == "model.int8.onnx" else source.sha256
        _, number, container = path.name.split(".")
        manifest = manifest.with_artifact(describe(path, f"{container}-{number}", parent))
    return manifest


def _measure(
    folder: Path,
    manifest: Manifest,
    reference: KerasSession,
    data: ExportData,
    recipe: ExportRecipe,
    command: str,
    progress: Progress,
) -> Measured:
    test = EvaluationData(data.name, data.test_split, data.test)
    expected = predict_labels(reference, data.test.images, progress("Predict with the float model", len(data.test.stems)))
    settings = Settings(threads=default_threads(), rounds=recipe.rounds, max_memory_mb=None)
    files = [folder / artifact.file for artifact in manifest.artifacts]
    return measure(files, data=test, reference_labels=expected, settings=settings, command=command, progress=progress)


def _notes(source: Source, data: ExportData, made: Made, recipe: ExportRecipe) -> tuple[str, ...]:
    size = f"{source.parameters / 1e6:.2f} M parameters, {source.macs / 1e9:.2f} GMAC an image"
    failed = [f"**{failure}**" for failure in made.failures]
    notes = [*failed, f"Model: {size}. {' '.join(source.notes)}", *made.notes]
    if made.choice:
        notes += made.choice.notes
        if made.choice.drop > recipe.max_drop:
            lost = f"int8 loses {made.choice.drop:.2f} points of validation Dice, {recipe.max_drop:.2f} were allowed"
            notes.append(f"**{lost}.**")
    return (*notes, *data.notes)


def _fingerprints(data: ExportData) -> tuple[str, ...]:
    return tuple(data_sha256(a.images, a.labels, a.groups) for a in (data.train, data.val, data.test))
