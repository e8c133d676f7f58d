"""`u3p-edge data import`: a data folder from volumes and from data sets of other programs."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from u3p_edge.cli.terminal import print_table, say
from u3p_edge.label_values import describe_values
from u3p_edge.scans.options import MAX_VOXELS, ScanOptions, parse_window

if TYPE_CHECKING:
    from u3p_edge.scans.import_data import CaseGeometry, ImportResult

SHOWN = 10
"""Cases that are listed."""


class AxisName(str, Enum):
    """Slices that a volume can be cut into."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


class OverlapName(str, Enum):
    """What becomes of a pixel in the mask files of several classes."""

    ERROR = "error"
    FIRST = "first"
    LAST = "last"
    KEEP = "keep"


def import_scans(
    source: Annotated[
        Path, typer.Argument(help="NIfTI, DICOM or TIFF of several pages, or a folder of them; or masks by class.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Data folder to make; it must not exist, or be empty.")],
    axis: Annotated[AxisName, typer.Option(help="Which slices a volume is cut into.")] = AxisName.AXIAL,
    channel: Annotated[
        str | None,
        typer.Option(help="Channel or time point to read of a scan with several: its number, from 0, or its name."),
    ] = None,
    max_voxels: Annotated[
        int, typer.Option(min=1, help="Voxels that a volume may have; a small file can ask for gigabytes of memory.")
    ] = MAX_VOXELS,
    series: Annotated[
        str | None, typer.Option(help="One series of a DICOM folder with several: its name here, or its UID.")
    ] = None,
    window: Annotated[
        str,
        typer.Option(metavar="CENTER,WIDTH", help="Show DICOM images through a window, in 8 bits; `file` for each file's own."),
    ] = "",
    pseudonym_key: Annotated[
        Path | None, typer.Option(help="Key for the names of DICOM's patients, to have the same on several machines.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Labels of a source that is one file.")] = None,
    classes: Annotated[
        str,
        typer.Option(metavar="A,B,...", help="With one mask file a class: the classes, 1 first; by name if not given."),
    ] = "",
    overlap: Annotated[
        OverlapName,
        typer.Option(
            help="With one mask file a class: what a pixel of several is, by that order. `keep`: all of them, for a model with "
            "a sigmoid for each class."
        ),
    ] = OverlapName.ERROR,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, say what would be written.")] = False,
) -> None:
    """Write the slices of scans and their labels as a data folder: images/, masks/ and split.csv with the patients.

    Intensities stay as they are. Where slices lie in the patient is written into source.json.

        u3p-edge data import nifti --out scans --axis coronal
    """
    from u3p_edge.cli.progress import stages
    from u3p_edge.scans.import_data import import_data

    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    options = ScanOptions(
        axis.value, channel, max_voxels, series, parse_window(window), pseudonym_key, labels, names, overlap.value
    )
    with stages() as progress:
        result = import_data(source, out, options, dry_run=dry_run, progress=progress)
    _show(result, dry_run=dry_run)


def _show(result: ImportResult, *, dry_run: bool) -> None:
    rows = [[case.case, case.patient, str(len(case.slices)), _size(case), _spacing(case)] for case in result.cases[:SHOWN]]
    header = ["scan", "patient", "slices", "size", "mm between slices, rows, columns"]
    print_table(header, rows, title=f"{len(result.cases)} scans of {result.kind}")
    if len(result.cases) > SHOWN:
        say(f"... and {len(result.cases) - SHOWN} more.")
    if result.class_names:
        say(f"classes: {describe_values(result.class_names, result.multi_label)}")
    for note in result.notes:
        say(f"note: {note}", "yellow")
    what = f"{result.slices} images{' and masks' if result.labelled else ''}"
    if dry_run:
        say(f"{what} would be written to {result.folder}.")
    else:
        say(f"{what} in {result.folder}." + (f" Next: u3p-edge data check {result.folder}" if result.labelled else ""))


def _size(case: CaseGeometry) -> str:
    return "x".join(map(str, case.size))


def _spacing(case: CaseGeometry) -> str:
    return "-" if case.spacing is None else " ".join(f"{length:.3g}" for length in case.spacing)
