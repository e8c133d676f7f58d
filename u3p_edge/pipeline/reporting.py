"""The report of an export: report.md with pictures, and the same as data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from u3p_edge.benchmark.result_file import save_result
from u3p_edge.benchmark.suite import Measured
from u3p_edge.files.atomic import write_bytes, write_json, write_text
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.pruning_result import PruningResult, node_milliseconds
from u3p_edge.pipeline.report_names import PARETO, PRUNING, REPORT, RESULT, SAMPLES
from u3p_edge.pipeline.source import Source
from u3p_edge.report import pareto, pruning_table
from u3p_edge.report.github import append_summary
from u3p_edge.report.markdown import render
from u3p_edge.report.samples import PictureRow, choose_pictures, write_samples


def write_report(
    folder: Path, measured: Measured, data: ExportData, source: Source, notes: tuple[str, ...], pruning: PruningResult
) -> None:
    """Write the report, its pictures and its data into a folder; pruning.json where something was pruned."""
    result, sections = measured.result, {}
    if pruning.steps:
        rows = pruning_table.pruning_rows(pruning.before, pruning.after, *node_milliseconds(pruning))
        sections["Pruning"] = pruning_table.pruning_table(rows)
        write_json(folder / PRUNING, _pruning(pruning, rows))
    plot = pareto.draw_pareto(result)
    if plot is not None:
        write_bytes(folder / PARETO, plot)
        sections["Dice against latency"] = f"![mean Dice against milliseconds of every file]({PARETO})"
    _samples(folder / SAMPLES, measured, data, source)
    text = render(result, title=f"Export of {source.name}", notes=notes, samples=SAMPLES, sections=sections)
    write_text(folder / REPORT, text)
    save_result(folder / RESULT, result)
    append_summary(text)


def _samples(path: Path, measured: Measured, data: ExportData, source: Source) -> None:
    """Write a picture of some images with the masks of the reference and of the int8 file (else the last file)."""
    names = [a.name for a in measured.result.artifacts]
    first, second = measured.result.reference, next((n for n in names if "int8" in n), names[-1])
    a, b = measured.predictions[first], measured.predictions[second]
    rows = [PictureRow(data.test.stems[i], data.test.images[i], data.test.labels[i], a[i], b[i]) for i in choose_pictures(a, b)]
    write_samples(path, rows, source.metadata, (_short(first), _short(second)))


def _short(name: str) -> str:
    return name.removeprefix("model.")


def _pruning(pruning: PruningResult, rows: tuple[pruning_table.PruningRow, ...]) -> dict[str, object]:
    """Return every step, the channels that are kept, and channels and milliseconds of every part before and after."""
    return {
        "float_dice": pruning.float_dice,
        "steps": [dataclasses.asdict(step) for step in pruning.steps],
        "shape": dataclasses.asdict(pruning.shape),
        "search": None if pruning.search is None else dataclasses.asdict(pruning.search),
        "plan": json.loads(pruning.plan.to_json()),
        "parts": pruning_table.as_values(rows),
    }
