"""The kept files that PyTorch wrote (tests/importing/data/ORIGIN.txt), and archives of torch.save that are built by hand."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np

from tests.support.paths import REPOSITORY

TORCH_FILES = REPOSITORY / "tests" / "importing" / "data"


def torch_values(name: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """The image [N, H, W, C] of a kept network, and its outputs as PyTorch computed them, maps as [N, H, W, C]."""
    with np.load(TORCH_FILES / f"{name}.npz") as values:
        image = np.moveaxis(values["image"], 1, 3)
        outputs = [values[f"output{number}"] for number in range(len(values.files) - 1)]
    return image, [np.moveaxis(value, 1, 3) if value.ndim == 4 else value for value in outputs]


def save_archive(path: Path, pickle: bytes, storages: dict[str, bytes] | None = None, compression: int = 0) -> Path:
    """An archive as torch.save lays it out."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickle)
        for key, data in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", data)
    return path


def text(value: str) -> bytes:
    """The opcode of a string."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def whole(value: int) -> bytes:
    """The opcode of a number of four bytes."""
    return b"J" + struct.pack("<i", value)


def sequence(*values: int) -> bytes:
    """The opcodes of a tuple."""
    return b"(" + b"".join(map(whole, values)) + b"t"


def tensor(
    shape: tuple[int, ...], strides: tuple[int, ...], count: int, *, kind: str = "FloatStorage", offset: int = 0
) -> bytes:
    """The opcodes of a tensor over the storage "0" of `count` numbers, as torch.save writes them."""
    name = f"ctorch\n{kind}\n".encode()
    storage = b"(" + text("storage") + name + text("0") + text("cpu") + whole(count) + b"tQ"
    place = whole(offset) + sequence(*shape) + sequence(*strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + place + b"\x89ccollections\nOrderedDict\n)RtR"


def dictionary(**items: bytes) -> bytes:
    """A whole pickle: a dictionary whose values are given by opcodes."""
    return b"\x80\x02}(" + b"".join(text(key) + value for key, value in items.items()) + b"u."
