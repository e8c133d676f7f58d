"""Inputs, and ops that give back their input at inference."""

from __future__ import annotations

from collections.abc import Sequence

from u3p_edge.graph.ops.op import REQUIRED, Array, Attrs, Layer, Op, Shape, Weights, own_names, same_shape


def _input_shape(attrs: Attrs, _weights: Weights, _inputs: tuple[Shape, ...]) -> Shape:
    batch, *rest = attrs["shape"]
    if any(size is None for size in rest):
        raise ValueError(f"its size {tuple(rest)} is not fixed")
    return (batch or 1, *rest)


def _first(_attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    return x[0]


def _identity(name: str, layer: str, attrs: Attrs) -> Op:
    return Op(
        name, same_shape, _first, attrs=attrs, layers=(Layer(layer, own_names(*attrs)),), is_identity=True, view=True,
        channelwise=True, pixelwise=True, keeps_range=True, keeps_zero=True,
    )  # fmt: skip


_RATE: Attrs = {"rate": 0.5}

OPS: tuple[Op, ...] = (
    Op(
        "input", _input_shape, _first, arity=0, attrs={"shape": REQUIRED, "dtype": "float32"},
        layers=(Layer("InputLayer", {"shape": "batch_input_shape", "dtype": "dtype"}),),
    ),
    _identity("identity", "Identity", {}),
    _identity("dropout", "Dropout", _RATE),
    _identity("spatial_dropout", "SpatialDropout2D", _RATE),
    _identity("alpha_dropout", "AlphaDropout", _RATE),
    _identity("gaussian_dropout", "GaussianDropout", _RATE),
    _identity("gaussian_noise", "GaussianNoise", {"stddev": 0.1}),
)  # fmt: skip
