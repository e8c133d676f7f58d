"""Read and write NIfTI files (NIfTI-1 and -2, .nii and .nii.gz).

Of a header only what describes the voxels is read: its extensions and texts may name a patient.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.config.metadata import Axis
from u3p_edge.data.file_errors import check_regular, name_file
from u3p_edge.errors import DataError, U3pEdgeError, require_packages
from u3p_edge.files.atomic import write_bytes
from u3p_edge.scans.channels import channel_index
from u3p_edge.scans.options import ScanOptions
from u3p_edge.scans.orientation import from_slices, slice_turn, to_slices
from u3p_edge.scans.volume import Affine, Volume, Voxels, check_memory, check_voxel_count

SUFFIXES = (".nii.gz", ".nii")

_HEADERS = {348: "Nifti1Header", 540: "Nifti2Header"}
"""nibabel's class for a header of so many bytes."""

_GEOMETRY = (
    *("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z", "xyzt_units"),
)
"""Fields of a header that say where the voxels are, besides `pixdim`."""

_INFLATION = 1032
"""Most bytes that one byte of a gzip file becomes (RFC 1951: 258 bytes by two bits)."""

_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_CHUNK = 1 << 20
_CHUNKS_AFTER = 64
"""Chunks after the voxels that are read at most, so that gzip comes to the checksum at its end."""


@require_packages("reading NIfTI files")
def read_nifti(path: Path, options: ScanOptions, channel_names: Sequence[str] = ()) -> Volume:
    """Read a NIfTI file as slices.

    Args:
        path: of the file.
        options: the axis of the slices, and the channel of a file that has several.
        channel_names: by which the channel may be chosen.

    Returns:
        Voxels [slices, H, W] (RGB: [slices, H, W, 3]) of the file's integer type, or float32 where the file has real numbers or
        scales its values; the affine in millimetres.

    Raises:
        DataError: missing, damaged, cut short, not NIfTI, values that are not finite, several channels and none chosen, more
            voxels than `max_voxels` or than fit into memory.
        MissingPackageError: nibabel is not installed.
    """
    with _open(path) as file:
        header = _read_header(file, path)
        raw = _read_voxels(file, header, path, options.max_voxels)
        voxels = _to_numbers(_choose_channel(raw, options.channel, path, channel_names), header, path)
        affine = _affine(header)
        with name_file(path):
            turned = to_slices(voxels, affine, slice_turn(affine, options.slice_axis))
    return Volume(*turned, options.slice_axis)


def read_nifti_labels(path: Path, options: ScanOptions) -> Volume:
    """Read labels, uint8 or uint16 [slices, H, W]. Raises DataError as `read_nifti`, and for values that are no labels."""
    volume = read_nifti(path, ScanOptions(options.axis, None, options.max_voxels))
    with name_file(path):
        return Volume(to_label_voxels(volume.voxels), volume.affine)


def to_label_voxels(voxels: Voxels) -> Voxels:
    """Return labels [slices, H, W] as uint8, or as uint16 where they are above 255.

    Raises:
        DataError: colours, or values that are not whole numbers from 0 to 65535.
    """
    if voxels.ndim != 3:
        raise DataError("it holds colours, not labels", mend="Write the class of each voxel as a whole number.")
    low, high = float(voxels.min()), float(voxels.max())
    whole = voxels.dtype.kind in "iu" or bool((voxels == np.rint(voxels)).all())
    if not whole or low < 0 or high > np.iinfo(np.uint16).max:
        raise DataError(f"its values from {low:g} to {high:g} are no labels", mend="Labels are whole numbers from 0 to 65535.")
    return voxels.astype(np.uint8 if high <= np.iinfo(np.uint8).max else np.uint16)


@require_packages("writing NIfTI files")
def write_nifti_labels(target: Path, labels: npt.NDArray[np.uint8], scan: Path, axis: Axis) -> None:
    """Write labels of slices as a NIfTI file that lies on the voxels of a scan.

    Of the scan's header only the geometry is copied: affines with their codes, voxel sizes and units.

    Args:
        target: a .nii or .nii.gz file, written whole or not at all.
        labels: [slices, H, W], as `read_nifti(scan, ...)` orders them.
        scan: the NIfTI file that they belong to.
        axis: of the slices.

    Raises:
        DataError: the scan cannot be read. ArtifactError: the target cannot be written.
    """
    import nibabel

    with _open(scan) as file:
        source = _read_header(file, scan)
        voxels = from_slices(labels, slice_turn(_affine(source), axis))
    kind = nibabel.Nifti1Image if int(source["sizeof_hdr"]) == min(_HEADERS) else nibabel.Nifti2Image
    header = kind.header_class()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(voxels.shape)
    for field in _GEOMETRY:
        header[field] = source[field]
    header["pixdim"][:4] = source["pixdim"][:4]
    data = kind(voxels, None, header).to_bytes()
    write_bytes(target, gzip.compress(data, mtime=0) if target.suffix.lower() == ".gz" else data)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a file, unpacked; whatever its reading raises inside is a DataError that names it."""
    check_regular(path)
    again = "Copy it again from where it came."
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield file
    except (U3pEdgeError, ImportError):
        raise
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory", mend="Free memory, or cut it into parts.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut short or damaged ({error})", mend=again) from error
    # nibabel lets nearly any exception out of a damaged header: HeaderDataError, ValueError, KeyError, LinAlgError ...
    except Exception as error:
        message = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read ({message})", mend=again) from error


def _read_header(file: io.BufferedIOBase, path: Path) -> Any:
    """Return nibabel's header of a file that is at its beginning."""
    import nibabel

    block = file.read(max(_HEADERS))
    size = next((n for n in _HEADERS if block[:4] in (n.to_bytes(4, "little"), n.to_bytes(4, "big"))), None)
    if size is None or len(block) < size:
        raise DataError(f"{path} is no NIfTI file, or is cut short", mend="Give a .nii or .nii.gz file.")
    header = getattr(nibabel, _HEADERS[size])(block[:size])
    if not header["magic"].item().startswith(b"n+"):
        raise DataError(f"{path} is one of two files (.hdr and .img)", mend="Save it as one .nii file.")
    return header


def _read_voxels(file: io.BufferedIOBase, header: Any, path: Path, max_voxels: int) -> Voxels:
    """Return voxels [i, j, k, ...] as they are stored. Memory is taken only after their number is checked."""
    from nibabel.volumeutils import array_from_file

    shape, dtype, offset = header.get_data_shape(), header.get_data_dtype(), int(header.get_data_offset())
    count, needed = math.prod(shape), math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 1 or offset < 0:
        raise DataError(f"{path} has no voxels: its size is {shape}", mend="Save it anew.")
    if dtype.fields is None and dtype.kind not in "iuf":
        raise DataError(f"{path} has voxels of the type {dtype}, which are no intensities", mend="Save it with real numbers.")
    check_voxel_count(count, max_voxels, path)
    if offset + needed > path.stat().st_size * (_INFLATION if path.suffix.lower() == ".gz" else 1):
        raise DataError(f"{path} is cut short: it is too small for its {count:,} voxels", mend="Copy it again.")
    # The bytes of the file, once more while they are unpacked, and the voxels as float32.
    check_memory(count, 2 * needed + 4 * count, path)
    raw: Voxels = array_from_file(shape, dtype, file, offset, mmap=False)
    for _ in range(_CHUNKS_AFTER):
        if not file.read(_CHUNK):
            break
    return raw


def _choose_channel(raw: Voxels, channel: str | None, path: Path, names: Sequence[str]) -> Voxels:
    """Return the voxels [i, j, k] of one channel."""
    space = (*raw.shape[:3], 1, 1)[:3]
    channels = [length for length in raw.shape[3:] if length > 1]
    if len(channels) > 1:
        raise DataError(f"{path} has {raw.ndim} dimensions", mend="Save one of its volumes.")
    voxels = raw.reshape((*space, channels[0] if channels else 1), order="F")
    return voxels[..., channel_index(channel, voxels.shape[3], path, names)]


def _to_numbers(raw: Voxels, header: Any, path: Path) -> Voxels:
    """Return values after the header's slope and intercept: float32 where these change them or the file has real numbers."""
    if raw.dtype.names is not None:
        return np.stack([raw[name] for name in raw.dtype.names[:3]], axis=-1)
    slope, intercept = header.get_slope_inter()
    slope, intercept = (1.0, 0.0) if slope is None else (slope, intercept)
    if raw.dtype.kind in "iu" and (slope, intercept) == (1.0, 0.0):
        return raw.astype(raw.dtype.newbyteorder("="), copy=False)
    out = np.empty(raw.shape, np.float32, order="F")
    with np.errstate(over="ignore", invalid="ignore"):
        for index in range(raw.shape[-1]):  # each is widened to float64
            out[..., index] = raw[..., index].astype(np.float64) * slope + intercept
    if not np.isfinite(out).all():
        raise DataError(f"{path} has voxels that are not numbers (NaN or infinite)", mend="Replace them, for example by 0.")
    return out


def _affine(header: Any) -> Affine:
    """Return the affine from the file's voxels to millimetres."""
    factor = _MILLIMETRES[header.get_xyzt_units()[0]]
    return np.asarray(np.diag([factor, factor, factor, 1.0]) @ header.get_best_affine(), np.float64)
