"""Check that an HDF5 file of weights holds only numbers that are stored in the file itself.

HDF5 can do more. A dataset may keep its values in any other file of the machine (external storage, virtual datasets), a
link may lead into another file, and a few kilobytes may declare gigabytes that exist only once they are read. A file of
unknown origin may do none of this, because what is read from it goes into the files that are exported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import h5py

from u3p_edge.errors import ModelError

MIB = 2**20
MAX_ATTRIBUTE = 64 * MIB
"""Most bytes of one attribute, such as a model's config; the largest real ones have a few MiB."""

MAX_OBJECTS = 100_000
"""Most groups and datasets of one file. A network of 5000 layers, saved with its optimiser, has fewer."""

MAX_COMPRESSION = 64
"""Greatest factor by which the numbers of a file may be compressed. Trained weights compress by less than 2, pruned ones by
less than 20."""

SLACK = 16 * MIB
"""Bytes that any file may declare: small arrays of zeros compress by more than `MAX_COMPRESSION`."""

_FILTERS = frozenset((h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF))
_NUMBERS = "fiub"
_MEND = "Save the model again with model.save(...) of tf_keras; if you did not make this file, do not use it."


def check_hdf5(file: h5py.File, where: str, size: int) -> int:
    """Check a file, and return how many numbers it holds; none of them is read.

    Args:
        file: open for reading.
        where: its name, for the message.
        size: of the file in bytes.

    Raises:
        ModelError: a link that is not a hard one; a dataset that is external, virtual, not of numbers, or made by an unknown
            filter; more declared than the file can hold. The message names the object.
    """
    datasets = [item for item in _objects(file, where) if isinstance(item, h5py.Dataset)]
    for dataset in datasets:
        _check_dataset(dataset, where)
    declared = sum(_declared(dataset) for dataset in datasets)
    stored = min(size, sum(dataset.id.get_storage_size() for dataset in datasets))
    if declared > SLACK + MAX_COMPRESSION * stored:
        largest = max(datasets, key=_declared)
        raise ModelError(
            f"{where} declares {declared // MIB} MiB of weights and stores {stored / MIB:.1f} MiB "
            f"(the largest is {largest.name!r}, of shape {list(largest.shape)})",
            mend=_MEND,
        )
    return sum(int(dataset.size) for dataset in datasets)


def _objects(file: h5py.File, where: str) -> Iterator[h5py.HLObject]:
    """Yield every object once, the root first."""
    seen, waiting = set[int](), [file["/"]]
    while waiting:
        item = waiting.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            continue
        seen.add(address)
        if len(seen) > MAX_OBJECTS:
            raise ModelError(f"{where} holds more than {MAX_OBJECTS} groups and datasets", mend=_MEND)
        _check_attributes(item, where)
        yield item
        if isinstance(item, h5py.Group):
            waiting += [_member(item, name, where) for name in item]


def _member(group: h5py.Group, name: str, where: str) -> h5py.HLObject:
    kinds = {h5py.SoftLink: "a soft link", h5py.ExternalLink: "a link into another file"}
    path = f"{group.name.rstrip('/')}/{name}"
    kind = type(group.get(name, getlink=True))
    if kind is not h5py.HardLink:
        raise ModelError(f"{where}: {path!r} is {kinds.get(kind, 'a link of an unknown kind')}, not an array", mend=_MEND)
    member = group[name]
    if not isinstance(member, h5py.Group | h5py.Dataset):
        raise ModelError(f"{where}: {path!r} is neither a group nor an array", mend=_MEND)
    return member


def _check_attributes(item: h5py.HLObject, where: str) -> None:
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        size = math.prod(attribute.shape) * int(attribute.dtype.itemsize)
        if size > MAX_ATTRIBUTE:
            raise ModelError(f"{where}: the attribute {name!r} of {item.name!r} has {size // MIB} MiB", mend=_MEND)


def _check_dataset(dataset: h5py.Dataset, where: str) -> None:
    plan = dataset.id.get_create_plist()
    filters = {plan.get_filter(index)[0] for index in range(plan.get_nfilters())}
    reasons = {
        "keeps its values in another file": plan.get_external_count() > 0,
        "is virtual: its values are in other files": dataset.is_virtual,
        f"holds {dataset.dtype}, not numbers": dataset.dtype.kind not in _NUMBERS,
        "is compressed in an unknown way": bool(filters - _FILTERS),
        "has no shape": dataset.shape is None,
    }
    for reason, applies in reasons.items():
        if applies:
            raise ModelError(f"{where}: the array {dataset.name!r} {reason}", mend=_MEND)


def _declared(dataset: h5py.Dataset) -> int:
    """Return the bytes that reading may take: of the whole array, or of one chunk where that is more."""
    chunk = math.prod(dataset.chunks) if dataset.chunks else 0
    return max(int(dataset.size), chunk) * int(dataset.dtype.itemsize)
