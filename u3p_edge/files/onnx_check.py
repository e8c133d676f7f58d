"""Check an ONNX file before it is read: no data outside the file, no hidden programs, no unbounded constants.

ONNX Runtime checks types and indices by itself. What it does not bound is what a file may read (`external_data` names any
file of the machine) and what constants it computes while it loads. The file is read as protobuf bytes, because a device
that predicts has no `onnx` package.

`u3p_edge.importing` bounds both itself, so for it the other checks are made alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from u3p_edge.errors import ModelError

Buffer = memoryview
_DOMAINS = frozenset(("", "ai.onnx", "com.microsoft"))
_KEEPS_SIZE = frozenset(
    (
        *("Cast", "Concat", "DequantizeLinear", "Flatten", "Gather", "Identity", "Neg", "QuantizeLinear", "Reciprocal"),
        *("Reshape", "Slice", "Split", "Sqrt", "Squeeze", "Transpose", "Unsqueeze"),
    )
)
"""Operators that give at most as many elements as they read."""
_BROADCASTS = frozenset(["Add", "Div", "Mul", "Pow", "Sub"])
_WIDEST = 8
"""Bytes of the widest element: a cast may turn one byte into eight."""


def check_onnx_content(data: Buffer, max_memory_mb: float | None) -> None:
    """Refuse a file that ONNX Runtime could not run safely.

    Args:
        data: the file's bytes.
        max_memory_mb: bound, in MB of 10^6 bytes, of each constant that it would compute while it loads; None for a reader
            that bounds its constants and checks its data files itself.

    Raises:
        ModelError: the file is not protobuf, or it has data in other files, functions, branches or loops, a constant of
            another size than its shape, operators of an unknown domain, or constants that exceed the bound.
    """
    for number, model in _fields(data):
        if number in (20, 25):
            raise ModelError("the ONNX file holds functions or training, which are not run here")
        if number == 7:
            _check_graph(_message(model), None if max_memory_mb is None else max_memory_mb * 1e6)


def list_operators(data: Buffer) -> Iterator[str]:
    """Yield the operator of each node of a file that `check_onnx_content` has accepted, in the file's order."""
    graphs = (_message(value) for number, value in _fields(data) if number == 7)
    nodes = (_message(value) for graph in graphs for number, value in _fields(graph) if number == 1)
    for node in nodes:
        yield next((_text(_message(value)) for number, value in _fields(node) if number == 4), "")


def _check_graph(graph: Buffer, limit: float | None) -> None:
    constants: dict[str, int] = {}
    nodes = []
    for number, value in _fields(graph):
        if number == 1:
            nodes.append(_message(value))
        elif number == 5:
            name, size = _check_tensor(_message(value), data_files=limit is None)
            constants[name] = size
        elif number == 15:
            raise ModelError("the ONNX file holds sparse constants, which are not run here")
    for node in nodes:
        _check_node(node, constants, limit)


def _check_node(node: Buffer, constants: dict[str, int], limit: float | None) -> None:
    """Check a node. If it reads only constants, which ONNX Runtime computes while it loads, add its outputs to `constants`."""
    fields = [(number, _message(value)) for number, value in _fields(node) if number in (1, 2, 4, 5, 7)]
    code, domain = (next((_text(value) for number, value in fields if number == wanted), "") for wanted in (4, 7))
    if domain not in _DOMAINS or code == "EPContext":  # which names a file to be loaded
        raise ModelError(f"the ONNX operator {code[:80]!r} (domain {domain[:80]!r}) is not run here")
    held = sum(_check_attribute(value, code) for number, value in fields if number == 5)
    inputs = [_text(value) for number, value in fields if number == 1]
    if limit is None or not all(name in constants or not name for name in inputs):
        return
    size = _constant_bytes(code, [constants[name] for name in inputs if name], held)
    if size is None or size > limit:
        raise ModelError(f"the ONNX operator {code[:80]!r} computes a constant of unknown or too large a size")
    constants.update({_text(value): size for number, value in fields if number == 2})


def _constant_bytes(code: str, sizes: list[int], held: int) -> int | None:
    """Return the most bytes that a node of constants can give; None where that is not known."""
    if code == "Constant":
        return held
    if code in _KEEPS_SIZE:
        return _WIDEST * sum(sizes) if "Linear" in code or code == "Cast" else sum(sizes)
    return prod(sizes) if code in _BROADCASTS else None


def _check_attribute(attribute: Buffer, code: str) -> int:
    """Check an attribute; return its bytes."""
    for number, value in _fields(attribute):
        if number in (6, 11):
            raise ModelError(f"the ONNX operator {code[:80]!r} holds a nested graph, which is not run here")
        if number in (22, 23):
            raise ModelError(f"the ONNX operator {code[:80]!r} holds sparse constants, which are not run here")
        if number in (5, 10):
            _check_tensor(_message(value))
    return len(attribute)


def _check_tensor(tensor: Buffer, *, data_files: bool = False) -> tuple[str, int]:
    """Check that a constant is inside the file, or in a data file where these are allowed; return its name and its bytes."""
    dims: list[int] = []
    name = ""
    for number, value in _fields(tensor):
        if number == 13 or (number == 14 and value != 0):
            if data_files:
                return "", 0
            raise ModelError("the ONNX file keeps its constants in another file, which is not read", mend=_INSIDE)
        if number == 1:
            dims += [value] if isinstance(value, int) else _varints(value)
        elif number == 8:
            name = _text(_message(value))
    # An element takes half a byte at least.
    if any(n >> 31 for n in dims) or prod(dims) > 2 * len(tensor):
        raise ModelError(f"the ONNX constant {name[:80]!r} of shape {dims[:9]} is larger than what the file holds of it")
    return name, len(tensor)


_INSIDE = "Save the model as one file."


def _fields(view: Buffer) -> Iterator[tuple[int, int | Buffer]]:
    """Yield the fields of a protobuf message: number, and an integer or bytes. Raises ModelError where it is damaged."""
    position = 0
    while position < len(view):
        key, position = _varint(view, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            integer, position = _varint(view, position)
            yield number, integer
            continue
        if kind == 2:
            length, position = _varint(view, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise _damaged()
        if length > len(view) - position:
            raise _damaged()
        yield number, view[position : position + length]
        position += length


def _varint(view: Buffer, position: int) -> tuple[int, int]:
    value = 0
    for count in range(10):
        if position + count >= len(view):
            raise _damaged()
        byte = view[position + count]
        value |= (byte & 127) << 7 * count
        if byte < 128:
            return value, position + count + 1
    raise _damaged()


def _varints(view: Buffer) -> list[int]:
    integers, position = [], 0
    while position < len(view):
        value, position = _varint(view, position)
        integers.append(value)
        if len(integers) > 64:
            raise _damaged()
    return integers


def _message(value: int | Buffer) -> Buffer:
    if isinstance(value, int):
        raise _damaged()
    return value


def _text(value: Buffer) -> str:
    return bytes(value).decode("utf-8", "replace")


def _damaged() -> ModelError:
    return ModelError("it is not an ONNX file: truncated or damaged", mend="Export or copy it again.")
