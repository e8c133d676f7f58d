"""Frames are decoded into the values that they mean."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, uid
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from tests.support.dicom_files import image, multiframe, ramp, save
from u3p_edge.errors import DataError, MissingPackageError
from u3p_edge.scans import volume
from u3p_edge.scans.dicom.header import read_header
from u3p_edge.scans.dicom.pixels import read_voxels
from u3p_edge.scans.options import Window
from u3p_edge.scans.volume import Voxels

PLANE = ramp(1)[0]


def read(dataset: Dataset, folder: Path, window: Window | None = None) -> Voxels:
    header = read_header(save(dataset, folder / "one.dcm"))
    return read_voxels(header.frames, header.channels, window)


def test_values_without_a_slope_keep_their_type(tmp_path: Path) -> None:
    for dtype in (np.uint8, np.uint16, np.int16):
        voxels = read(image(PLANE.astype(dtype)), tmp_path)
        assert voxels.dtype == dtype
        assert (voxels[0] == PLANE).all()


def test_hounsfield_units(tmp_path: Path) -> None:
    """12 bits with an intercept of -1024 are -1024 to 3071, which int16 holds."""
    voxels = read(image(PLANE, BitsStored=12, HighBit=11, RescaleSlope=1, RescaleIntercept=-1024), tmp_path)
    assert voxels.dtype == np.int16
    assert (voxels[0] == PLANE.astype(int) - 1024).all()


def test_all_bits_with_an_intercept_need_floats(tmp_path: Path) -> None:
    voxels = read(image(PLANE, RescaleSlope=1, RescaleIntercept=-1024), tmp_path)
    assert voxels.dtype == np.float32
    assert (voxels[0] == PLANE.astype(int) - 1024).all()


def test_each_slice_has_its_slope(tmp_path: Path) -> None:
    """As in emission tomography; here in the functional groups of an enhanced file."""
    voxels = read(multiframe(ramp(3), [0, 1, 2]), tmp_path)
    assert (voxels == ramp(3) * np.arange(1, 4)[:, None, None]).all()


def test_a_slope_that_is_no_whole_number_gives_floats(tmp_path: Path) -> None:
    voxels = read(image(PLANE, RescaleSlope="0.25", RescaleIntercept="0.5"), tmp_path)
    assert voxels.dtype == np.float32
    assert (voxels[0] == PLANE / 4 + 0.5).all()


def test_signs_are_kept_and_overlays_dropped(tmp_path: Path) -> None:
    """12 bits in use: the upper four may hold an overlay, and the sign is the twelfth."""
    signed = PLANE.astype(np.int16) - 20
    stored = (signed.view(np.uint16) & 0x0FFF) | 0x5000
    voxels = read(image(stored.view(np.int16), BitsStored=12, HighBit=11), tmp_path)
    assert (voxels[0] == signed).all()


@pytest.mark.parametrize(("dtype", "expected"), [(np.uint8, 255 - PLANE.astype(int)), (np.int16, -1 - PLANE.astype(int))])
def test_where_zero_is_white_values_are_turned_round(dtype: type[np.generic], expected: Any, tmp_path: Path) -> None:
    voxels = read(image(PLANE.astype(dtype), PhotometricInterpretation="MONOCHROME1"), tmp_path)
    assert voxels.dtype == dtype
    assert (voxels[0] == expected).all()


def test_a_window(tmp_path: Path) -> None:
    """By hand from PS3.3, C.11.2.1.2.1: center 20.5, width 11 is a ramp from 15 (black) to 25 (white)."""
    shown = read(image(PLANE), tmp_path, (20.5, 11.0))
    assert shown.dtype == np.uint8
    assert shown[0].ravel()[[0, 15, 20, 25, 47]].tolist() == [0, 0, 128, 255, 255]  # 127.5 is rounded to the even 128


def test_the_window_of_the_file_is_of_values_after_the_slope(tmp_path: Path) -> None:
    dataset = image(PLANE, RescaleSlope=2, RescaleIntercept=-10, WindowCenter=[30.5, 99], WindowWidth=[21, 9])
    assert (read(dataset, tmp_path, "file") == read(image(PLANE), tmp_path, (20.5, 11.0))).all()


def test_a_window_of_an_inverted_image_is_turned_after_it(tmp_path: Path) -> None:
    dataset = image(PLANE, PhotometricInterpretation="MONOCHROME1")
    assert (read(dataset, tmp_path, (20.5, 11.0)) == 255 - read(image(PLANE), tmp_path, (20.5, 11.0))).all()


def test_no_window_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one\.dcm has no linear window"):
        read(image(PLANE), tmp_path, "file")


def test_colours(tmp_path: Path) -> None:
    colours = np.stack([ramp(1, dtype="uint8")[0] + step for step in (0, 50, 100)], axis=-1)
    assert (read(image(colours), tmp_path)[0] == colours).all()


def test_luma_and_chroma_become_red_green_and_blue(tmp_path: Path) -> None:
    """Full-range BT.601: grey has Cb = Cr = 128; Cr above it is red."""
    stored = np.zeros((2, 2, 3), np.uint8)
    stored[..., 0], stored[..., 1:] = 100, 128
    stored[0, 0, 2] = 200
    voxels = read(image(stored, PhotometricInterpretation="YBR_FULL"), tmp_path)
    assert voxels[0, 1, 1].tolist() == [100, 100, 100]
    # R = 100 + 1.402 * 72 = 200.9, G = 100 - .714136 * 72 = 48.6, B = 100; a step of rounding.
    assert np.abs(voxels[0, 0, 0].astype(int) - [201, 49, 100]).max() <= 1


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless])
def test_compressed_without_loss(syntax: uid.UID, tmp_path: Path) -> None:
    dataset = image(ramp(1, (64, 64))[0])
    dataset.compress(syntax)
    assert (read(dataset, tmp_path) == ramp(1, (64, 64))).all()


def test_frames_of_a_cine_loop_are_slices(tmp_path: Path) -> None:
    """As old ultrasound files: several frames at the top level, without positions."""
    without: dict[str, Any] = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient"))
    cine = ramp(3, dtype="uint8")
    dataset = image(
        cine[0], **without, NumberOfFrames=3, PixelData=cine.tobytes(), SOPClassUID=uid.UltrasoundMultiFrameImageStorage
    )
    assert (read(dataset, tmp_path) == cine).all()


def test_pixels_that_are_cut_short(tmp_path: Path) -> None:
    path = save(image(PLANE), tmp_path / "one.dcm")
    header = read_header(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"one\.dcm is cut short or damaged"):
        read_voxels(header.frames, 1)


def test_more_voxels_than_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 x 6 voxels of 16 bits are 96 bytes, twice, and 32 for each pixel of a frame while it is decoded."""
    monkeypatch.setattr(volume, "available_bytes", lambda: 2 * 96 + 32 * 48 - 1)
    with pytest.raises(DataError, match=r"one\.dcm has 48 voxels, too many for the memory that is free"):
        read(image(PLANE), tmp_path)
    monkeypatch.setattr(volume, "available_bytes", lambda: 2 * 96 + 32 * 48)
    assert (read(image(PLANE), tmp_path)[0] == PLANE).all()


def test_no_pixels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one\.dcm has no pixels"):
        read(image(PLANE, PixelData=None), tmp_path)


def test_a_compression_that_nobody_reads(tmp_path: Path) -> None:
    dataset = image(PLANE, PixelData=encapsulate([b"\0\0"]))
    dataset.file_meta.TransferSyntaxUID = uid.MPEG2MPML
    with pytest.raises(DataError, match=r"one\.dcm is compressed as MPEG2"):
        read(dataset, tmp_path)


def test_pixels_that_no_decoder_reads(tmp_path: Path) -> None:
    # Start of image, and a frame header of 8 bits; then a scan without data.
    frame = bytes.fromhex("ffd8ffc0000b08") + struct.pack(">HHB", *PLANE.shape, 1) + bytes.fromhex("011100ffda")
    dataset = image(PLANE, PixelData=encapsulate([frame]))
    dataset.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    with pytest.raises(DataError, match=r"one\.dcm: its pixels \(JPEG Baseline .* cannot be decoded"):
        read(dataset, tmp_path)


def test_a_file_that_is_deflated_whole(tmp_path: Path) -> None:
    dataset = image(PLANE)
    dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    with pytest.raises(DataError, match=r"one\.dcm is deflated"):
        read(dataset, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *("MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm"),
        *("MR_small_jpeg_ls_lossless.dcm", "MR_small_padded.dcm"),
    ],
)
def test_one_image_in_several_encodings(name: str) -> None:
    """Files that come with pydicom: one slice of a phantom, stored in several ways."""
    plain, other = (Path(get_testdata_file(one, download=False) or "") for one in ("MR_small.dcm", name))
    assert (read_voxels(read_header(other).frames, 1) == read_voxels(read_header(plain).frames, 1)).all()


def test_a_palette(tmp_path: Path) -> None:
    """Stored numbers are places in three tables (PS3.3, C.7.6.3.1.6), here of 16 bits; the upper 8 are kept."""
    table = np.arange(48, dtype=np.uint16)
    tables: dict[str, Any] = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour, factor in (("Red", 256), ("Green", 512), ("Blue", 1024))
        for part, value in (("Descriptor", [48, 0, 16]), ("Data", (table * factor).tobytes()))
    }
    voxels = read(image(PLANE.astype(np.uint8), PhotometricInterpretation="PALETTE COLOR", **tables), tmp_path)
    assert (voxels[0] == PLANE[:, :, None] * [1, 2, 4]).all()


def test_a_decoder_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels import get_decoder

    monkeypatch.setattr(type(get_decoder(uid.JPEG2000Lossless)), "is_available", property(lambda _: False))
    dataset = image(ramp(1, (64, 64))[0])
    dataset.compress(uid.JPEG2000Lossless)
    with pytest.raises(MissingPackageError, match=r"JPEG 2000.*u3p-edge\[dicom\]"):
        read(dataset, tmp_path)
