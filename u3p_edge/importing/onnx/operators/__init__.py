"""How every operator of an ONNX file is read, one file a family. A new operator is a function in the table of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from u3p_edge.importing.onnx.operators import elementwise, moves, normalization, resize, transposed, windows
from u3p_edge.importing.onnx.operators.operator import OperatorReader

OPERATORS: Mapping[str, OperatorReader] = MappingProxyType(
    {
        **windows.OPERATORS,
        **transposed.OPERATORS,
        **elementwise.OPERATORS,
        **normalization.OPERATORS,
        **resize.OPERATORS,
        **moves.OPERATORS,
    }
)
"""The function that reads each operator."""

MENDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("ArgMax", "LogSoftmax", "TopK"), "Export the network up to the operator before it: its logits."),
        **dict.fromkeys(
            ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "DynamicQuantizeLinear", "FusedConv"),
            "Give the float32 file that it was made from; u3p-edge quantizes by itself.",
        ),
        **dict.fromkeys(("Erf", "Sqrt", "Pow"), "Use an activation or normalisation that ONNX has an operator for."),
        "Upsample": "Export the model with opset_version=17.",
    }
)
"""What to do about some operators that are not read."""
