"""A compressed frame that gives itself another size than its file is refused before a decoder takes memory for it."""

from __future__ import annotations

import io
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset, uid
from pydicom.encaps import encapsulate, get_frame

from tests.support.dicom_files import image, ramp, save
from u3p_edge.errors import DataError
from u3p_edge.scans.dicom.codestream import read_claim
from u3p_edge.scans.dicom.header import read_header
from u3p_edge.scans.dicom.pixels import read_voxels

HUGE = 60000
SYNTAXES = (uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.JPEGBaseline8Bit)


def with_frame(frame: bytes, syntax: uid.UID) -> Dataset:
    """A file of 64x48 pixels of 8 bits that holds a compressed frame."""
    dataset = image(np.zeros((64, 48), np.uint8), PixelData=encapsulate([frame]))
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def compressed(syntax: uid.UID, pixels: np.ndarray | None = None) -> bytes:
    """The frame that an encoder makes of grey pixels; of black ones where none are given."""
    pixels = np.zeros((64, 48), np.uint8) if pixels is None else pixels
    if syntax == uid.JPEGBaseline8Bit:
        return pillow(pixels, "JPEG")
    dataset = image(pixels)
    dataset.compress(syntax)
    return get_frame(dataset.PixelData, 0)


def pillow(pixels: np.ndarray, kind: str) -> bytes:
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, kind)
        return file.getvalue()


def enlarge(frame: bytes) -> bytes:
    """The frame with a header that claims `HUGE` rows and columns."""
    for form in (">HH", ">II"):  # JPEG has rows before columns, JPEG 2000 columns before rows
        for size in ((64, 48), (48, 64)):
            position = frame.find(struct.pack(form, *size))
            if position > 0:
                return frame[:position] + struct.pack(form, HUGE, HUGE) + frame[position + struct.calcsize(form) :]
    raise AssertionError("no size")


def refuse(dataset: Dataset, folder: Path, reason: str) -> None:
    """Assert that a file is refused, in little memory."""
    header = read_header(save(dataset, folder / "one.dcm"))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=rf"one\.dcm: its frame 1, of 64 x 48 x 1 rows, columns and channels, {reason}"):
            read_voxels(header.frames, 1)
        assert tracemalloc.get_traced_memory()[1] < 2**22  # 60,000 rows of as many bytes would be 3.6 GB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_frame_that_claims_to_be_huge(syntax: uid.UID, tmp_path: Path) -> None:
    frame = compressed(syntax)
    assert read_claim(frame) == (64, 48, 1)
    refuse(with_frame(enlarge(frame), syntax), tmp_path, f"says {HUGE} x {HUGE} x 1 for itself")


def test_a_picture_of_another_kind_in_the_place_of_a_jpeg(tmp_path: Path) -> None:
    """Pillow, one of the decoders, would open any picture by its content."""
    png = pillow(np.zeros((64, 48), np.uint8), "PNG")
    refuse(with_frame(png, uid.JPEGBaseline8Bit), tmp_path, "says nothing that can be read for itself")


def test_a_jpeg_of_two_frame_headers(tmp_path: Path) -> None:
    """A decoder may believe the second."""
    frame = compressed(uid.JPEGBaseline8Bit)
    start = frame.index(b"\xff\xc0")
    header = frame[start : start + 2 + int.from_bytes(frame[start + 2 : start + 4], "big")]
    twice = frame[:start] + header + enlarge(frame)[start:]
    refuse(with_frame(twice, uid.JPEGBaseline8Bit), tmp_path, "says nothing that can be read for itself")


def test_run_lengths_that_go_on(tmp_path: Path) -> None:
    """64 x 48 bytes never need more than 64 + 2 * 64 * 48 + 2."""
    head = struct.pack("<16L", 1, 64, *[0] * 14)
    run = b"\x81\x00"  # 128 zeros
    refuse(with_frame(head + run * (64 * 48 + 2), uid.RLELossless), tmp_path, "has more bytes than such an image can have")
    enough = with_frame(head + run * (64 * 48 // 128), uid.RLELossless)
    assert not read_voxels(read_header(save(enough, tmp_path / "one.dcm")).frames, 1).any()


def box(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    return struct.pack(">I4s", 8 + len(content) if length is None else length, kind) + content


def test_the_boxes_of_a_jp2_file() -> None:
    signature, codestream = box(b"jP  ", b"\r\n\x87\n"), compressed(uid.JPEG2000Lossless)
    assert read_claim(signature + box(b"ftyp", b"jp2 ") + box(b"jp2c", codestream)) == (64, 48, 1)
    assert read_claim(signature + box(b"jp2h", box(b"pclr", b"")) + box(b"jp2c", codestream)) is None
    # A box that does not end, over which pydicom would go for ever.
    assert read_claim(signature + box(b"free", b"", 0) + codestream) is None


@given(st.sampled_from((b"", b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ", b"\xff\xd8\xff\xc0")), st.binary(max_size=80))
def test_any_bytes_have_a_size_or_none(start: bytes, rest: bytes) -> None:
    claim = read_claim(start + rest)
    assert claim is None or len(claim) == 3


def test_sizes_of_colour_pictures() -> None:
    pixels = np.zeros((9, 7, 3), np.uint8)
    assert {read_claim(pillow(pixels, kind)) for kind in ("JPEG", "JPEG2000")} == {(9, 7, 3)}


def test_frames_of_a_file_are_looked_at_one_by_one(tmp_path: Path) -> None:
    """The second frame of three claims to be huge; the others are decoded without it."""
    frame = compressed(uid.JPEGLSLossless, ramp(1, (64, 48), "uint8")[0])
    dataset = with_frame(frame, uid.JPEGLSLossless)
    dataset.NumberOfFrames, dataset.PixelData = 3, encapsulate([frame, enlarge(frame), frame])
    frames = read_header(save(dataset, tmp_path / "one.dcm")).frames
    np.testing.assert_array_equal(read_voxels([frames[0], frames[2]], 1), np.repeat(ramp(1, (64, 48), "uint8"), 2, axis=0))
    with pytest.raises(DataError, match=r"its frame 2, of 64 x 48 x 1"):
        read_voxels(frames, 1)
