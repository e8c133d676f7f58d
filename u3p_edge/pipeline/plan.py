"""What an export would do, from a model and data that were really read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.data.memory import allowed_bytes, array_bytes
from u3p_edge.pipeline.data import inputs_of
from u3p_edge.pipeline.inputs import read_inputs
from u3p_edge.pipeline.lock import Lock, compare_machines
from u3p_edge.pipeline.normalization_check import check_normalization
from u3p_edge.pipeline.replay import check_inputs, prepare_machine
from u3p_edge.pipeline.source import Source
from u3p_edge.progress import Progress, silent
from u3p_edge.recipes.recipe import ExportRecipe


@dataclass(frozen=True)
class ExportPlan:
    """What an export starts from.

    Args:
        source: the model.
        data: name of the data folder.
        images: number of images of each split.
        notes: what a user should know of the data, and of a lock that is to be replayed, one sentence each.
        needed_bytes: of all images as they are kept.
        allowed_bytes: of memory; splits that need more are kept on disk.
        score: how the float model scores on the validation images; empty where its own preprocessing is known.
    """

    source: Source
    data: str
    images: Mapping[str, int]
    notes: tuple[str, ...]
    needed_bytes: int
    allowed_bytes: int
    score: str


def plan_export(
    model: Path | None,
    data: Path | None,
    recipe: ExportRecipe,
    *,
    lock: Lock | None = None,
    trust: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
) -> ExportPlan:
    """Read the model and every file of the data as an export does, and write nothing. Arguments and errors as `export`."""
    machine = prepare_machine(lock)
    inputs = read_inputs(model, data, recipe, trust=trust, max_pixels=max_pixels, progress=progress)
    check_inputs(lock, inputs)
    source, dataset = inputs.original, inputs.data.dataset
    score = ""
    if not source.trained_here and data is not None:
        check = check_normalization(source, dataset.split("val"), progress)
        score = check.note if check else "no foreground in the validation images"
    return ExportPlan(
        source=source,
        data=dataset.root.resolve().name,
        images={split: dataset.count(split) for split in ("train", "val", "test")},
        notes=(*dataset.notes, *(compare_machines(lock, machine) if lock else ())),
        needed_bytes=array_bytes(inputs_of(dataset, source.metadata), source.metadata.preprocessing),
        allowed_bytes=allowed_bytes(),
        score=score,
    )
