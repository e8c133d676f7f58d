"""Networks that the float network taught (`benchmarks.students`), written by this package.

One has the float network's own shape, pruned in one step; the other is a plain UNet, built anew. Both were made for the time
that a plain UNet of width 8 takes.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers import litert
from benchmarks.peers.ours_exact import write_int8
from benchmarks.peers.peer import Material, Peer


def make_pruned(material: Material, folder: Path) -> Path:
    """Write the float network's own shape, pruned and taught."""
    return _write("pruned_1x", material, folder)


def make_plain_unet(material: Material, folder: Path) -> Path:
    """Write a plain UNet that was built anew and taught as long."""
    return _write("unet_1x", material, folder)


def _write(name: str, material: Material, folder: Path) -> Path:
    from benchmarks.students.exchange import read_network

    path = material.student(name)
    return write_int8(read_network(path, path.with_suffix(".npz")), material, folder)


PRUNED = Peer(
    "ours_pruned", "u3p_edge: pruned and taught, PTQ", "LiteRT", (litert.PACKAGE,), make_pruned, litert.load,
    isolated=False, ours=True,
)  # fmt: skip
PLAIN_UNET = Peer(
    "plain_unet",
    "taught plain UNet, PTQ of u3p_edge",
    "LiteRT",
    (litert.PACKAGE,),
    make_plain_unet,
    litert.load,
    isolated=False,
)
