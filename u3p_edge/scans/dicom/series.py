"""The series of images in a folder, and the segmentations that were made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.errors import DataError
from u3p_edge.scans.dicom.files import first_files, list_files
from u3p_edge.scans.dicom.header import Header, read_header
from u3p_edge.scans.dicom.pseudonyms import series_pseudonym
from u3p_edge.scans.options import ScanOptions

SHOWN = 8
"""Series that a message lists at most."""


@dataclass(frozen=True)
class ImageSeries:
    """The images of one acquisition, which make one volume.

    Args:
        name: a pseudonym; it shows nothing of the patient.
        patient: what identifies the patient in the files. It is for grouping alone, and is never written.
        modality: e.g. "CT".
        images: the files, by their number in the series.
        segmentations: the segmentations made of it that the folder holds.
    """

    name: str
    patient: str
    modality: str
    images: tuple[Header, ...]
    segmentations: tuple[Header, ...] = ()


@dataclass(frozen=True)
class Contents:
    """What a source holds.

    Args:
        series: of images.
        notes: what was left out, one sentence each.
    """

    series: tuple[ImageSeries, ...]
    notes: tuple[str, ...] = ()


def read_contents(source: Path, options: ScanOptions) -> Contents:
    """Read the headers of all DICOM files of a source, and sort them into series.

    Images without a position (ultrasound, photographs, projections) are no slices of one volume: each file is a series of its
    own.

    Raises:
        DataError: a file that cannot be read, no images, localizers or several patients in one series, a segmentation of no
            series that is there, or no series of the wanted name.
    """
    headers = _drop_copies(read_header(path) for path in list_files(source))
    images = [header for header in headers if header.frames and not header.is_segmentation]
    if not images:
        kinds = Counter(header.modality or "unknown" for header in headers)
        listed = ", ".join(f"{kind} ({count})" for kind, count in kinds.items())
        raise DataError(
            f"{source} holds no images; of other DICOM objects it holds {listed}", mend="Name the folder of images."
        )
    parts = [part for group in _group(images) for part in _split(group)]
    scouts = [part for part in parts if part[0].localizer]
    kept = [part for part in parts if not part[0].localizer] or scouts
    segmentations = [header for header in headers if header.is_segmentation]
    _check_references(segmentations, images)
    series = tuple(_make_series(part, segmentations) for part in kept)
    notes = _notes(headers, len(parts) - len(kept))
    return Contents(_choose(series, options.series, source), notes)


def _drop_copies(headers: Iterable[Header]) -> tuple[Header, ...]:
    """Return the headers without those of an object that came before: archives write some files twice."""
    return tuple({header.instance: header for header in reversed(list(headers))}.values())[::-1]


def _group(images: Sequence[Header]) -> list[tuple[Header, ...]]:
    """Return the images of each series, by their numbers. Raises DataError for a series that is not one."""
    groups: dict[str, list[Header]] = {}
    for header in images:
        groups.setdefault(header.series, []).append(header)
    for group in groups.values():
        scouts = [header.file for header in group if header.localizer]
        if 0 < len(scouts) < len(group):
            raise DataError(
                f"{first_files(scouts)}: a localizer (scout) among the {len(group) - len(scouts)} images of a series",
                mend="Move it out of the folder.",
            )
        others = [header.file for header in group if header.patient != group[0].patient]
        if others:
            raise DataError(
                f"{first_files(others)}: of another patient than {group[0].file}, in one series",
                mend="Mend the PatientID of these files, or leave the series out.",
            )
    return [tuple(sorted(group, key=lambda header: header.number)) for group in groups.values()]


def _split(group: tuple[Header, ...]) -> list[tuple[Header, ...]]:
    """Return a series as it is, or each of its files alone where no image has a position."""
    without = all(frame.position is None for header in group for frame in header.frames)
    return [(header,) for header in group] if without and len(group) > 1 else [group]


def _make_series(images: tuple[Header, ...], segmentations: Sequence[Header]) -> ImageSeries:
    first = images[0]
    alone = all(frame.position is None for header in images for frame in header.frames)
    return ImageSeries(
        series_pseudonym(first.instance if alone else first.series),
        first.patient or first.study or first.series,
        first.modality,
        images,
        tuple(header for header in segmentations if header.refers_to == first.series and not alone),
    )


def _check_references(segmentations: Sequence[Header], images: Sequence[Header]) -> None:
    known = {header.series for header in images}
    lost = [header.file for header in segmentations if header.refers_to not in known]
    if lost:
        raise DataError(
            f"{first_files(lost)}: a segmentation of a series that is not in the folder, or that it does not name",
            mend="Put the images that it was made of beside it, or move it out.",
        )


def _choose(series: tuple[ImageSeries, ...], wanted: str | None, source: Path) -> tuple[ImageSeries, ...]:
    """Return the series of a name or UID; all where none is wanted."""
    if wanted is None:
        return series
    chosen = tuple(one for one in series if wanted in (one.name, one.images[0].series))
    if not chosen:
        names = ", ".join(f"{one.name} ({one.modality}, {len(one.images)} files)" for one in series[:SHOWN])
        more = f" and {len(series) - SHOWN} more" if len(series) > SHOWN else ""
        raise DataError(f"{source} has no series {wanted!r}", mend=f"It has {names}{more}.")
    return chosen


def _notes(headers: Sequence[Header], scouts: int) -> tuple[str, ...]:
    others = Counter(header.modality or "unknown" for header in headers if not header.frames)
    notes = []
    if scouts:
        notes.append(f"{scouts} series of localizers (scouts) {'is' if scouts == 1 else 'are'} left out.")
    if others:
        listed = ", ".join(f"{kind} ({count})" for kind, count in others.items())
        notes.append(f"DICOM objects that are no images are left out: {listed}.")
    return tuple(notes)
