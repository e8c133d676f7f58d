"""What a function that reads one kind of operator takes and gives."""

from __future__ import annotations

from collections.abc import Callable

from u3p_edge.importing.onnx.call import ONNXOperator
from u3p_edge.importing.onnx.tensors import FileTensor

OperatorReader = Callable[[ONNXOperator], FileTensor | tuple[FileTensor, ...]]
"""Returns the operator's first output, or all of them.

Raises:
    ModelError: the operator has no form in a graph as it is used; the sentence goes on from the operator's name.
    ValueError, IndexError, TypeError: shapes or attributes that do not fit together.
"""
