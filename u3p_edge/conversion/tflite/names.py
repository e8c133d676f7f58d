"""Give the maps of a TFLite file plain, unique node names; their own names are paths of TensorFlow scopes.

"model/residual/Relu;model/sum/add" is the tensor of the layer `sum`, fused with the layer named before the semicolon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from u3p_edge.conversion.tflite.schema import TFLiteGraph
from u3p_edge.errors import ModelError
from u3p_edge.graph.inference import IMAGE, MASK

_NONE: Mapping[int, int] = MappingProxyType({})


def list_names(file: TFLiteGraph, same: Mapping[int, int] = _NONE) -> Mapping[int, str]:
    """Return a name for every map: `image` and `mask` for the input and the output, unique names for the others.

    Args:
        file: a graph of one input and one output.
        same: from a tensor to another one that is the same map and gives it its name.

    Raises:
        ModelError: where there is not exactly one input and one output.
    """
    if len(file.inputs) != 1 or len(file.outputs) != 1:
        raise ModelError(
            f"the TFLite file has {len(file.inputs)} inputs and {len(file.outputs)} outputs, one of each was expected"
        )
    names = {_root(same, file.outputs[0]): MASK, file.inputs[0]: IMAGE}
    taken = {IMAGE, MASK}
    for index in (output for op in file.operators for output in op.outputs):
        root = _root(same, index)
        if root not in names:
            names[root] = free_name(plain_name(file.tensors[root].name), taken)
            taken.add(names[root])
    return MappingProxyType({index: names[_root(same, index)] for index in {*names, *same}})


def _root(same: Mapping[int, int], index: int) -> int:
    return _root(same, same[index]) if index in same else index


def plain_name(name: str) -> str:
    """Return the layer's name in a TensorFlow tensor name; any other name with only plain characters."""
    scope = name.split(";")[-1].split("/")
    layer = scope[1:-1] if len(scope) > 2 else scope
    number = re.search(r"_\d+$", scope[-1]) if len(scope) > 2 else None
    return re.sub(r"[^A-Za-z0-9_.-]", "_", "_".join(layer) + (number.group() if number else "")) or "node"


def free_name(name: str, taken: set[str]) -> str:
    """Return the name, with the lowest free number appended if the name is already taken."""
    if name not in taken:
        return name
    return next(new for new in (f"{name}_{count}" for count in range(2, len(taken) + 3)) if new not in taken)
