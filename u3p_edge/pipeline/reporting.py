"""The report of an export: report.md with pictures, the same as one page of HTML, and as data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from u3p_edge.benchmark.result import RunResult, mean_over_classes
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.benchmark.suite import Measured
from u3p_edge.data.load import Arrays
from u3p_edge.files.atomic import write_bytes, write_json, write_text
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.pruning_result import PruningResult, node_milliseconds
from u3p_edge.pipeline.report_names import PAGE, PARETO, PRUNING, REPORT, RESULT, SAMPLES, WORST_GROUPS
from u3p_edge.pipeline.source import Source
from u3p_edge.report import pareto, pruning_table
from u3p_edge.report.github import append_summary
from u3p_edge.report.headline import choose_int8
from u3p_edge.report.html import Plot, render_html
from u3p_edge.report.markdown import render
from u3p_edge.report.pruning_bars import draw_pruning
from u3p_edge.report.samples import PictureRow, choose_pictures, write_samples
from u3p_edge.report.sections import Section
from u3p_edge.report.worst import list_worst_groups


def write_report(
    folder: Path, measured: Measured, data: ExportData, source: Source, notes: tuple[str, ...], pruning: PruningResult
) -> None:
    """Write the report, its pictures and its data into a folder; pruning.json where something was pruned."""
    result, tables, plots, sections = measured.result, list[Section](), list[Plot](), dict[str, str]()
    if pruning.steps:
        rows = pruning_table.pruning_rows(pruning.before, pruning.after, *node_milliseconds(pruning))
        tables.append(Section("Pruning", "", pruning_table.HEADER, pruning_table.pruning_cells(rows)))
        sections["Pruning"] = pruning_table.pruning_table(rows)
        if bars := draw_pruning(rows):
            alt = "milliseconds of every part before and after pruning, as in the table"
            plots.append(Plot("parts", "Parts before and after pruning", bars, alt))
        write_json(folder / PRUNING, _pruning(pruning, rows))
    front = pareto.draw_pareto(result)
    if front is not None:
        write_bytes(folder / PARETO, front)
        sections["Dice against latency"] = f"![mean Dice against milliseconds of every file]({PARETO})"
    worst = _draw_pictures(folder, measured, data, source)
    pictures = {name: (folder / name).read_bytes() for name in (SAMPLES, worst) if name}
    title = f"Export of {source.name}"
    text = render(result, title=title, notes=notes, samples=SAMPLES, worst=worst, sections=sections)
    page = render_html(
        result, title=title, notes=notes, pictures=pictures, samples=SAMPLES, worst=worst, sections=tables, plots=plots
    )
    write_text(folder / REPORT, text)
    write_text(folder / PAGE, page)
    save_result(folder / RESULT, result)
    append_summary(text)


def _draw_pictures(folder: Path, measured: Measured, data: ExportData, source: Source) -> str:
    """Write the picture of samples and, where groups have names, that of the worst; return the name of the latter, or ""."""
    files = _two_files(measured.result)
    draw = partial(_draw, measured=measured, data=data, source=source, files=files)
    first, second = (measured.predictions[name] for name in files)
    draw(folder / SAMPLES, {i: data.test.stems[i] for i in choose_pictures(first, second)})
    worst = _worst_images(measured.result, data.test)
    if worst:
        draw(folder / WORST_GROUPS, worst)
    return WORST_GROUPS if worst else ""


def _two_files(result: RunResult) -> tuple[str, str]:
    """Return the names of the files whose masks are drawn: the reference and the int8 file, else the last file."""
    int8 = choose_int8(result)
    return result.reference, result.artifacts[-1].name if int8 is None else int8.name


def _worst_images(result: RunResult, arrays: Arrays) -> dict[int, str]:
    """Return the worst image of each of the worst groups by its index, with the title of its row."""
    groups = list_worst_groups(result)
    file = choose_int8(result) or result.get(result.reference)
    scored = None if file is None else file.accuracy
    if not groups or scored is None or result.data is None:
        return {}
    dice = dict(zip(result.data.image_names, map(mean_over_classes, scored.image_dice), strict=True))
    chosen = {}
    for group in groups:
        images = [i for i, name in enumerate(arrays.groups) if name == group.name and dice[arrays.stems[i]] is not None]
        worst = min(images, key=lambda i: dice[arrays.stems[i]] or 0.0)
        title = "" if arrays.stems[worst] == group.name else f"{group.name}, "
        chosen[worst] = f"{title}{arrays.stems[worst]} (Dice {100 * (dice[arrays.stems[worst]] or 0.0):.1f})"
    return chosen


def _draw(
    path: Path, titles: Mapping[int, str], *, measured: Measured, data: ExportData, source: Source, files: tuple[str, str]
) -> None:
    """Write a picture of some test images, by their indices, with the masks of two files."""
    a, b = (measured.predictions[name] for name in files)
    rows = [PictureRow(title, data.test.images[i], data.test.labels[i], a[i], b[i]) for i, title in titles.items()]
    write_samples(path, rows, source.metadata, (_short(files[0]), _short(files[1])))


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
