"""Undo the layout passes: whatever layout a file has, every operator reads and writes its original maps again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from u3p_edge.export.tflite.layout_ops import RESIZES, apply_layout
from u3p_edge.export.tflite.layout_phases import unpack_phases
from u3p_edge.export.tflite.layout_rows import undo_row_layout
from u3p_edge.export.tflite.pieces import Call
from u3p_edge.export.tflite.schema import Operator, TFLiteGraph


@dataclass(frozen=True)
class _Links:
    """The operators, by index, that write and read each tensor."""

    file: TFLiteGraph
    makers: Mapping[int, int]
    readers: Mapping[int, Sequence[int]]

    def before(self, place: int) -> list[int]:
        """Return, as a list, the operator that writes the first tensor an operator reads; empty where none does."""
        maker = self.makers.get(self.file.operators[place].inputs[0])
        return [] if maker is None else [maker]

    def after(self, place: int) -> list[int]:
        """Return, as a list, the operator that reads an operator's output; empty where it is not the only reader."""
        output = self.file.operators[place].outputs[0]
        readers = self.readers.get(output, ())
        return list(readers) if len(readers) == 1 and output not in self.file.outputs else []


def undo_layouts(file: TFLiteGraph) -> TFLiteGraph:
    """Return the file in which every line, every batch of rows and every batch of bands is a map again, see `layout_ops`."""
    file = undo_row_layout(unpack_phases(file))
    makers = {op.outputs[0]: place for place, op in enumerate(file.operators)}
    readers: dict[int, list[int]] = {}
    for place, op in enumerate(file.operators):
        for index in op.inputs:
            readers.setdefault(index, []).append(place)
    links = _Links(file, makers, readers)
    tensors, operators = list(file.tensors), dict(enumerate(file.operators))
    for place, op in enumerate(file.operators):
        if op.code not in (*RESIZES, "CONV_2D"):
            continue
        for around in (_line(links, place), _bands(links, place)):
            source, target = (
                (file.operators[around[0]].inputs[0], file.operators[around[-1]].outputs[0]) if around else (-1, -1)
            )
            if not around or not _is_form(links, around, op, source, target):
                continue
            inputs = (source, *op.inputs[1:])
            if op.code in RESIZES:
                size = np.asarray(file.tensors[target].shape[1:3], np.int32)
                tensors.append(replace(file.tensors[op.inputs[1]], name=f"{file.tensors[target].name}/size", data=size))
                inputs = (source, len(tensors) - 1)
            for at in around:
                del operators[at]
            operators[place] = replace(op, inputs=inputs, outputs=(target,))
    return replace(file, tensors=tuple(tensors), operators=tuple(operators[place] for place in sorted(operators)))


def _line(links: _Links, place: int) -> list[int]:
    """Return the indices, in order, of the operators that may form a line; empty where they cannot."""
    before, after = links.before(place), links.after(place)
    return [*before, place, *after] if before and after else []


def _bands(links: _Links, place: int) -> list[int]:
    """Return the same for bands."""
    ops = links.file.operators
    joined, narrow = links.before(place), links.after(place)
    last = links.after(narrow[0]) if narrow else []
    if not joined or not last or ops[joined[0]].code != "CONCATENATION":
        return []
    bands, waiting = [], [links.makers.get(index, -1) for index in ops[joined[0]].inputs]
    for maker in waiting:
        if maker in joined:  # read twice, or by itself in a damaged file: not a tree
            return []
        if maker >= 0 and ops[maker].code == "CONCATENATION":  # joins some of the bands, where there are many
            joined.append(maker)
            waiting += [links.makers.get(index, -1) for index in ops[maker].inputs]
        else:
            bands.append(maker)
    padded = {tuple(links.before(band)) for band in bands if band >= 0}
    if min(bands) < 0 or len(padded) != 1 or padded == {()}:
        return []
    pad = next(iter(padded))[0]
    whole = len(links.readers[ops[pad].outputs[0]]) == len(bands)
    return [pad, *sorted(bands), *sorted(joined), place, *narrow, *last] if whole else []


def _is_form(links: _Links, around: Sequence[int], op: Operator, source: int, target: int) -> bool:
    """Whether those operators are what `apply_layout` makes of `op` between two maps, and nothing else reads their results."""
    file = links.file
    inner = [file.operators[place].outputs[0] for place in around[:-1]]
    constants = [None if index < 0 else file.tensors[index] for index in op.inputs[1:]]
    call = Call(op.code, ("", *constants), file.tensors[target], op.options)
    expected = apply_layout(call, file.tensors[source])
    if len(expected) != len(around) or any(index in file.outputs for index in inner):
        return False
    if any(reader not in around for index in inner for reader in links.readers[index]):
        return False
    return all(_alike(file, file.operators[place], one) for place, one in zip(around, expected, strict=True))


def _alike(file: TFLiteGraph, op: Operator, call: Call) -> bool:
    """Whether an operator has the kind, the output shape and the position constants of a call."""
    if op.code != call.code or file.tensors[op.outputs[0]].shape != call.output.shape or len(op.inputs) != len(call.inputs):
        return False
    for index, given in zip(op.inputs, call.inputs, strict=True):
        if not isinstance(given, str) and given is not None and given.dtype == np.int32 and not given.scale.size:
            data = file.tensors[index].data
            if data is None or given.data is None or not np.array_equal(data, given.data):
                return False
    return op.code != "CONCATENATION" or op.options["axis"] == call.options["axis"]
