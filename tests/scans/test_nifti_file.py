"""NIfTI files are cut into slices that show every voxel at its position in the patient, and masks go back onto the voxels."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.nifti_files import RAS, SPACING, oriented_affine, save_nifti, scan_voxels
from u3p_edge.config.metadata import Axis
from u3p_edge.errors import DataError
from u3p_edge.scans.nifti_file import read_nifti, read_nifti_labels, write_nifti_labels
from u3p_edge.scans.options import ScanOptions

RUNS_TO = {
    "axial": ((0, 0, 1), (0, -1, 0), (-1, 0, 0)),
    "coronal": ((0, -1, 0), (0, 0, -1), (-1, 0, 0)),
    "sagittal": ((-1, 0, 0), (0, 0, -1), (0, -1, 0)),
}
"""Where slices, rows and columns run to, as unit vectors of the patient (right, front, head)."""

ORDERS = st.permutations([0, 1, 2]).map(tuple)
SIGNS = st.tuples(*[st.sampled_from([1, -1])] * 3)
TILTS = st.floats(-30, 30)
"""Degrees; below 45, so that the nearest axis does not change."""


def tilt(degrees: float) -> np.ndarray:
    """A turn about the patient's left-right axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])


def positions(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Millimetres of each voxel of an array, in its order [voxels, 3]."""
    index = np.array(list(itertools.product(*map(range, shape))))
    return np.asarray(index @ affine[:3, :3].T + affine[:3, 3])


def sorted_by_position(values: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Values ordered by position: equal for two arrays that show the same thing."""
    # To a hundredth of a millimetre: float32 rounds a position of 100 mm by 1e-5, and voxels are .5 mm apart.
    keys = np.round(positions(values.shape, affine), 2) + 0.0
    return np.asarray(values.ravel()[np.lexsort(keys.T)])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=ORDERS, signs=SIGNS, degrees=TILTS, axis=st.sampled_from(list(RUNS_TO)))
def test_every_voxel_is_shown_at_its_position_and_masks_go_back(
    tmp_path: Path, order: tuple[int, int, int], signs: tuple[int, int, int], degrees: float, axis: Axis
) -> None:
    voxels = np.arange(4 * 3 * 2, dtype=np.int16).reshape(4, 3, 2)
    affine = tilt(degrees) @ oriented_affine(order, signs)
    scan = save_nifti(tmp_path / "scan.nii", voxels, affine)
    volume = read_nifti(scan, ScanOptions(axis))
    assert volume.affine is not None
    np.testing.assert_array_equal(sorted_by_position(volume.voxels, volume.affine), sorted_by_position(voxels, affine))
    directions = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    # The cosine of the largest tilt, 30 degrees, is .87.
    assert all(np.dot(directions[:, i], towards) > 0.86 for i, towards in enumerate(RUNS_TO[axis]))

    mask = tmp_path / "mask.nii.gz"
    write_nifti_labels(mask, (volume.voxels % 5).astype(np.uint8), scan, axis)
    source, written = nibabel.load(scan), nibabel.load(mask)
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), voxels % 5)
    np.testing.assert_array_equal(written.affine, source.affine)


def test_of_a_header_the_geometry_alone_is_copied(tmp_path: Path) -> None:
    scan = save_nifti(tmp_path / "scan.nii.gz", scan_voxels(0), unit="micron")
    image = nibabel.load(scan)
    image.header["descrip"], image.header["db_name"] = b"Jane Doe", b"1970-01-01"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Jane Doe"))
    image.set_qform(np.diag([2.0, 2.0, 2.0, 1.0]), code="scanner")
    image.set_sform(RAS, code="talairach")
    nibabel.save(image, scan)
    volume = read_nifti(scan, ScanOptions())
    assert volume.spacing == pytest.approx([SPACING[2] / 1e3, SPACING[1] / 1e3, SPACING[0] / 1e3])
    write_nifti_labels(tmp_path / "mask.nii.gz", np.ones(volume.voxels.shape, np.uint8), scan, "axial")
    mask = nibabel.load(tmp_path / "mask.nii.gz")
    for field in ("qform_code", "sform_code", "srow_x", "quatern_b", "xyzt_units", "pixdim"):
        np.testing.assert_array_equal(mask.header[field], image.header[field])
    assert mask.get_data_dtype() == np.uint8
    assert mask.header.get_xyzt_units()[0] == "micron"
    assert b"Jane" not in gzip.decompress((tmp_path / "mask.nii.gz").read_bytes())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32])
def test_whole_numbers_are_kept(tmp_path: Path, dtype: type) -> None:
    voxels: np.ndarray = np.arange(24).reshape(4, 3, 2).astype(dtype)
    read = read_nifti(save_nifti(tmp_path / "a.nii", voxels), ScanOptions()).voxels
    assert read.dtype == dtype
    assert sorted(read.ravel()) == list(range(24))


def test_a_scaled_file_gives_its_values(tmp_path: Path) -> None:
    """Computed tomography is often stored from 0 up, with an intercept of -1024."""
    data = save_nifti(tmp_path / "stored.nii", np.arange(24, dtype=np.int16).reshape(4, 3, 2)).read_bytes()
    scaling = np.array([0.5, -1024], "<f4").tobytes()  # scl_slope and scl_inter
    (tmp_path / "ct.nii").write_bytes(data[:112] + scaling + data[120:])
    read = read_nifti(tmp_path / "ct.nii", ScanOptions()).voxels
    assert read.dtype == np.float32
    np.testing.assert_array_equal(np.sort(read.ravel()), np.arange(24) * 0.5 - 1024)  # all of them float32 numbers


def test_nifti_2_and_the_other_byte_order_are_read(tmp_path: Path) -> None:
    voxels = scan_voxels(1)
    expected = read_nifti(save_nifti(tmp_path / "a.nii", voxels), ScanOptions())
    (tmp_path / "b.nii").write_bytes(nibabel.Nifti2Image(voxels, RAS).to_bytes())
    swapped = nibabel.Nifti1Image(voxels, RAS, nibabel.Nifti1Header(endianness=">"))
    (tmp_path / "c.nii").write_bytes(swapped.to_bytes())
    for name in ("b", "c"):
        volume = read_nifti(tmp_path / f"{name}.nii", ScanOptions())
        np.testing.assert_array_equal(volume.voxels, expected.voxels)
        np.testing.assert_array_equal(volume.affine, expected.affine)
    write_nifti_labels(tmp_path / "mask.nii", np.zeros(expected.voxels.shape, np.uint8), tmp_path / "b.nii", "axial")
    assert isinstance(nibabel.load(tmp_path / "mask.nii"), nibabel.Nifti2Image)


def test_a_channel_is_chosen(tmp_path: Path) -> None:
    voxels = np.stack([scan_voxels(0), scan_voxels(1)], axis=-1)
    path = save_nifti(tmp_path / "two.nii.gz", voxels)
    with pytest.raises(DataError, match=r"two\.nii\.gz has 2 channels or time points, .*--channel"):
        read_nifti(path, ScanOptions())
    with pytest.raises(DataError, match="no channel 'ADC'"):
        read_nifti(path, ScanOptions(channel="ADC"))
    alone = read_nifti(save_nifti(tmp_path / "one.nii.gz", scan_voxels(1)), ScanOptions())
    for options, names in ((ScanOptions(channel="1"), ()), (ScanOptions(channel="adc"), ("T2", "ADC"))):
        np.testing.assert_array_equal(read_nifti(path, options, names).voxels, alone.voxels)


def test_colours_are_read(tmp_path: Path) -> None:
    rgb = np.zeros((4, 3, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["G"] = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
    (tmp_path / "rgb.nii").write_bytes(nibabel.Nifti1Image(rgb, RAS).to_bytes())
    read = read_nifti(tmp_path / "rgb.nii", ScanOptions()).voxels
    assert (read.dtype, read.shape) == (np.uint8, (2, 3, 4, 3))
    assert read[0, 2, 3].tolist() == [0, 0, 0]  # the voxel [0, 0, 0] of the file: lowest, last row (front to back), last column
    with pytest.raises(DataError, match="colours, not labels"):
        read_nifti_labels(tmp_path / "rgb.nii", ScanOptions())


def broken(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that cannot be read, and what is said of each."""
    sound = save_nifti(folder / "sound.nii", scan_voxels(0)).read_bytes()
    packed = gzip.compress(sound)
    header = bytearray(sound)
    header[40:48] = np.array([3, 30000, 30000, 3], "<i2").tobytes()  # dim
    singular = sound[:312] + bytes(16) + sound[328:]  # srow_z
    parts = {
        "short.nii.gz": (packed[: len(packed) // 2], "cut short"),
        "short.nii": (sound[:-1], "cut short"),
        "flipped.nii.gz": (packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:], "CRC"),  # the checksum
        "huge.nii": (bytes(header), "too small|more than the limit"),
        "huge.nii.gz": (gzip.compress(bytes(header)), "too small|more than the limit"),
        "text.nii": (b"no NIfTI at all", "no NIfTI file"),
        "pair.nii": (sound[:344] + b"ni1\0" + sound[348:], "one of two files"),
        "text.nii.gz": (b"no gzip at all", "cut short or damaged"),
        "empty.nii": (b"", "empty file"),
        "flat.nii": (singular, "no three directions"),
        "nan.nii": (nibabel.Nifti1Image(np.full((2, 2, 2), np.nan, np.float32), RAS).to_bytes(), "not numbers"),
        "complex.nii": (nibabel.Nifti1Image(np.zeros((2, 2, 2), np.complex64), RAS).to_bytes(), "complex64"),
        "five.nii": (nibabel.Nifti1Image(np.zeros((2, 2, 2, 2, 2), np.int16), RAS).to_bytes(), "5 dimensions"),
    }
    for name, (data, _) in parts.items():
        (folder / name).write_bytes(data)
    return {name: (folder / name, message) for name, (_, message) in parts.items()}


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    for name, (path, message) in broken(tmp_path).items():
        with pytest.raises(DataError, match=message) as error:
            read_nifti(path, ScanOptions())
        assert name in str(error.value)


@pytest.mark.parametrize("value", [0.5, -1, 70000])
def test_labels_are_whole_numbers(tmp_path: Path, value: float) -> None:
    path = save_nifti(tmp_path / "labels.nii", np.full((2, 2, 2), value, np.float32))
    with pytest.raises(DataError, match=r"labels\.nii: its values .* are no labels"):
        read_nifti_labels(path, ScanOptions())


def test_labels_that_are_stored_as_real_numbers_are_labels(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "labels.nii", np.array([[[0, 1], [2, 300]]], np.float32))
    labels = read_nifti_labels(path, ScanOptions())
    assert (labels.voxels.dtype, sorted(labels.voxels.ravel())) == (np.uint16, [0, 1, 2, 300])
