"""The size that a compressed frame gives itself, read before a decoder takes memory for it.

A decoder believes the frame's own header, not the file's Rows and Columns, so a few bytes could ask for gigabytes. A JPEG or
JPEG-LS frame says its size in its frame header (SOF; ITU-T T.81, B.2.2; T.87, C.2.2), one of JPEG 2000 in its first segment
(SIZ; T.800, A.5.1). Run lengths have no size, but never need more bytes than the bound below.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from u3p_edge.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
"""A marker: more bytes FF may stand before it, and one of the data has 00 behind it (T.81, B.1.1)."""

_SCAN = 0xDA
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8))
_FRAME_HEADERS = (*(code for code in range(0xC0, 0xD0) if code not in (0xC4, 0xC8, 0xCC)), 0xF7)
"""SOF0 to SOF15 (the codes between them mark tables), and SOF55 of JPEG-LS."""

_SIZ = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000 codestream, then its SIZ segment."""

_JP2 = b"\x00\x00\x00\x0cjP  "
"""First box of a JP2 file (T.800, I.5.1), into which some programs put the codestream of a frame."""

_ELEMENT_HEAD = 12
"""Bytes of the pixel data element before its value: tag, value representation, two of nothing, length (PS3.5, 7.1.2)."""

_RUN_LENGTH_HEAD = 64
"""Bytes of the header of a run-length encoded frame (PS3.5, G.5)."""

Claim = tuple[int, int, int]
"""Rows, columns and channels."""


def check_codestreams(path: Path, dataset: Dataset, indices: Sequence[int]) -> None:
    """Refuse frames whose own header has another size than their file; others, and pixels that are not compressed, pass.

    Args:
        path: of the file.
        dataset: its elements.
        indices: of the frames that are to be decoded.

    Raises:
        DataError: names the file. What pydicom raises of a damaged file passes through.
    """
    from pydicom.uid import RLELossless

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    expected = int(dataset.Rows), int(dataset.Columns), int(dataset.get("SamplesPerPixel") or 1)
    stored = expected[0] * expected[1] * expected[2] * (int(dataset.BitsAllocated) // 8 or 1)
    for index, frame in zip(indices, _read_frames(path, dataset, indices), strict=True):
        # A run takes two bytes at least, and literal bytes at most twice their number (PS3.5, G.3.1).
        too_long = syntax == RLELossless and len(frame) > _RUN_LENGTH_HEAD + 2 * stored + 2 * expected[2]
        claimed = expected if syntax == RLELossless else read_claim(frame)
        if too_long or claimed != expected:
            what = "nothing that can be read" if claimed is None else " x ".join(map(str, claimed))
            says = "has more bytes than such an image can have" if too_long else f"says {what} for itself"
            raise DataError(
                f"{path}: its frame {index + 1}, of {' x '.join(map(str, expected))} rows, columns and channels, {says}",
                mend="Copy it again from where it came.",
            )


def read_claim(frame: bytes) -> Claim | None:
    """Return the size that a compressed frame gives itself; None where it gives none, or several.

    Args:
        frame: of JPEG, JPEG-LS or JPEG 2000, the last also in the boxes of a JP2 file.
    """
    if frame.startswith(b"\xff\xd8"):
        return _read_jpeg(frame)
    return _read_jpeg2000(frame[_find_codestream(frame) :] if frame.startswith(_JP2) else frame)


def _read_frames(path: Path, dataset: Dataset, indices: Sequence[int]) -> Iterator[bytes]:
    """Return compressed frames as pydicom's decoders are given them."""
    from pydicom import dcmread
    from pydicom.encaps import get_frame

    tables = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    with path.open("rb") as file:
        dcmread(file, stop_before_pixels=True, specific_tags=[])
        file.seek(_ELEMENT_HEAD, os.SEEK_CUR)
        for index in indices:
            offsets = None if tables[0] is None or tables[1] is None else tables
            yield get_frame(file, index, number_of_frames=int(dataset.get("NumberOfFrames") or 1), extended_offsets=offsets)


def _read_jpeg(frame: bytes) -> Claim | None:
    claims: list[Claim] = []
    offset = 2
    while marker := _MARKER.search(frame, offset):
        code, offset = marker[1][0], marker.end()
        if code == _SCAN:
            return claims[0] if len(claims) == 1 else None
        if code in _FRAME_HEADERS and len(frame) >= offset + 8:
            claims.append(struct.unpack_from(">HHB", frame, offset + 3))
        offset += 0 if code in _WITHOUT_LENGTH else int.from_bytes(frame[offset : offset + 2], "big")
    return None


def _read_jpeg2000(codestream: bytes) -> Claim | None:
    if not codestream.startswith(_SIZ) or len(codestream) < 42:
        return None
    # After the length and the capabilities: the right and lower end, the left and upper end, and four of the tiles.
    right, lower, left, upper, *_, channels = struct.unpack_from(">8IH", codestream, 8)
    return lower - upper, right - left, channels


def _find_codestream(boxes: bytes) -> int:
    """Return where the codestream begins in the boxes of a JP2 file; the end where there is none, or where it has a palette.

    A palette makes several channels of one.
    """
    offset = 0
    while offset + 8 <= len(boxes):
        length, kind = struct.unpack_from(">I4s", boxes, offset)
        if kind == b"jp2c":
            return len(boxes) if b"pclr" in boxes[:offset] else offset + (16 if length == 1 else 8)
        if length < 8:  # the last box, or one of 4 GB and more
            break
        offset += length
    return len(boxes)
