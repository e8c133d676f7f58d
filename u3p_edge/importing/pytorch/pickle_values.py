"""Read the value that a pickle of `torch.save` describes, without calling anything that it names.

A pickle is a program for a stack machine (PEP 307), and it may call any function of any module. Here a name is looked up in a
table of this module, whose entries build plain data; any other name is refused. So are the opcodes that such a file does
not need, keys that are neither text nor a number (hashing nested tuples can take for ever), and what comes after the value.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from u3p_edge.errors import ModelError

STORAGES: Mapping[str, str] = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
"""NumPy's code of the numbers in each of PyTorch's storages; NumPy has no bfloat16."""

WEIGHTS_ALONE = "Save the weights alone: torch.save(model.state_dict(), 'weights.pth')."
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


@dataclass(frozen=True)
class StoredTensor:
    """Where the numbers of a tensor lie.

    Args:
        kind: of its numbers, a value of `STORAGES`.
        key: name of its storage in the archive.
        count: numbers in the storage.
        offset: index of the first number.
        shape: of the tensor.
        strides: numbers from one index to the next, along each axis.
    """

    kind: str
    key: str
    count: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    """A class or function that the pickle names. `build` computes the data that a call gives; None where none is called."""

    name: str
    build: Callable[..., Any] | None


@dataclass(frozen=True)
class _Storage:
    kind: str
    key: str
    count: int


@dataclass
class _Machine:
    """The state of reading: what was read and not yet used, where sequences begin, and what is referred to by number."""

    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("a value is missing")
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        if not self.marks:
            raise ValueError("a mark is missing")
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def last(self, kind: type) -> Any:
        """Return the last value, which is of that type."""
        value = self.stack[-1]
        if not isinstance(value, kind):
            raise ValueError(f"{type(value).__name__} in place of {kind.__name__}")
        return value


def read_pickle(data: bytes) -> Any:
    """Return the value: dictionaries, lists, tuples, text, numbers and `StoredTensor`.

    Raises:
        ModelError: it is damaged, or names something that a checkpoint of weights does not need; the message says which.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name not in _OPCODES:
                raise ModelError(f"its pickle uses {opcode.name}, which weights do not need", mend=WEIGHTS_ALONE)
            _OPCODES[opcode.name](machine, argument)
        (value,) = machine.stack
    except _DAMAGED as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(f"its pickle is damaged ({reason})", mend="Copy the file again from its source.") from error
    return value


def _set_items(target: dict[Any, Any], items: Iterable[tuple[Any, Any]]) -> None:
    for key, value in items:
        if not isinstance(key, str | int):
            raise ValueError(f"a key is {type(key).__name__}")
        target[key] = value


def _ordered_dict(pairs: Iterable[tuple[Any, Any]] = ()) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    _set_items(result, pairs)
    return result


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_rest: Any) -> StoredTensor:
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ValueError("a tensor has no storage or shape")
    if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in (offset, *shape, *strides)):
        raise ValueError(f"a tensor has the shape {shape}, strides {strides} and offset {offset}"[:200])
    return StoredTensor(storage.kind, storage.key, storage.count, offset, shape, strides)


def _parameter(tensor: Any, *_rest: Any) -> Any:
    return tensor


_NAMES: Mapping[str, Callable[..., Any] | None] = {
    "collections OrderedDict": _ordered_dict,
    "torch Size": tuple,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_tensor_v2": _tensor,
    **{f"torch {name}": None for name in STORAGES},
    **{f"torch {name}": None for name in ("bfloat16", "float16", "float32", "float64", "int32", "int64", "strided")},
}
"""Every name that may occur."""


def _look_up(machine: _Machine, name: str) -> None:
    if name not in _NAMES:
        called = name.replace(" ", ".")[:200]
        raise ModelError(f"it names {called!r}, which is not data of weights: calling it could run code", mend=WEIGHTS_ALONE)
    machine.push(_Name(name, _NAMES[name]))


def _look_up_two(machine: _Machine, _: object) -> None:
    name, module = machine.pop(), machine.pop()
    _look_up(machine, f"{module} {name}")


def _call(machine: _Machine, _: object) -> None:
    arguments, function = machine.pop(), machine.pop()
    if not isinstance(function, _Name) or function.build is None or not isinstance(arguments, tuple):
        raise ValueError("what it calls is not a function")
    machine.push(function.build(*arguments))


def _read_storage(machine: _Machine, _: object) -> None:
    """Push the storage of a persistent identifier: ("storage", its class, key, device, count of numbers)."""
    word, name, key, _device, count = machine.pop()
    kind = name.name.removeprefix("torch ") if isinstance(name, _Name) else ""
    if word != "storage" or kind not in STORAGES or not isinstance(key, str) or type(count) is not int:
        raise ValueError("a storage is not described as PyTorch does")
    machine.push(_Storage(STORAGES[kind], key, count))


def _set_state(machine: _Machine, _: object) -> None:
    """Drop the attributes of an OrderedDict, such as the versions of a state dict's modules."""
    machine.pop()
    machine.last(dict)


def _set_one(machine: _Machine, _: object) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items(machine.last(dict), [(key, value)])


def _set_many(machine: _Machine, _: object) -> None:
    items = machine.pop_to_mark()
    _set_items(machine.last(dict), zip(items[::2], items[1::2], strict=True))


def _append_one(machine: _Machine, _: object) -> None:
    value = machine.pop()
    machine.last(list).append(value)


def _append_many(machine: _Machine, _: object) -> None:
    items = machine.pop_to_mark()
    machine.last(list).extend(items)


def _mark(machine: _Machine, _: object) -> None:
    machine.marks.append(len(machine.stack))


def _remember(machine: _Machine, number: Any) -> None:
    machine.memo[number] = machine.stack[-1]


def _recall(machine: _Machine, number: Any) -> None:
    machine.push(machine.memo[number])


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    def push_tuple(machine: _Machine, _: object) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.push(tuple(reversed(items)))

    return push_tuple


_LITERALS = (
    *("BINFLOAT", "BININT", "BININT1", "BININT2", "BINUNICODE", "LONG1", "SHORT_BINUNICODE"),
    *("BINBYTES", "SHORT_BINBYTES"),
)
_OPCODES: Mapping[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda *_: None),
    **dict.fromkeys(_LITERALS, _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "MARK": _mark,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    **{f"TUPLE{count}": _tuple_of(count) for count in (1, 2, 3)},
    "APPEND": _append_one,
    "APPENDS": _append_many,
    "SETITEM": _set_one,
    "SETITEMS": _set_many,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _remember),
    "MEMOIZE": lambda machine, _: _remember(machine, len(machine.memo)),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _recall),
    "GLOBAL": _look_up,
    "STACK_GLOBAL": _look_up_two,
    "REDUCE": _call,
    "BUILD": _set_state,
    "BINPERSID": _read_storage,
}
