"""Write the scans of any source as a data folder that training, export and bench read.

    OUT/images/<case>_s012.png     one file for each slice; float TIFF where 16 bits do not hold the values
    OUT/masks/<case>_s012.png      the class of each pixel
    OUT/split.csv                  name, patient and, where the source says it, split
    OUT/manifest.json              class names and licence
    OUT/source.json                for each case its slices, size, spacing and affine

The folder appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from u3p_edge.config.metadata import Axis
from u3p_edge.data.description import DESCRIPTION, describe_folder
from u3p_edge.data.folder import SPLIT_FILE
from u3p_edge.data.volumes import SOURCE_FILE, slice_names
from u3p_edge.errors import ConfigError, DataError, about
from u3p_edge.files.atomic import atomic_folder, write_json, write_text
from u3p_edge.progress import Progress, Step, silent
from u3p_edge.run_folder import check_output_folder
from u3p_edge.scans.case import Case, CaseList
from u3p_edge.scans.options import DEFAULTS, ScanOptions
from u3p_edge.scans.slice_files import to_pixels, write_slices
from u3p_edge.scans.sources import DICOM, MASKS_BY_CLASS, NIFTI, TIFF_STACK, find_kind


@dataclass(frozen=True)
class CaseGeometry:
    """Where the slices of a case lie.

    Args:
        case: its name.
        patient: whose scan it is.
        split: "train", "val" or "test"; empty where the source does not say.
        slices: stems of their files, in order.
        size: rows and columns of a slice.
        spacing: millimetres between slices, rows and columns; None where not known.
        affine: 4 x 4, from (slice, row, column, 1) to millimetres, RAS+; None where not known.
        axis: see `Volume`.
    """

    case: str
    patient: str
    split: str
    slices: tuple[str, ...]
    size: tuple[int, int]
    spacing: tuple[float, float, float] | None = None
    affine: tuple[tuple[float, ...], ...] | None = None
    axis: Axis | None = None


@dataclass(frozen=True)
class ImportResult:
    """What was imported, or, in a dry run, what would be.

    Args:
        folder: the data folder.
        kind: of the source.
        cases: in order.
        labelled: whether there are masks.
        class_names: as the source has them; empty where it has none.
        notes: what a user should know, one sentence each.
        multi_label: masks hold sets of classes that may overlap.
    """

    folder: Path
    kind: str
    cases: tuple[CaseGeometry, ...]
    labelled: bool
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    multi_label: bool = False

    @property
    def slices(self) -> int:
        """Number of slices of all cases."""
        return sum(len(case.slices) for case in self.cases)


def import_data(
    source: str | Path,
    out: str | Path,
    options: ScanOptions = DEFAULTS,
    *,
    dry_run: bool = False,
    progress: Progress = silent,
) -> ImportResult:
    """Write the slices of scans and their labels as a data folder. One scan is in memory at a time.

    Scans without labels are left out where others have some; if none has, the folder gets images alone.

    Args:
        source: a file or folder of one of the kinds of `scans.sources.SOURCES`.
        out: the data folder; it must not exist yet, or be empty.
        options: how the scans are read.
        dry_run: read everything and write nothing.
        progress: see `u3p_edge.progress`.

    Raises:
        DataError: a source that is not known, or a file of it that cannot be used; the message names it.
        ConfigError: an option that this source has no use for.
        ArtifactError: `out` holds files, or cannot be written; nothing is left there.
        MissingPackageError: the package that reads such files is not installed.
    """
    folder = Path(out)
    check_output_folder(folder)
    kind = find_kind(Path(source))
    _check_options(Path(source), kind.name, options)
    listed = kind.list_cases(Path(source), options)
    cases = tuple(case for case in listed.cases if case.labelled) or listed.cases
    if not cases:
        raise DataError(f"{source} holds no scans", mend=f"What is read as {kind.name}: {kind.layout}.")
    step = progress("Import scans", len(cases))
    target: contextlib.AbstractContextManager[Path | None] = contextlib.nullcontext() if dry_run else atomic_folder(folder)
    with target as staging:
        written = tuple(_import_case(case, staging, step) for case in cases)
        _check_names(written)
        if staging is not None:
            _describe(staging, kind.name, written, listed)
    notes = (*listed.notes, *_notes(listed.cases, cases))
    return ImportResult(folder, kind.name, written, cases[0].labelled, listed.class_names, notes, listed.multi_label)


def _check_options(source: Path, kind: str, options: ScanOptions) -> None:
    """Raise ConfigError for an option that changes nothing with this source."""
    if options.labels is not None and not (source.is_file() and kind in (NIFTI, TIFF_STACK)):
        raise ConfigError(
            f"--labels is for a NIfTI or TIFF file, and {source} is none", mend="In a folder, name image and labels alike."
        )
    keeps_segments = options.overlap == "keep" and kind == DICOM and not options.classes
    if (options.classes or options.overlap != "error") and kind != MASKS_BY_CLASS and not keeps_segments:
        raise ConfigError(
            f"--classes and --overlap are for one mask file a class (--overlap keep for DICOM segmentations too), and {source} "
            f"is a source of the kind {kind}",
            mend="Leave them out.",
        )


def _import_case(case: Case, folder: Path | None, step: Step) -> CaseGeometry:
    """Read a case, and write its slices into `folder` if there is one."""
    scan = case.read()
    with about(case.name):
        pixels = to_pixels(scan.volume.voxels)
    names = slice_names(case.name, len(pixels))
    if folder is not None:
        for kind, planes in (("images", pixels), ("masks", scan.labels)):
            if planes is not None:
                (folder / kind).mkdir(exist_ok=True)
                write_slices(folder / kind, names, planes)
    affine = scan.volume.affine
    step()
    return CaseGeometry(
        case=case.name,
        patient=case.patient,
        split=case.split,
        slices=names,
        size=(pixels.shape[1], pixels.shape[2]),
        spacing=scan.volume.spacing,
        affine=None if affine is None else tuple(tuple(map(float, row)) for row in affine),
        axis=scan.volume.axis,
    )


def _describe(folder: Path, kind: str, cases: Sequence[CaseGeometry], listed: CaseList) -> None:
    """Write split.csv and what is known of the data."""
    split = all(case.split for case in cases)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", "patient", *(["split"] if split else [])])
    for case in cases:
        table.writerows([name, case.patient, *([case.split] if split else [])] for name in case.slices)
    write_text(folder / SPLIT_FILE, text.getvalue())
    write_json(folder / DESCRIPTION, describe_folder(listed.class_names, listed.license, listed.multi_label))
    geometries = {case.case: _geometry(case) for case in cases}
    write_json(folder / SOURCE_FILE, {"kind": kind, "axis": cases[0].axis, "cases": geometries})


def _geometry(case: CaseGeometry) -> dict[str, Any]:
    return {"slices": len(case.slices), "size": case.size, "spacing_mm": case.spacing, "affine": case.affine}


def _check_names(cases: Sequence[CaseGeometry]) -> None:
    """Raise DataError where two slices would have one name."""
    counts = Counter(name for case in cases for name in case.slices)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        owners = " and ".join(case.case for case in cases if twice in case.slices)
        raise DataError(f"{twice} would be a slice of two scans ({owners})", mend="Rename one of their files.")


def _notes(listed: Sequence[Case], cases: Sequence[Case]) -> tuple[str, ...]:
    """Return sentences on scans without labels."""
    if not cases[0].labelled:
        return ("No scan has labels: the folder has images/ alone. Training and export need masks/ of the same names.",)
    left_out = len(listed) - len(cases)
    verbs = ("have", "are") if left_out > 1 else ("has", "is")
    return (f"{left_out} of {len(listed)} scans {verbs[0]} no labels and {verbs[1]} left out.",) if left_out else ()
