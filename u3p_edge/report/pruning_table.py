"""Where pruning removed channels and milliseconds: by encoder convolution, branch and fusion of each decoder, and heads."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from u3p_edge.report import markdown
from u3p_edge.report.inspection import stage_of

TOTAL = "total"
HEADS = "heads"

_BRANCH = re.compile(r"dec\d+_from_[a-z]+\d+(?=_|$)")
_DECODER = re.compile(r"(dec\d+)(?=_|$)")
_FIRST = re.compile(r"(enc\d+)_[a-z]+1(?=_|$)")
_ENCODER = re.compile(r"(enc\d+|down\d+)(?=_|$)")
_POOL = re.compile(r"down(\d+)_pool$")
_PLACE = re.compile(r"(enc|down|dec)(\d+)(?=_|$)")


@dataclass(frozen=True)
class PruningRow:
    """One part of a network.

    Args:
        part: its name, as `part_of` gives it, or "total".
        channels_before, channels_after: channels of its output map; 0 if the part is gone. The total is the sum over the parts.
        ms_before, ms_after: milliseconds of all its nodes; None if none of them has a time.
    """

    part: str
    channels_before: int
    channels_after: int
    ms_before: float | None
    ms_after: float | None


def part_of(node: str) -> str:
    """Return the part of a UNet 3+ that a node belongs to by its name; the name itself if it shows no part.

    Parts are "enc2_conv1" with the pooling before it, "enc2_conv2" with all that follows it, "down2" if it is a convolution,
    "dec1_from_enc5", "dec1_fuse" with its concatenation, and "heads".
    """
    pooled, first = _POOL.match(node), _FIRST.match(node)
    if pooled:
        return f"enc{int(pooled[1]) + 1}_conv1"
    if first:
        return f"{first[1]}_conv1"
    if branch := _BRANCH.match(node):
        return branch[0]
    if decoder := _DECODER.match(node):
        return f"{decoder[1]}_fuse"
    if encoder := _ENCODER.match(node):
        return encoder[1] if encoder[1].startswith("down") else f"{encoder[1]}_conv2"
    return HEADS if stage_of(node) == HEADS else node


def pruning_rows(
    before: Mapping[str, int], after: Mapping[str, int], before_ms: Mapping[str, float], after_ms: Mapping[str, float]
) -> tuple[PruningRow, ...]:
    """Return one row per part, from the first encoder to the heads, then nodes that are a part of their own, then the total.

    A node that is a part of its own is left out if it takes no time and its channels did not change, as for an input.

    Args:
        before, after: output channels of every node, or every node of interest, by its name in the graph's order.
        before_ms, after_ms: milliseconds by node; nodes without time may be missing, or all of them.
    """
    channels, ms = [_channels(each) for each in (before, after)], [_milliseconds(each) for each in (before_ms, after_ms)]
    names = dict.fromkeys([*channels[0], *channels[1], *ms[0], *ms[1]])
    found = [
        PruningRow(name, channels[0].get(name, 0), channels[1].get(name, 0), ms[0].get(name), ms[1].get(name))
        for name in sorted(names, key=_place)
    ]
    told = [row for row in found if _place(row.part) != _LAST or _matters(row)]
    return (*told, _total(told))


def pruning_table(rows: Sequence[PruningRow]) -> str:
    """Return the rows as a Markdown table."""
    header = ["part", "channels before", "channels after", "ms before", "ms after"]
    return markdown.table(header, [_cells(row) for row in rows])


def as_values(rows: Sequence[PruningRow]) -> list[dict[str, Any]]:
    """Return the rows as plain values for JSON, each with the fields of `PruningRow`."""
    return [dataclasses.asdict(row) for row in rows]


def _channels(by_node: Mapping[str, int]) -> dict[str, int]:
    """Return the channels of each part, which are those of its last node."""
    return {part_of(node): count for node, count in by_node.items()}


def _milliseconds(by_node: Mapping[str, float]) -> dict[str, float]:
    """Return the milliseconds of each part, summed over its nodes."""
    found: dict[str, float] = {}
    for node, ms in by_node.items():
        found[part_of(node)] = found.get(part_of(node), 0.0) + ms
    return found


_LAST = (3, 0, 0)


def _place(part: str) -> tuple[int, int, int]:
    """Return the sort key of a part.

    Encoders come from the first to the deepest, decoders from the deepest to the first, and branches before their fusion.
    """
    found = _PLACE.match(part)
    if found is None:
        return (2, 0, 0) if part == HEADS else _LAST
    kind, scale = found[1], int(found[2])
    if kind == "dec":
        return 1, -scale, int(part.endswith("_fuse"))
    return 0, scale, 2 if kind == "down" else int(part.endswith("_conv2"))


def _matters(row: PruningRow) -> bool:
    return row.channels_before != row.channels_after or row.ms_before is not None or row.ms_after is not None


def _total(found: Sequence[PruningRow]) -> PruningRow:
    return PruningRow(
        TOTAL,
        sum(row.channels_before for row in found),
        sum(row.channels_after for row in found),
        _sum(row.ms_before for row in found),
        _sum(row.ms_after for row in found),
    )


def _sum(times: Iterable[float | None]) -> float | None:
    told = [ms for ms in times if ms is not None]
    return sum(told) if told else None


def _cells(row: PruningRow) -> list[str]:
    times = ["–" if ms is None else f"{ms:.3f}" for ms in (row.ms_before, row.ms_after)]
    return [row.part, str(row.channels_before), str(row.channels_after), *times]
