"""The operators that are read, and the options table that each has. Custom and Flex operators are not among them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_SAME = "ABS CAST CONCATENATION COS DEQUANTIZE DIV EXP FILL GATHER GELU HARD_SWISH LEAKY_RELU MUL NEG PACK PAD QUANTIZE "
_SAME += "RESHAPE SELECT SLICE SOFTMAX SPLIT SPLIT_V SQUARE SQUEEZE SUB TILE TRANSPOSE UNPACK ADD ADD_N "
_SAME += "BROADCAST_TO EQUAL EXPAND_DIMS FLOOR_DIV FLOOR_MOD GREATER GREATER_EQUAL LESS LESS_EQUAL LOG_SOFTMAX "
_SAME += "LOGICAL_AND LOGICAL_NOT LOGICAL_OR MIRROR_PAD NOT_EQUAL POW SPACE_TO_DEPTH DEPTH_TO_SPACE STRIDED_SLICE "
_SAME += "TRANSPOSE_CONV ZEROS_LIKE FULLY_CONNECTED RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SQUARED_DIFFERENCE"
_NONE = "CEIL ELU FLOOR LOG LOGISTIC PRELU RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIN SQRT TANH"
_POOLS = "AVERAGE_POOL_2D L2_POOL_2D MAX_POOL_2D"
_REDUCERS = "MEAN REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM"
_ODD = {
    "ARG_MAX": "ArgMaxOptions",
    "ARG_MIN": "ArgMinOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "BATCH_TO_SPACE_ND": "BatchToSpaceNDOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "PADV2": "PadV2Options",
    "REVERSE_V2": "ReverseV2Options",
    "SELECT_V2": "SelectV2Options",
    "SIGN": "SignOptions",
    "SPACE_TO_BATCH_ND": "SpaceToBatchNDOptions",
}


def _table(code: str) -> str:
    """Return the name of an operator's options: MirrorPadOptions for MIRROR_PAD."""
    return "".join(word.capitalize() for word in code.split("_")) + "Options"


OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        **{code: _table(code) for code in _SAME.split()},
        **dict.fromkeys(_NONE.split(), "NONE"),
        **dict.fromkeys(_POOLS.split(), "Pool2DOptions"),
        **dict.fromkeys(_REDUCERS.split(), "ReducerOptions"),
        **_ODD,
    }
)
"""Builtin operator to the name of its options table in the schema; "NONE" where it has none."""
