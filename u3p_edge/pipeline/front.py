"""`u3p-edge export --pareto`: a front of networks, from exact to the fastest that is still useful, each a verified export.

read model and data ─ plan the networks ─► export each into OUT/NAME, the next from the one before ─► measure all side by side
                                                                              ─► pick one by the validation split ─► report
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.result_file import read_result, save_result
from u3p_edge.benchmark.suite import EvaluationData, Settings, choose_threads, measure
from u3p_edge.config.plain import from_dict
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.errors import ArtifactError, ConfigError, ModelError, VerificationError
from u3p_edge.files.atomic import read_json, write_bytes, write_json, write_text
from u3p_edge.manifest import REPORT_FORMAT, Manifest, describe, write_manifest
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.export import ExportJob, export_inputs
from u3p_edge.pipeline.front_plan import FrontSpeeds, PlannedPoint, plan_front
from u3p_edge.pipeline.front_points import Asked, FrontPoint, describe_point, pick_point
from u3p_edge.pipeline.inputs import Inputs, read_inputs
from u3p_edge.pipeline.publish import REFERENCE_FILE, finished_result, open_run
from u3p_edge.pipeline.replay import prepare_machine
from u3p_edge.pipeline.report_names import FRONT, PAGE, PARETO, REPORT, RESULT
from u3p_edge.pipeline.require_shown import require_shown
from u3p_edge.pipeline.staging import drop, open_staging
from u3p_edge.progress import PartProgress, Progress, silent
from u3p_edge.recipes.build import build_recipe
from u3p_edge.recipes.named import DEFAULT
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.report.front import HEADER, front_cells, front_table, list_dominated
from u3p_edge.report.github import append_summary
from u3p_edge.report.html import render_html
from u3p_edge.report.markdown import render
from u3p_edge.report.pareto import draw_pareto
from u3p_edge.report.sections import Section
from u3p_edge.run_folder import check_ours, hold, open_manifest

INT8 = "model.int8.tflite"
FILES = (REPORT, PAGE, RESULT, PARETO, FRONT)

USELESS = 5.0
"""Points of validation Dice: a network that loses more is the last of its front."""


@dataclass(frozen=True)
class ParetoResult:
    """The result of exporting a front.

    Args:
        run: the folder around the run folders of all networks.
        result: measurements of the float reference and of every int8 TFLite file, side by side.
        points: the networks, the slowest first; the run folder of each is `run / name`.
        picked: name of the network that keeps to what was asked; empty where none does.
        notes: what a reader should know, one sentence each.
        reused: the folder already held all of it; nothing was computed.
    """

    run: Path
    result: RunResult
    points: tuple[FrontPoint, ...]
    picked: str
    notes: tuple[str, ...]
    reused: bool = False

    def require_shown(self) -> None:
        """Raise where no network was picked, or the picked one is not shown to lose at most the allowed points.

        Raises:
            VerificationError: no network was picked, or the picked one is shown to lose more.
            InconclusiveError: the validation split does not decide.
        """
        picked = next((point for point in self.points if point.name == self.picked), None)
        if picked is None:
            raise VerificationError(f"no network of the front keeps to what was asked. The files are kept in {self.run}.")
        require_shown(picked.loss_check, self.run / picked.name)


@dataclass(frozen=True)
class _Front:
    """What the exports of one front share."""

    run: Path
    context: Context
    inputs: Inputs
    job: ExportJob


def export_pareto(
    model: str | Path | None = None,
    data: str | Path | None = None,
    out: str | Path = "front",
    recipe: str | Path | ExportRecipe = DEFAULT,
    *,
    command: str = "",
    force: bool = False,
    accept: bool = False,
    trust: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
    **options: Any,
) -> ParetoResult:
    """Export a front of networks, from exact to the fastest that is still useful, and pick one of them.

    Each network is a whole export in its own run folder `out / name`, and starts from the network before it. Where options
    give a speed-up or a latency, that is a point of the front, and of the networks that keep to it the one that loses least is
    picked; otherwise the fastest that loses at most `max_drop` on the validation split.

    Args:
        model: a run folder of `train`, a `.keras`, `.h5` or `.onnx` file; None for the embedded reference model.
        data: a data folder; None for the embedded images.
        out: folder for the run folders and the report; an interrupted front continues where it stopped.
        recipe: a name, a TOML file, or a recipe that prunes to a speed-up; its budgets of size are left out.
        command: the command line, for the report.
        force: export again even if `out` already holds the same front.
        accept: export a Keras file whose float model does not work on the data as it would be exported.
        trust: run code that a Keras file holds.
        max_pixels: height x width that an image or mask may have.
        progress: shows the stages.
        options: of the recipe, by their keywords.

    Raises:
        U3pEdgeError: as `export`.
        ConfigError: the recipe is for float files, without TFLite, or has no speed-up.
        ArtifactError: `out` holds an export, or files of other origin.
        VerificationError: with `require_shown`, no network keeps to what is asked, or the picked one loses more.
        InconclusiveError: with `require_shown`, the validation split does not decide whether the picked one does.
    """
    run, chosen = Path(out), build_recipe(recipe, **options)
    if not chosen.int8 or "tflite" not in chosen.formats:
        raise ConfigError("a front compares int8 TFLite files, and none was asked for", mend="Ask for int8 and TFLite.")
    asked = Asked(chosen.max_drop, options.get("speedup"), options.get("latency_budget_ms"))
    required, chosen = chosen.require_shown, replace(chosen, require_shown=False)
    machine = prepare_machine(None)
    with hold(run):
        before = _open(run, force=force, progress=progress)
        inputs = read_inputs(model, data, chosen, trust=trust, max_pixels=max_pixels, progress=progress)
        key = inputs.key(chosen, lock=f"front {asked}")
        done = None if force else _read_finished(run, before, key, progress)
        if done is None:
            staging = open_staging(run, key, fresh=force, progress=progress)
            context = Context(inputs.original, inputs.data, chosen, staging, progress)
            job = ExportJob(chosen, machine, command=command, force=force, accept=accept, shared=staging.folder)
            done = _export(_Front(run, context, inputs, job), asked)
            _write(done, before, key)
            drop(staging.folder)
    if required:
        done.require_shown()
    return done


def _open(run: Path, *, force: bool, progress: Progress) -> Manifest:
    """Return the manifest of the folder; refuse one with an export or with files of other origin."""
    manifest = open_manifest(run, FILES, force=force, progress=progress)
    if manifest.artifacts or manifest.pending:
        raise ArtifactError(f"{run} holds an export, and a front has one in each folder within it", mend="Give another --out.")
    check_ours(run, manifest, FILES)
    return manifest


def _export(front: _Front, asked: Asked) -> ParetoResult:
    """Export every network, measure all side by side, and pick one."""
    planned, speeds = plan_front(front.context)
    points = tuple(_export_points(front, planned))
    result = _measure(front, points)
    picked = pick_point(points, result, asked)
    notes = (*_notes(planned, points, speeds), *list_dominated(result, [point.name for point in points]))
    if picked is None:
        first = f"**No network keeps to what was asked: {asked} (on the validation split).**"
    else:
        lost = f"lost {picked.lost:.2f} points" if picked.lost >= 0 else f"gained {-picked.lost:.2f} points"
        first = f"**Picked: {picked.name}** ({asked}; on the validation split it {lost})."
    return ParetoResult(front.run, result, points, "" if picked is None else picked.name, (first, *notes))


def _export_points(front: _Front, planned: Sequence[PlannedPoint]) -> Iterator[FrontPoint]:
    """Export one network after the other, until one is useless."""
    for number, point in enumerate(planned):
        folder = front.run / point.name
        progress = PartProgress(front.context.progress, f"{point.name} ({number + 1} of {len(planned)})")
        with hold(folder):
            before = open_run(folder, force=front.job.force, progress=progress)
            try:
                done = export_inputs(front.inputs, folder, before, replace(front.job, recipe=point.recipe), progress)
            except ConfigError as error:
                if point.recipe.pruning is None or not point.recipe.pruning.search:
                    raise
                progress.note(f"The front ends before this network: {error.symptom}.")
                return
        if not (folder / INT8).exists():
            raise ModelError(f"{point.name}: {'; '.join(done.failures)}")
        described = describe_point(point, folder, done.result.loss_check)
        yield described
        if described.lost > USELESS:
            return


def _measure(front: _Front, points: Sequence[FrontPoint]) -> RunResult:
    """Measure the float reference and the int8 file of every network, in this order, in interleaved rounds."""
    data, recipe = front.inputs.data, front.context.recipe
    reference = front.run / points[0].name / REFERENCE_FILE
    if not reference.exists():  # where nothing was rewritten, the float file is the original model's
        reference = reference.with_name("model.float32.tflite")
    return measure(
        [reference, *(front.run / point.name / INT8 for point in points)],
        data=EvaluationData(data.name, data.test_split, data.test),
        settings=Settings(threads=choose_threads(), rounds=recipe.measurement.rounds, max_memory_mb=None),
        command=front.job.command,
        progress=front.context.progress,
    ).result


def _notes(planned: Sequence[PlannedPoint], points: Sequence[FrontPoint], speeds: FrontSpeeds) -> tuple[str, ...]:
    """Return sentences on where the front ends, and why."""
    notes = []
    if speeds.fastest is not None:
        notes.append(f"With hardly a channel left this network would be {speeds.fastest:.3g} times as fast as float.")
    last = points[-1]
    if last.lost > USELESS:
        lost = f"{last.lost:.2f} points of validation Dice"
        notes.append(f"The front ends at {last.name}, which loses {lost}: a network that loses over {USELESS:g} is of no use.")
    elif len(points) < len(planned):
        missed = f"{planned[len(points)].speedup:.3g} times as fast as float"
        notes.append(f"The front ends at {last.name}: no shape reaches {missed}.")
    return tuple(notes)


def _write(done: ParetoResult, before: Manifest, key: str) -> None:
    """Write the report and its data; the manifest of the folder lists them once all are whole."""
    run, result = done.run, done.result
    write_manifest(run, before.with_claims(FILES))
    rows = [(point.name, point.shape, point.made) for point in done.points]
    sections = {"The front": front_table(result, rows)}
    plot = draw_pareto(result)
    if plot is not None:
        write_bytes(run / PARETO, plot)
        sections["Dice against latency"] = f"![mean Dice against milliseconds of every network]({PARETO})"
    text = render(result, title="Front of networks", notes=done.notes[1:], sections=sections, first=done.notes[0])
    write_text(run / REPORT, text)
    write_text(run / PAGE, _page(done, Section("The front", "", HEADER, front_cells(result, rows))))
    save_result(run / RESULT, result)
    write_json(run / FRONT, {"points": [asdict(each) for each in done.points], "picked": done.picked, "notes": done.notes})
    reports = tuple(describe(run / name, REPORT_FORMAT) for name in FILES if (run / name).exists())
    write_manifest(run, dataclasses.replace(before.without(FILES), reports=reports, key=key))
    append_summary(text)


def _page(done: ParetoResult, front: Section) -> str:
    return render_html(done.result, title="Front of networks", notes=done.notes[1:], sections=[front], first=done.notes[0])


def _read_finished(run: Path, manifest: Manifest, key: str, progress: Progress) -> ParetoResult | None:
    """Return the same front that is there already; None if it is not, or one of its files has changed."""
    if finished_result(run, manifest, key, progress) is None:
        return None
    stored = read_json(run / FRONT)
    points = tuple(from_dict(FrontPoint, each) for each in stored["points"])
    return ParetoResult(run, read_result(run / RESULT), points, stored["picked"], tuple(stored["notes"]), reused=True)
