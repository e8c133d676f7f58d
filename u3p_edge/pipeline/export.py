"""`u3p-edge export`: a float UNet 3+ to verified files in two formats, and a report. The order of its stages.

read the model and the data ─► make every file ─► verify ─► measure ─► report ─► final names

Files wait in a staging folder until they are verified; an interrupted export continues with those that are finished.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from u3p_edge.benchmark.accuracy import predict_labels
from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.suite import EvaluationData, Measured, Settings, choose_threads, measure
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.errors import VerificationError
from u3p_edge.files.atomic import write_json, write_text
from u3p_edge.manifest import Manifest
from u3p_edge.pipeline.budgets import find_missed
from u3p_edge.pipeline.choices import selections_to_json
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.documents import write_documents
from u3p_edge.pipeline.front_sharing import share_trainings
from u3p_edge.pipeline.inputs import Inputs, read_inputs
from u3p_edge.pipeline.lineage import make_manifest
from u3p_edge.pipeline.lock import Lock, Machine
from u3p_edge.pipeline.make_files import MadeFiles, make_files
from u3p_edge.pipeline.normalization_check import check_normalization, require_working
from u3p_edge.pipeline.publish import MODELS, NETWORK_FILE, REFERENCE_FILE, assemble, finished_result, open_run, publish
from u3p_edge.pipeline.quantization_choice import QuantizationChoice
from u3p_edge.pipeline.replay import check_inputs, choose_recipe, make_lock, open_lock, prepare_machine, replay_notes
from u3p_edge.pipeline.report_names import LOCK, QUANTIZATION, REWRITES
from u3p_edge.pipeline.reporting import write_report
from u3p_edge.pipeline.require_shown import require_shown
from u3p_edge.pipeline.staging import drop, open_staging, staging_folder
from u3p_edge.pipeline.verify import choose_images, verify_files
from u3p_edge.progress import Progress, silent
from u3p_edge.provenance.usage import describe_output
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.run_folder import hold
from u3p_edge.runtime.keras import keras_session


@dataclass(frozen=True)
class ExportResult:
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
    model: str | Path | None = None,
    data: str | Path | None = None,
    out: str | Path = "exported",
    recipe: str | Path | ExportRecipe | None = None,
    *,
    device: str | Path | None = None,
    locked: str | Path | None = None,
    command: str = "",
    force: bool = False,
    accept: bool = False,
    trust: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
    **options: Any,
) -> ExportResult:
    """Export a model: prune, rewrite, quantize, write, verify, measure, report.

    Args:
        model: a run folder of `train`, a `.keras`, `.h5` or `.onnx` file; None for the embedded reference model.
        data: a data folder; None for the embedded images.
        out: run folder for the files; made if it does not exist. An interrupted export continues where it stopped.
        recipe: a name ("exact", "balanced", "small"), a TOML file, or a recipe; None for that of `locked`, else "balanced".
        device: a latency table of `profile_device` for pruning; None for this machine.
        locked: `export.lock.json` of another export, whose choices are replayed; None to choose.
        command: the command line, for the report.
        force: export again even if `out` already holds the same export, and reuse nothing that is there.
        accept: export a model of another program whose float model does not work on the data as it would be exported.
        trust: run code that a Keras file holds.
        max_pixels: height x width that an image or mask may have.
        progress: shows the stages, and notes each thing in `out` that was damaged and is made again.
        options: of the recipe, by their keywords, for example `speedup=20`; `u3p-edge recipes show balanced` lists them.

    Returns:
        The files, their accuracy and latencies beside the float model's, and notes on how they were made.

    Raises:
        U3pEdgeError: bad input; nothing half-written is left.
        ConfigError: model, data or recipe are not those of `locked`, or it lacks a choice.
        ArtifactError: `out` holds a file of other origin under a name that an export writes, or another process writes there.
        VerificationError: a file does not compute what the float model computes; with `require_shown`, the int8 network is
            shown to lose more than `max_drop`.
        InconclusiveError: with `require_shown`, the validation split does not decide whether it does.
    """
    run, table, lock = Path(out), Path(device) if device else None, open_lock(locked, device)
    chosen, machine = choose_recipe(recipe, options, lock), prepare_machine(lock)
    with hold(run):
        before = open_run(run, force=force, progress=progress)
        inputs = read_inputs(model, data, chosen, trust=trust, max_pixels=max_pixels, progress=progress)
        check_inputs(lock, inputs)
        job = ExportJob(chosen, machine, lock, table, command, force=force, accept=accept)
        return export_inputs(inputs, run, before, job, progress)


@dataclass(frozen=True)
class ExportJob:
    """How inputs that were read are exported; the fields are those arguments of `export`, read and checked.

    Args:
        recipe: the options.
        machine: what computes here.
        lock: what is replayed.
        table: another device's latency table.
        command: for the report.
        force, accept: see `export`.
        shared: folder of trainings that exports of a front share; None for none.
    """

    recipe: ExportRecipe
    machine: Machine
    lock: Lock | None = None
    table: Path | None = None
    command: str = ""
    force: bool = False
    accept: bool = False
    shared: Path | None = None


def export_inputs(inputs: Inputs, run: Path, before: Manifest, job: ExportJob, progress: Progress = silent) -> ExportResult:
    """Export a model that was read.

    Args:
        inputs: the model and the data.
        run: the run folder, held by this process.
        before: what `open_run` gave.
        job: how.
        progress: shows the stages.

    Raises:
        U3pEdgeError: as `export`.
    """
    lock, chosen = job.lock, job.recipe
    key = inputs.key(chosen, job.table, lock.sha256 if lock else "")
    if not job.force and (finished := finished_result(run, before, key, progress)):
        drop(staging_folder(run, key))
        return _checked(ExportResult(run, finished, (), None, reused=True), chosen)
    check = None
    if not inputs.original.trained_here:
        # What a file or a checkpoint was trained with is what somebody said.
        check = check_normalization(inputs.original, inputs.data.dataset.split("val"), progress)
    if not job.accept:
        require_working(check)
    staging = open_staging(run, key, fresh=job.force, progress=progress, lock=lock.decisions if lock else None)
    context = Context(inputs.original, inputs.data, chosen, staging, progress, job.table, lock=lock)
    with share_trainings(job.shared, context):
        made = make_files(context)
    _verify(made, context)
    published = made.of_formats(chosen.formats)
    ready = assemble(published if made.integers is None else {**published, NETWORK_FILE: made.integers}, staging)
    # Without a key the next run with the same options does not take this one for finished.
    manifest = make_manifest(ready, made, "" if made.failures else key, context.recipe, inputs.origins)
    measured = _measure(ready, manifest, made, job.command, context)
    replayed = replay_notes(lock, job.machine, manifest)
    notes = (*replayed, *((check.note,) if check else ()), *_notes(made, measured.result, context))
    _write_choices(ready, made)
    write_json(ready / LOCK, dataclasses.asdict(make_lock(context, inputs, manifest, job.machine)))
    write_report(ready, measured, inputs.data, inputs.original, notes, made.pruning)
    write_documents(ready, manifest, measured, notes, context)
    publish(ready, run, before, manifest)
    drop(staging.folder)
    return _checked(ExportResult(run, measured.result, notes, made.choice, failures=made.failures), chosen)


def _checked(done: ExportResult, recipe: ExportRecipe) -> ExportResult:
    """Return the result; raise as `require_shown` where the recipe asks for it. All files have their final names by now."""
    if recipe.require_shown:
        require_shown(done.result.loss_check, done.run)
    return done


def _verify(made: MadeFiles, context: Context) -> None:
    """Verify every file against the float network that it was made from: the reference against the original model, the others
    against the pruned one (or the sparse one, where weights were set to zero)."""
    options, test = context.recipe.quantization, context.data.test.images
    images = choose_images(test)
    exported = {name: path for name, path in made.files.items() if name != REFERENCE_FILE}
    pairs = [(exported, made.network.model if context.recipe.sparsity else made.pruning.source.model)]
    if REFERENCE_FILE in made.files:
        pairs.append(({REFERENCE_FILE: made.files[REFERENCE_FILE]}, context.original.model))
    try:
        for files, model in pairs:
            session = keras_session(model, context.original.metadata)
            verify_files(
                files, session, images, min_sqnr=options.min_sqnr, float_io=options.float_io, progress=context.progress
            )
    except VerificationError:
        # Files that are kept would fail again; files made again may not (a damaged disk, another version of a runtime).
        drop(context.staging.folder)
        raise


def _measure(folder: Path, manifest: Manifest, made: MadeFiles, command: str, context: Context) -> Measured:
    data, progress = context.data, context.progress
    reference = keras_session(context.original.model, context.original.metadata)
    step = progress("Predict with the float model", len(data.test.stems))
    expected = predict_labels(reference, data.test.images, step, data.test.originals)
    measured = measure(
        [folder / artifact.file for artifact in manifest.artifacts if artifact.file in MODELS],
        data=EvaluationData(data.name, data.test_split, data.test),
        reference_labels=expected,
        settings=Settings(threads=choose_threads(), rounds=context.recipe.measurement.rounds, max_memory_mb=None),
        command=command,
        progress=progress,
    )
    check = None if made.choice is None else made.choice.loss_check
    return dataclasses.replace(measured, result=dataclasses.replace(measured.result, loss_check=check))


def _notes(made: MadeFiles, result: RunResult, context: Context) -> tuple[str, ...]:
    """Return what a report must say of the model, of how the files were made, of the data, and of what is missed."""
    original, recipe = context.original, context.recipe
    size = f"{original.parameters / 1e6:.2f} M parameters, {original.macs / 1e9:.2f} GMAC an image"
    failed = [f"**{failure}**" for failure in made.failures]
    elsewhere = context.table_sha256 != ""
    missed = () if recipe.pruning is None else find_missed(recipe.pruning, result, elsewhere=elsewhere)
    chosen = () if made.choice is None else made.choice.notes
    usual = recipe.output == "probabilities" and not context.metadata.multi_label
    ends = () if usual else (f"For each pixel the files give {describe_output(context.metadata)}.",)
    return (*failed, *missed, *context.data.notes, *chosen, *made.notes, *ends, f"Model: {size}. {' '.join(original.notes)}")


def _write_choices(folder: Path, made: MadeFiles) -> None:
    if made.network.choices:
        write_text(folder / REWRITES, selections_to_json(made.network.choices))
    if made.choice:
        write_json(folder / QUANTIZATION, dataclasses.asdict(made.choice))
