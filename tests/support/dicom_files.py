"""Small DICOM series, made here: no pixel of them is of a person."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, SegmentationStorage

ROOT = "1.2.826.0.1.3680043.8.498.7"
SERIES = f"{ROOT}.1"
STUDY = f"{ROOT}.2"
FRAME_OF_REFERENCE = f"{ROOT}.3"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

PATIENT = {
    "PatientName": "Zyxwvut^Planted",
    "PatientID": "PLANTED4711",
    "PatientBirthDate": "19010203",
    "InstitutionName": "Planted Clinic",
    "ReferringPhysicianName": "Planted^Doctor",
    "AccessionNumber": "PLANTED0815",
    "StudyDate": "19990807",
}
"""What must appear in no file that is written, but a segmentation."""


def image(pixels: npt.NDArray[Any], height: float = 0.0, number: int = 1, **elements: Any) -> Dataset:
    """A slice of computed tomography.

    Args:
        pixels: [H, W] of uint8, uint16 or int16, or [H, W, 3] of uint8.
        height: of its plane, in mm.
        number: of the instance.
        elements: that are other than usual; None leaves one out.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    usual: dict[str, Any] = {
        **PATIENT,
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"{elements.get('SeriesInstanceUID', SERIES)}.{number}",
        "SeriesInstanceUID": SERIES,
        "StudyInstanceUID": STUDY,
        "FrameOfReferenceUID": FRAME_OF_REFERENCE,
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "InstanceNumber": number,
        "PatientSex": "O",
        "StudyID": "1",
        "StudyTime": "120000",
        "SeriesNumber": 2,
        "Manufacturer": "none",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 3 if pixels.ndim == 3 else 1,
        "PhotometricInterpretation": "RGB" if pixels.ndim == 3 else "MONOCHROME2",
        "BitsAllocated": 8 * pixels.dtype.itemsize,
        "BitsStored": 8 * pixels.dtype.itemsize,
        "HighBit": 8 * pixels.dtype.itemsize - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "ImagePositionPatient": [-10.0, -20.0, height],
        "ImageOrientationPatient": list(AXIAL),
        "PixelSpacing": [0.5, 0.75],
        "SliceThickness": 2.5,
        "PixelData": pixels.tobytes(),
    }
    if pixels.ndim == 3:
        usual["PlanarConfiguration"] = 0
    for keyword, value in (usual | elements).items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def save(dataset: Dataset, path: Path) -> Path:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def ramp(slices: int, size: tuple[int, int] = (8, 6), dtype: str = "uint16") -> npt.NDArray[Any]:
    """Voxels [slices, H, W] that are all different."""
    return np.arange(slices * size[0] * size[1]).reshape(slices, *size).astype(dtype)


def save_series(
    folder: Path,
    voxels: npt.NDArray[Any],
    spacing: float = 2.5,
    names: Sequence[str] | None = None,
    change: Mapping[int, Mapping[str, Any]] | None = None,
    **elements: Any,
) -> list[Path]:
    """Write the slices of a series, of which neither names nor numbers show the order.

    Args:
        folder: where the files go.
        voxels: [slices, H, W], from foot to head.
        spacing: between slices, in mm.
        names: of the files; by default in an order of their own.
        change: elements of single slices.
        elements: of all slices.
    """
    count = len(voxels)
    order = [(7 * index + 3) % count if count % 7 else index for index in range(count)]
    files = names or [f"IM{order[index]:04}.dcm" for index in range(count)]
    return [
        save(
            image(plane, index * spacing, order[index] + 1, **{**elements, **(change or {}).get(index, {})}),
            folder / files[index],
        )
        for index, plane in enumerate(voxels)
    ]


def multiframe(voxels: npt.NDArray[Any], heights: Sequence[float], **elements: Any) -> Dataset:
    """An enhanced image: one file, whose frames have positions, and slopes, of their own.

    Args:
        voxels: [frames, H, W].
        heights: of the planes of the frames.
        elements: that are other than usual; None leaves one out.
    """
    alone = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
    top = image(
        voxels[0],
        **{
            **dict.fromkeys(alone),
            "SOPClassUID": EnhancedMRImageStorage,
            "Modality": "MR",
            "NumberOfFrames": len(voxels),
            "PixelData": voxels.tobytes(),
            **elements,
        },
    )
    top.SharedFunctionalGroupsSequence = [
        items(
            PixelMeasuresSequence=[items(PixelSpacing=[0.5, 0.75], SliceThickness=2.5)],
            PlaneOrientationSequence=[items(ImageOrientationPatient=list(AXIAL))],
        )
    ]
    top.PerFrameFunctionalGroupsSequence = [
        items(
            PlanePositionSequence=[items(ImagePositionPatient=[-10.0, -20.0, height])],
            PixelValueTransformationSequence=[items(RescaleSlope=slope, RescaleIntercept=0)],
        )
        for slope, height in enumerate(heights, start=1)
    ]
    return top


def segmentation(masks: npt.NDArray[np.uint8], heights: Sequence[float], labels: Sequence[str], **elements: Any) -> Dataset:
    """A segmentation whose frames are masks of segments.

    Args:
        masks: uint8 [frames, H, W] of 0 and 1.
        heights: of the planes of the frames.
        labels: of the segment of each frame; equal ones are one segment.
        elements: that are other than usual; None leaves one out.
    """
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels), start=1)}
    dataset = multiframe(
        masks,
        heights,
        **{
            "SOPClassUID": SegmentationStorage,
            "SOPInstanceUID": f"{ROOT}.9",
            "SeriesInstanceUID": f"{ROOT}.8",
            "Modality": "SEG",
            "SegmentationType": "BINARY",
            "BitsAllocated": 1,
            "BitsStored": 1,
            "HighBit": 0,
            "PixelData": _pack(masks),
            **elements,
        },
    )
    dataset.SegmentSequence = [items(SegmentNumber=number, SegmentLabel=label) for label, number in numbers.items()]
    if elements.get("ReferencedSeriesSequence", ()) is not None:
        dataset.ReferencedSeriesSequence = [items(SeriesInstanceUID=SERIES)]
    for group, label in zip(dataset.PerFrameFunctionalGroupsSequence, labels, strict=True):
        group.SegmentIdentificationSequence = [items(ReferencedSegmentNumber=numbers[label])]
    return dataset


def items(**elements: Any) -> Dataset:
    """An item of a sequence."""
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def _pack(masks: npt.NDArray[np.uint8]) -> bytes:
    """Bits of all frames one after the other, the first in the lowest bit (PS3.5, 8.1.1), of an even number of bytes."""
    packed = np.packbits(masks.ravel(), bitorder="little").tobytes()
    return packed + b"\0" * (len(packed) % 2)


def find_patient(folder: Path, *texts: str) -> list[str]:
    """Say where data of the patient is: in names of files, in their bytes, in what is compressed in them, or in texts."""
    contents = {f"text {number}": text.encode() for number, text in enumerate(texts)}
    for path in folder.rglob("*"):
        contents[f"the name {path.relative_to(folder)}"] = path.name.encode()
        if path.is_file():
            contents |= {f"{path.relative_to(folder)}": b"\n".join(_unpack(path))}
    words = [word for value in PATIENT.values() for word in (value, value.replace("^", " "))]
    return [f"{word!r} in {where}" for where, data in contents.items() for word in words if word.encode() in data]


def _unpack(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and of what is compressed in it: a zip's files, a PNG's pixels and texts, gzip."""
    data = path.read_bytes()
    yield data
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif data.startswith(b"\x1f\x8b"):
        yield gzip.decompress(data)
    elif data.startswith((b"\x89PNG", b"II*\0", b"MM\0*")):
        with Image.open(path) as picture:
            yield np.asarray(picture).tobytes()
            yield repr(picture.info).encode()
