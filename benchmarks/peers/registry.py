"""All peers, in the order of the table before it is sorted; the first is the reference."""

from __future__ import annotations

from benchmarks.peers import (
    executorch_xnnpack,
    float_tflite,
    litert_quantizer,
    mnn,
    ncnn_pnnx,
    onnxruntime_static,
    openvino_nncf,
    ours_exact,
    ours_qat,
    ours_students,
    tflite_ptq,
    tfmot_qat,
    tvm_relax,
)
from benchmarks.peers.peer import Peer

PEERS: tuple[Peer, ...] = (
    float_tflite.PEER,
    ours_exact.PEER,
    ours_qat.PEER,
    ours_students.PRUNED,
    ours_students.PLAIN_UNET,
    tflite_ptq.PEER,
    tfmot_qat.PEER,
    litert_quantizer.PEER,
    onnxruntime_static.PEER,
    openvino_nncf.PEER,
    executorch_xnnpack.PTQ,
    executorch_xnnpack.FLOAT,
    mnn.PTQ,
    mnn.WEIGHTS,
    ncnn_pnnx.PEER,
    tvm_relax.PEER,
)


def find_peer(key: str) -> Peer:
    """Return the peer of a key. Raises KeyError if there is none."""
    return {peer.key: peer for peer in PEERS}[key]
