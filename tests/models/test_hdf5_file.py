"""Weights come from the file itself: what HDF5 can fetch from elsewhere, or declare without storing, is refused by name."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.support.keras_files import pack, save, small
from u3p_edge.errors import ModelError
from u3p_edge.models.hdf5_file import check_hdf5
from u3p_edge.models.keras_file import read_keras_file

KERNEL = {".h5": "model_weights/first/first/kernel:0", ".keras": "layers/conv2d/vars/0"}
SUFFIXES = pytest.mark.parametrize("suffix", [".keras", ".h5"])


def change_weights(path: Path, change: Callable[[h5py.File, str], None]) -> Path:
    """The saved model with its HDF5 file changed; `change` gets the file and the path of a kernel in it."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            change(file, KERNEL[".h5"])
        return path
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    memory = io.BytesIO(members["model.weights.h5"])
    with h5py.File(memory, "r+") as file:
        change(file, KERNEL[".keras"])
    return pack(path, {**members, "model.weights.h5": memory.getvalue()})


def secret(folder: Path) -> Path:
    """Another file of the machine, as large as the kernel that stands in for it."""
    path = folder / "secret.bin"
    path.write_bytes(bytes(3 * 3 * 1 * 3 * 4))
    return path


def external_storage(folder: Path) -> Callable[[h5py.File, str], None]:
    def change(file: h5py.File, kernel: str) -> None:
        del file[kernel]
        file.create_dataset(kernel, (3, 3, 1, 3), "float32", external=[(str(secret(folder)), 0, 108)])

    return change


def external_link(folder: Path) -> Callable[[h5py.File, str], None]:
    def change(file: h5py.File, kernel: str) -> None:
        with h5py.File(folder / "other.h5", "w") as other:
            other["kernel"] = np.zeros((3, 3, 1, 3), np.float32)
        del file[kernel]
        file[kernel] = h5py.ExternalLink(str(folder / "other.h5"), "kernel")

    return change


def soft_link(_folder: Path) -> Callable[[h5py.File, str], None]:
    def change(file: h5py.File, kernel: str) -> None:
        file.move(kernel, "elsewhere")
        file[kernel] = h5py.SoftLink("/elsewhere")

    return change


def virtual_dataset(folder: Path) -> Callable[[h5py.File, str], None]:
    def change(file: h5py.File, kernel: str) -> None:
        with h5py.File(folder / "other.h5", "w") as other:
            other["kernel"] = np.zeros((3, 3, 1, 3), np.float32)
        layout = h5py.VirtualLayout((3, 3, 1, 3), "float32")
        layout[...] = h5py.VirtualSource(str(folder / "other.h5"), "kernel", (3, 3, 1, 3))
        del file[kernel]
        file.create_virtual_dataset(kernel, layout)

    return change


@SUFFIXES
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (external_storage, "keeps its values in another file"),
        (external_link, "is a link into another file"),
        (soft_link, "is a soft link"),
        (virtual_dataset, "is virtual"),
    ],
)
def test_weights_from_elsewhere_are_refused(tmp_path: Path, suffix: str, how: Any, reason: str) -> None:
    path = change_weights(save(small(), tmp_path / f"m{suffix}"), how(tmp_path))
    for trust in (False, True):
        with pytest.raises(ModelError, match=f"m{suffix}: .*{KERNEL[suffix]}' {reason}"):
            read_keras_file(path, trust=trust)


@SUFFIXES
def test_weights_that_are_declared_and_not_stored_are_refused(tmp_path: Path, suffix: str) -> None:
    def change(file: h5py.File, kernel: str) -> None:
        del file[kernel]
        file.create_dataset(kernel, (2**14, 2**15), "float32", chunks=(1024, 1024), compression="gzip")

    path = change_weights(save(small(), tmp_path / f"m{suffix}"), change)
    assert path.stat().st_size < 2**16
    with pytest.raises(ModelError, match=rf"declares 2048 MiB of weights and stores 0.0 MiB .*{KERNEL[suffix]}"):
        read_keras_file(path)


def refusal(change: Callable[[h5py.File], object], libver: str = "earliest") -> str:
    memory = io.BytesIO()
    with h5py.File(memory, "w", libver=libver) as file:
        change(file)
    with h5py.File(memory, "r") as file, pytest.raises(ModelError) as error:
        check_hdf5(file, "w.h5", len(memory.getvalue()))
    return str(error.value)


def test_a_chunk_larger_than_its_array_counts() -> None:
    message = refusal(lambda f: f.create_dataset("a", (4,), "float32", chunks=(2**28,), maxshape=(None,)))
    assert "declares 1024 MiB" in message


def test_text_references_and_unknown_objects_are_refused() -> None:
    assert "'/a' holds object, not numbers" in refusal(
        lambda f: f.create_dataset("a", data=["text"], dtype=h5py.string_dtype())
    )
    assert "'/t' is neither a group nor an array" in refusal(lambda f: f.__setitem__("t", np.dtype("float32")))
    assert "'/a' has no shape" in refusal(lambda f: f.create_dataset("a", data=h5py.Empty("float32")))
    assert "attribute 'big' of '/' has 65 MiB" in refusal(_large_attribute, "latest")


def _large_attribute(file: h5py.File) -> None:
    file.create_dataset("a", data=np.zeros(3))
    h5py.h5a.create(file.id, b"big", h5py.h5t.NATIVE_INT8, h5py.h5s.create_simple((65 * 2**20,)))


def test_a_group_that_holds_itself_is_walked_once() -> None:
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file["a"] = np.zeros(3, np.float32)
        file.create_group("g")["up"] = file["/"]
        assert check_hdf5(file, "w.h5", 10_000) == 3


@pytest.mark.parametrize(
    "options", [{}, {"compression": "gzip", "shuffle": True}, {"chunks": (64, 64)}, {"compression": "lzf"}]
)
def test_ordinary_arrays_are_counted_not_read(tmp_path: Path, options: dict[str, Any]) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_dataset("layer/kernel", data=np.random.default_rng(0).normal(size=(64, 64)), **options)
        file.create_dataset("layer/step", data=7)
    with h5py.File(tmp_path / "w.h5") as file:
        assert check_hdf5(file, "w.h5", (tmp_path / "w.h5").stat().st_size) == 64 * 64 + 1


def test_a_repacked_model_with_compressed_weights_is_still_read(tmp_path: Path) -> None:
    model = small()
    path = save(model, tmp_path / "m.h5")

    def compress(file: h5py.File, kernel: str) -> None:
        values = file[kernel][...]
        del file[kernel]
        file.create_dataset(kernel, data=values, compression="gzip")

    packed = change_weights(Path(shutil.copy(path, tmp_path / "p.h5")), compress)
    for mine, theirs in zip(read_keras_file(packed).get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
