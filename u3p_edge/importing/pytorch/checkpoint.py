"""Read the weights in a file of `torch.save` or in a safetensors file, as arrays by name.

A file of `torch.save` is a zip archive: `NAME/data.pkl` says which tensors there are, `NAME/data/KEY` holds the numbers of a
storage as they are. Every size is compared with what the archive holds before anything is read.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from u3p_edge.errors import ModelError, about
from u3p_edge.importing.pytorch.pickle_values import WEIGHTS_ALONE, StoredTensor, read_pickle

Array = npt.NDArray[Any]
MAX_PICKLE = 64 * 2**20
"""Most bytes of the description of the tensors; that of a network with a thousand layers has less than one MiB."""

PLACES = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "ema")
"""Keys under which training programs keep the weights beside other things, in the order in which they are looked at."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
"""What wrappers put before every name: DataParallel, torch.compile, Lightning."""

_ZIP, _LEGACY = b"PK\x03\x04", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_COPY = "Copy the file again from its source."


def read_checkpoint(path: Path) -> Mapping[str, Array]:
    """Return the weights of a `.pth`, `.pt` or `.safetensors` file by their names: float32, whole numbers as they are.

    What a training program wraps around them, and what stands before every name, is left out. The content decides what kind of
    file it is.

    Raises:
        ModelError: missing, truncated, of another kind, or it names what is not data; the message says what to do.
    """
    with about(path):
        start = _start(path)
        if start.startswith(_ZIP):
            arrays = _read_archive(path)
        elif start.startswith(_LEGACY):
            mend = "Save it again with a newer one: torch.save(torch.load('old.pth', map_location='cpu'), 'new.pth')."
            raise ModelError("it has the format of PyTorch before 1.6, whose data are part of a pickle", mend=mend)
        elif start[8:9] == b"{":
            arrays = _read_safetensors(path)
        else:
            raise ModelError("it is not a file of PyTorch (.pth, .pt) or safetensors", mend=WEIGHTS_ALONE)
        return _without_prefix({name: _plain(array) for name, array in arrays.items()})


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise ModelError(f"it cannot be read: {error.strerror}", mend="Check the path of the file.") from error
    if not start:
        raise ModelError("it is empty", mend=_COPY)
    return start


def _read_safetensors(path: Path) -> dict[str, Array]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is not a mapping
    except (SafetensorError, TypeError, ValueError, OSError) as error:
        raise ModelError(f"it is damaged or holds numbers that NumPy has not ({error})", mend="Save it in float32.") from error


def _read_archive(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {item.filename: item for item in archive.infolist()}
            root = _root(tuple(members))
            _check_sizes(members, root, path.stat().st_size)
            tensors = dict(_state(read_pickle(archive.read(f"{root}data.pkl"))))
            order = archive.read(f"{root}byteorder").strip() if f"{root}byteorder" in members else b"little"
            storages = {tensor.key: f"{root}data/{tensor.key}" for tensor in tensors.values()}
            missing = next((name for name in storages.values() if name not in members), None)
            if missing:
                raise ModelError(f"{missing[:200]!r} is not in the archive", mend=_COPY)
            data = {key: archive.read(name) for key, name in storages.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ModelError(f"it is truncated or damaged ({error})", mend=_COPY) from error
    return {name: _array(name, tensor, data[tensor.key], order) for name, tensor in tensors.items()}


def _root(names: tuple[str, ...]) -> str:
    """Return the folder of the archive with its slash."""
    roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise ModelError("it is a zip archive, and not one of torch.save", mend=WEIGHTS_ALONE)
    if any(name.startswith((f"{roots[0]}code/", f"{roots[0]}constants.pkl")) for name in names):
        raise ModelError("it is a TorchScript program, not weights", mend=f"{WEIGHTS_ALONE} Or export the model as ONNX.")
    return roots[0]


def _check_sizes(members: Mapping[str, zipfile.ZipInfo], root: str, size: int) -> None:
    """Refuse members that would unpack to more than the file holds, by compression or by lying on one another."""
    if sum(item.file_size for item in members.values()) > size:
        raise ModelError("its members would be larger than the file", mend=f"PyTorch does not compress them. {_COPY}")
    if members[f"{root}data.pkl"].file_size > MAX_PICKLE:
        raise ModelError(f"its data.pkl has more than {MAX_PICKLE // 2**20} MiB", mend=WEIGHTS_ALONE)


def _state(value: Any, depth: int = 0) -> Iterator[tuple[str, StoredTensor]]:
    """Yield the tensors of the first dictionary that holds some under names."""
    if isinstance(value, dict) and depth < len(PLACES):
        held = [(key, item) for key, item in value.items() if isinstance(key, str) and isinstance(item, StoredTensor)]
        wrapper = next((key for key in PLACES if isinstance(value.get(key), dict)), None)
        if held or wrapper is not None:
            yield from held or _state(value[wrapper], depth + 1)
            return
    keys = f"; its keys are {', '.join(map(repr, list(value)[:8]))}" if isinstance(value, dict) else ""
    raise ModelError(f"it holds no dictionary of weights{keys}", mend=WEIGHTS_ALONE)


def _array(name: str, tensor: StoredTensor, data: bytes, order: bytes) -> Array:
    """Return a tensor's own numbers."""
    kind = "u2" if tensor.kind == "bfloat16" else tensor.kind
    dtype = np.dtype(kind).newbyteorder(">" if order == b"big" else "<")
    # A shape can be large where a stride is 0, and no weight is a view of that kind.
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    count = math.prod(tensor.shape)
    if len(data) != tensor.count * dtype.itemsize or count > tensor.count or (count and last >= tensor.count):
        shape = f"{name[:200]!r} of shape {list(tensor.shape)}"
        raise ModelError(f"{shape} does not fit its storage of {len(data)} bytes", mend=_COPY)
    if not count:
        return np.zeros(tensor.shape, np.float32)
    numbers = np.frombuffer(data, dtype)[tensor.offset :]
    steps = tuple(step * dtype.itemsize for step in tensor.strides)
    array = np.array(np.lib.stride_tricks.as_strided(numbers, tensor.shape, steps, writeable=False))
    # The 16 bits of a bfloat16 are the upper ones of the same number as float32.
    return (array.astype(np.uint32) << 16).view(np.float32) if tensor.kind == "bfloat16" else array


def _plain(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _without_prefix(arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    """Return the arrays without what stands before all of their names."""
    for prefix in PREFIXES:
        if arrays and all(name.startswith(prefix) for name in arrays):
            return _without_prefix({name.removeprefix(prefix): array for name, array in arrays.items()})
    return arrays
