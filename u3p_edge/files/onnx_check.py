"""Whether an ONNX file may be given to ONNX Runtime: nothing outside the file, no hidden programs, no endless constants.

ONNX Runtime checks types and indices by itself. What it does not bound is what a file may read (`external_data` names any
file of the machine) and what constants it computes while it loads. The file is walked as protobuf bytes, since a device
that predicts has no `onnx` package.
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
"""Bytes of the widest element: a cast may make eight bytes of one."""


def check(data: Buffer, max_memory_mb: float) -> None:
    """Refuse what ONNX Runtime would believe.

    Args:
        data: the file's bytes.
        max_memory_mb: of constants that it would compute while it loads.

    Raises:
        ModelError: not protobuf, data outside the file, functions, branches or loops, a constant of another size than its
            shape, operators of unknown makers, or constants computed beyond the memory.
    """
    for number, model in _fields(data):
        if number in (20, 25):
            raise ModelError("the ONNX file holds functions or training, which are not run here")
        if number == 7:
            _check_graph(_message(model), max_memory_mb * 1e6)


def _check_graph(graph: Buffer, limit: float) -> None:
    constants: dict[str, int] = {}
    nodes = []
    for number, value in _fields(graph):
        if number == 1:
            nodes.append(_message(value))
        elif number == 5:
            name, size = _check_tensor(_message(value))
            constants[name] = size
        elif number == 15:
            raise ModelError("the ONNX file holds sparse constants, which are not run here")
    for node in nodes:
        _check_node(node, constants, limit)


def _check_node(node: Buffer, constants: dict[str, int], limit: float) -> None:
    """Add the outputs of a node that reads constants alone to `constants`: ONNX Runtime computes it while it loads."""
    fields = [(number, _message(value)) for number, value in _fields(node) if number in (1, 2, 4, 5, 7)]
    code, domain = (next((_text(value) for number, value in fields if number == wanted), "") for wanted in (4, 7))
    if domain not in _DOMAINS or code == "EPContext":  # which names a file to be loaded
        raise ModelError(f"the ONNX operator {code[:80]!r} (domain {domain[:80]!r}) is not run here")
    held = sum(_check_attribute(value, code) for number, value in fields if number == 5)
    inputs = [_text(value) for number, value in fields if number == 1]
    if not all(name in constants or not name for name in inputs):
        return
    size = _folded(code, [constants[name] for name in inputs if name], held)
    if size is None or size > limit:
        raise ModelError(f"the ONNX operator {code[:80]!r} computes a constant of unknown or endless size")
    constants.update({_text(value): size for number, value in fields if number == 2})


def _folded(code: str, sizes: list[int], held: int) -> int | None:
    """Bytes that a node of constants gives at most; None where that is not known."""
    if code == "Constant":
        return held
    if code in _KEEPS_SIZE:
        return _WIDEST * sum(sizes) if "Linear" in code or code == "Cast" else sum(sizes)
    return prod(sizes) if code in _BROADCASTS else None


def _check_attribute(attribute: Buffer, code: str) -> int:
    """Bytes of the attribute."""
    for number, value in _fields(attribute):
        if number in (6, 11):
            raise ModelError(f"the ONNX operator {code[:80]!r} holds a graph of its own, which is not run here")
        if number in (22, 23):
            raise ModelError(f"the ONNX operator {code[:80]!r} holds sparse constants, which are not run here")
        if number in (5, 10):
            _check_tensor(_message(value))
    return len(attribute)


def _check_tensor(tensor: Buffer) -> tuple[str, int]:
    """Name and bytes of a constant, all of it inside the file."""
    dims: list[int] = []
    name = ""
    for number, value in _fields(tensor):
        if number == 13 or (number == 14 and value != 0):
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
    """The fields of a protobuf message: number, and an integer or bytes. Raises ModelError where it is damaged."""
    place = 0
    while place < len(view):
        key, place = _varint(view, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            integer, place = _varint(view, place)
            yield number, integer
            continue
        if kind == 2:
            length, place = _varint(view, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise _damaged()
        if length > len(view) - place:
            raise _damaged()
        yield number, view[place : place + length]
        place += length


def _varint(view: Buffer, place: int) -> tuple[int, int]:
    value = 0
    for count in range(10):
        if place + count >= len(view):
            raise _damaged()
        byte = view[place + count]
        value |= (byte & 127) << 7 * count
        if byte < 128:
            return value, place + count + 1
    raise _damaged()


def _varints(view: Buffer) -> list[int]:
    found, place = [], 0
    while place < len(view):
        value, place = _varint(view, place)
        found.append(value)
        if len(found) > 64:
            raise _damaged()
    return found


def _message(value: int | Buffer) -> Buffer:
    if isinstance(value, int):
        raise _damaged()
    return value


def _text(value: Buffer) -> str:
    return bytes(value).decode("utf-8", "replace")


def _damaged() -> ModelError:
    return ModelError("it is not an ONNX file: truncated or damaged", mend="Export or copy it again.")
