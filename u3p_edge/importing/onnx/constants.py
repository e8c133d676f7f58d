"""Compute the values that a file computes from constants alone: the sizes of maps, mostly.

ONNX's own reference computes them. It takes what a size says, so the size of every result is bounded before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from u3p_edge.errors import ModelError
from u3p_edge.importing.onnx.content import Array

LARGEST = 2**26
"""Most elements of a computed constant: four times the largest kernel of a network with 2048 channels."""

_BROADCASTS = frozenset(
    (
        *("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Or"),
        *("Pow", "Sub", "Where"),
    )
)
_NO_LARGER = frozenset(
    (
        *("Abs", "Cast", "Ceil", "Concat", "Exp", "Flatten", "Floor", "Gather", "Identity", "Neg", "Not", "Reciprocal"),
        *("ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Round", "Shape", "Size", "Slice", "Split", "Sqrt"),
        *("Squeeze", "Transpose", "Unsqueeze"),
    )
)
_FROM_SHAPE = frozenset(("ConstantOfShape", "Expand", "Tile"))
FOLDED = _BROADCASTS | _NO_LARGER | _FROM_SHAPE
"""The operators that are computed where all their inputs are constants."""


def fold_constants(node: Any, inputs: Mapping[str, Array], opset: int) -> tuple[Array, ...]:
    """Return the outputs of an operator that reads constants alone.

    Args:
        node: onnx.NodeProto of an operator in `FOLDED`.
        inputs: the constants by name.
        opset: version of the operator.

    Raises:
        ModelError: the operator cannot be computed, or its result would be larger than `LARGEST`.
    """
    arrays = [inputs[name] for name in node.input if name]
    try:
        size = _result_size(node.op_type, arrays)
        if size > LARGEST:
            raise ModelError(f"it computes a constant of {size} elements", mend=f"At most {LARGEST} are computed.")
        with np.errstate(all="ignore"):
            results = _evaluator(node, inputs, opset).run(None, dict(inputs))
    except ModelError:
        raise
    except Exception as error:  # whatever the reference raises for damaged operators
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"its constants cannot be computed ({reason[:200]})", mend="Export or copy the file again.") from error
    return tuple(np.asarray(result) for result in results)


def _evaluator(node: Any, inputs: Mapping[str, Array], opset: int) -> Any:
    kinds = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in inputs.items()}
    graph = helper.make_graph(
        [node],
        "constants",
        [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in node.output if name],
    )
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]))


def _result_size(op: str, arrays: Sequence[Array]) -> int:
    """Return the most elements that the results can have."""
    if op == "ConstantOfShape":
        return math.prod(int(n) for n in arrays[0].ravel())
    if op == "Tile":
        return arrays[0].size * math.prod(int(n) for n in arrays[1].ravel())
    if op == "Expand":
        return math.prod(np.broadcast_shapes(arrays[0].shape, tuple(int(n) for n in arrays[1].ravel())))
    if op in _BROADCASTS:
        return math.prod(np.broadcast_shapes(*(array.shape for array in arrays)))
    return sum(array.size for array in arrays)
