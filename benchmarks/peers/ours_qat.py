"""This package: exact rewrites, then quantization-aware training for as long, and on the same labels, as the peer `tfmot_qat`.

It says how much of that peer's Dice is due to a further epoch of training.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers import litert, tfmot_qat
from benchmarks.peers.ours_exact import read_float_network, write_tiled
from benchmarks.peers.peer import Material, Peer


def make(material: Material, folder: Path) -> Path:
    """Rewrite the network, train it under fake quantization, and write it as an int8 TFLite file."""
    import numpy as np

    import u3p_edge
    from u3p_edge.graph.keras_io import to_keras
    from u3p_edge.quantization.qat import quantize_qat
    from u3p_edge.training.losses import dice_cross_entropy

    rewritten = to_keras(u3p_edge.rewrite(read_float_network(material)))
    trained = quantize_qat(
        rewritten, np.asarray(material.images("train")), material.labels(),
        loss=dice_cross_entropy, validate=lambda _model: 0.0, keep_epoch=tfmot_qat.EPOCHS, distillation=0.0,
        epochs=tfmot_qat.EPOCHS, batch_size=tfmot_qat.BATCH, learning_rate=tfmot_qat.LEARNING_RATE,
    )  # fmt: skip
    return write_tiled(trained.network, folder)


PEER = Peer(
    "ours_qat", "u3p_edge: exact rewrites, QAT", "LiteRT", (litert.PACKAGE,), make, litert.load, isolated=False, ours=True
)
