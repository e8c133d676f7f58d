"""Data sets of nnU-Net (version 2), as cases.

    FOLDER/dataset.json                    channel_names, labels, file_ending
    FOLDER/imagesTr/<case>_0000.nii.gz     channel 0 of a case, _0001 channel 1, ...
    FOLDER/labelsTr/<case>.nii.gz
    FOLDER/imagesTs, labelsTs              the test cases; only those with labels are read

Format: nnU-Net's documentation/dataset_format.md.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from u3p_edge.data.description import license_of
from u3p_edge.errors import DataError
from u3p_edge.scans.case import Case, CaseList, LabelledVolume
from u3p_edge.scans.channels import channel_index
from u3p_edge.scans.dataset_json import FILE, channel_names, class_names, has_dataset, ignored_class, read_dataset
from u3p_edge.scans.listing import assign_splits, files_by_stem, patients_of
from u3p_edge.scans.nifti import read_case
from u3p_edge.scans.nifti_file import SUFFIXES
from u3p_edge.scans.options import ScanOptions
from u3p_edge.scans.picture import read_picture, read_picture_labels
from u3p_edge.scans.volume import Volume, check_same_grid, to_volume

LAYOUT = f"a folder with {FILE} (channel_names), imagesTr/ and labelsTr/"

PICTURES = (".png", ".bmp", ".tif", ".tiff")
"""File endings of sets of pictures, which have one slice a case."""

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")


def recognize(source: Path) -> bool:
    """Return whether a folder is a data set of nnU-Net."""
    return (source / "imagesTr").is_dir() and has_dataset(source, "channel_names")


def list_cases(source: Path, options: ScanOptions) -> CaseList:
    """List the training cases, and the test cases that have labels. Raises DataError."""
    dataset = read_dataset(source)
    ending, channels = dataset.get("file_ending"), channel_names(dataset, "channel_names")
    if not isinstance(ending, str) or ending.lower() not in (*SUFFIXES, *PICTURES):
        read = ", ".join((*SUFFIXES, *PICTURES))
        raise DataError(f"{source / FILE}: files that end in {ending!r} are not read", mend=f"Those that are: {read}.")
    train = _cases(source, "Tr", ending, channels, options)
    test = tuple(case for case in _cases(source, "Ts", ending, channels, options) if case.labelled)
    ignored = ignored_class(dataset)
    note = f"Label {ignored} is to be ignored: give train, export and data check --ignore-label {ignored}."
    cases = assign_splits(train, test)
    return CaseList(cases, class_names(dataset), license_of(dataset), () if ignored is None else (note,))


def _cases(source: Path, part: str, ending: str, names: Sequence[str], options: ScanOptions) -> tuple[Case, ...]:
    """Return the cases of imagesTr or imagesTs."""
    images = _channels_by_case(files_by_stem(source / f"images{part}", (ending.lower(),)))
    labels = files_by_stem(source / f"labels{part}", (ending.lower(),))
    alone = next((path for stem, path in labels.items() if stem not in images), None)
    if alone is not None:
        expected = f"images{part}/{alone.name[: -len(ending)]}_0000{ending}"
        raise DataError(f"{alone} has no image", mend=f"It would be {source / expected}.")
    patients = patients_of(list(images))
    read = _read_picture if ending.lower() in PICTURES else read_case
    cases = []
    for case, files in images.items():
        index = channel_index(options.channel, len(files), files[min(files)], names)
        image = files[sorted(files)[index]]
        # The file that was chosen has one channel.
        reader = partial(read, image, labels.get(case), replace(options, channel=None))
        cases.append(Case(case, patients[case], case in labels, reader))
    return tuple(cases)


def _channels_by_case(files: Mapping[str, Path]) -> Mapping[str, Mapping[int, Path]]:
    """Return the files of each case by channel. Raises DataError for a name without a channel."""
    cases: dict[str, dict[int, Path]] = defaultdict(dict)
    for stem, path in files.items():
        match = _CHANNEL.fullmatch(stem)
        if match is None:
            raise DataError(f"{path} has no channel in its name", mend=f"Name it {stem}_0000, as nnU-Net does.")
        cases[match["case"]][int(match["channel"])] = path
    return cases


def _read_picture(image: Path, labels: Path | None, options: ScanOptions) -> LabelledVolume:
    """Read a picture and its labels as a volume of one slice."""
    pixels = read_picture(image, options.max_voxels)
    volume = to_volume(pixels)
    if labels is None:
        return LabelledVolume(volume)
    mask = Volume(read_picture_labels(labels, options.max_voxels)[None])
    check_same_grid(volume, mask, image, labels)
    return LabelledVolume(volume, mask.voxels)
