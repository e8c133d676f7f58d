"""Normalisations: batch, instance, group and layer normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.importing.onnx.call import ONNXOperator
from u3p_edge.importing.onnx.content import Array
from u3p_edge.importing.onnx.operators.elementwise import per_channel, scale_channels
from u3p_edge.importing.onnx.operators.operator import OperatorReader
from u3p_edge.importing.onnx.tensors import FileTensor

LEAST_EPSILON = 1.001e-5
"""TensorFlow's batch normalisation takes no smaller epsilon; PyTorch's is 1e-5. The difference is taken off the variance."""


def _batch_norm(call: ONNXOperator) -> FileTensor:
    x, (gamma, beta, mean, variance) = call.tensor(), (call.weight(index, 1) for index in (1, 2, 3, 4))
    if call.attrs.get("training_mode"):
        raise ModelError("it is in training mode", mend="Export the model for inference (model.eval() in PyTorch).")
    epsilon = float(call.attrs.get("epsilon", 1e-5))
    if not epsilon > 0 or not (variance >= 0).all():
        raise ValueError("its variance is negative")
    if len({len(part) for part in (gamma, beta, mean, variance)} | {x.shape[-1]}) != 1:
        raise ValueError("its weights do not fit the channels")
    if x.rank == 2:
        scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
        return scale_channels(call, x, scale, beta - mean * scale)
    larger = max(epsilon, LEAST_EPSILON)
    moved = (variance.astype(np.float64) + (epsilon - larger)).astype(np.float32)
    weights = {"gamma": gamma, "beta": beta, "mean": mean, "variance": moved}
    return call.node("batch_norm", call.image(), attrs={"epsilon": larger}, weights=weights)


def _instance_norm(call: ONNXOperator) -> FileTensor:
    """Read an InstanceNormalization (Ulyanov et al. 2016, arXiv:1607.08022): every channel is a group.

    Of a map whose channels were joined in groups it is a group normalisation, with one weight for each group.
    """
    groups, gamma, beta = call.tensor().groups, call.weight(1, 1), call.weight(2, 1)
    if not groups:
        return _groups(call, call.image(), -1, gamma, beta)
    if {gamma.size, beta.size} != {groups}:
        raise ValueError("its weights do not fit the groups")
    x = replace(call.tensor(), groups=0)
    each = x.shape[-1] // groups
    return replace(_groups(call, x, groups, np.repeat(gamma, each), np.repeat(beta, each)), groups=groups)


def _group_norm(call: ONNXOperator) -> FileTensor:
    """Read a GroupNormalization (Wu and He 2018, arXiv:1803.08494) of opset 21; onnx has withdrawn that of opset 18."""
    groups, channels = int(call.attrs["num_groups"]), call.image().shape[-1]
    if groups < 1 or channels % groups:
        raise ValueError(f"{channels} channels are not {groups} groups of one size")
    return _groups(call, call.image(), groups, call.weight(1, 1), call.weight(2, 1))


def _groups(call: ONNXOperator, x: FileTensor, groups: int, gamma: Array, beta: Array) -> FileTensor:
    if {gamma.size, beta.size} != {x.shape[-1]}:
        raise ValueError("its weights do not fit the channels")
    attrs = {"groups": groups, "epsilon": float(call.attrs.get("epsilon", 1e-5))}
    return call.node("group_norm", x, attrs=attrs, weights={"gamma": gamma, "beta": beta})


def _layer_norm(call: ONNXOperator) -> FileTensor:
    """Read a LayerNormalization over the channels, the last axis in the file (Ba et al. 2016, arXiv:1607.06450)."""
    x, axis = call.tensor(), int(call.attrs.get("axis", -1))
    if x.graph_axis(axis) != x.rank - 1 or axis % x.rank != x.rank - 1:
        raise ModelError("it is over more than the channels", mend="Use batch normalisation.")
    weights: dict[str, Array] = {"gamma": np.array(per_channel(x, call.weight(1)))}
    if call.has(2):
        weights["beta"] = np.array(per_channel(x, call.weight(2)))
    return call.node("layer_norm", x, attrs={"epsilon": float(call.attrs.get("epsilon", 1e-5))}, weights=weights)


def _dense(call: ONNXOperator) -> FileTensor:
    """Read a MatMul by a constant, or a Gemm, of vectors; over the last axis of a map it is a 1x1 convolution."""
    x, kernel = call.tensor(), call.weight(1, 2)
    if call.attrs.get("transA") or x.graph_axis(-1) != x.rank - 1 or x.rank not in (2, 4):
        raise ModelError("it multiplies another axis than the channels")
    kernel = (kernel.T if call.attrs.get("transB") else kernel) * np.float32(call.attrs.get("alpha", 1.0))
    weights: dict[str, Array] = {"kernel": kernel if x.rank == 2 else kernel[None, None]}
    if call.has(2):
        bias = call.weight(2) * np.float32(call.attrs.get("beta", 1.0))
        if bias.size not in (1, kernel.shape[1]):
            raise ValueError(f"a bias of {bias.size} does not fit {kernel.shape[1]} units")
        weights["bias"] = np.array(np.broadcast_to(bias.ravel(), (kernel.shape[1],)))
    return call.node("dense" if x.rank == 2 else "conv", x, weights=weights)


def _global_pool(op: str) -> OperatorReader:
    return lambda call: call.node(op, call.image(), attrs={"keepdims": True})


def _reduce(op: str) -> OperatorReader:
    """Read a ReduceMean or a ReduceMax over height and width."""

    def read(call: ONNXOperator) -> FileTensor:
        x, axes = call.tensor(), call.integers("axes", 1)
        if x.rank != 4 or axes is None or sorted(x.graph_axis(axis) for axis in axes) != [1, 2]:
            raise ModelError("it reduces other axes than height and width")
        if call.attrs.get("keepdims", 1):
            return call.node(op, x, attrs={"keepdims": True})
        return call.node(op, x, attrs={"keepdims": False}, order=(0, 1))

    return read


OPERATORS: Mapping[str, OperatorReader] = MappingProxyType(
    {
        "BatchNormalization": _batch_norm,
        "InstanceNormalization": _instance_norm,
        "GroupNormalization": _group_norm,
        "LayerNormalization": _layer_norm,
        "Gemm": _dense,
        "MatMul": _dense,
        "GlobalAveragePool": _global_pool("global_average_pool"),
        "GlobalMaxPool": _global_pool("global_max_pool"),
        "ReduceMean": _reduce("global_average_pool"),
        "ReduceMax": _reduce("global_max_pool"),
    }
)
