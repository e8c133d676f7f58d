"""This package: exact rewrites that are timed here, then post-training quantization. Nothing is pruned or trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import litert
from benchmarks.peers.peer import Material, Peer

if TYPE_CHECKING:
    from u3p_edge.graph.ir import Graph
    from u3p_edge.graph.scheme import Quantized


def make(material: Material, folder: Path) -> Path:
    """Rewrite, quantize and write the network, as `u3p-edge export --int8 --ptq --recipe exact` does."""
    return write_int8(read_float_network(material), material, folder)


def read_float_network(material: Material) -> Graph:
    """Return the float network, as it was trained."""
    import tf_keras

    import u3p_edge

    return u3p_edge.from_keras(tf_keras.models.load_model(material.keras, compile=False))


def write_int8(graph: Graph, material: Material, folder: Path) -> Path:
    """Write a trained graph as an int8 TFLite file, rewritten by what is fastest here and tiled, and return its path."""
    import numpy as np

    import u3p_edge

    return write_tiled(u3p_edge.quantize(u3p_edge.rewrite(graph), np.asarray(material.images("calibration"))), folder)


def write_tiled(network: Quantized, folder: Path) -> Path:
    """Write a network in integers as a TFLite file, in tiles where that saves memory, and return its path."""
    import u3p_edge
    from u3p_edge.pipeline.tile import tile_network
    from u3p_edge.recipes.named import read_export_recipe

    tiled = tile_network(network, read_export_recipe("exact").recipe).network
    return u3p_edge.write_tflite(tiled, folder / "model.tflite")


PEER = Peer(
    "ours_exact", "u3p_edge: exact rewrites, PTQ", "LiteRT", (litert.PACKAGE,), make, litert.load, isolated=False, ours=True
)
