"""Choose one of a scan's channels or time points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from u3p_edge.errors import DataError


def channel_index(channel: str | None, count: int, path: Path, names: Sequence[str] = ()) -> int:
    """Return the index of the channel that the user chose, 0 where there is one alone.

    Args:
        channel: its number, from 0, or its name; None where none was chosen.
        count: channels that there are.
        path: of the file, for messages.
        names: of the channels; empty where they are not known.

    Raises:
        DataError: there are several and none was chosen, or there is no such channel.

    >>> channel_index("ADC", 2, Path("p1.nii.gz"), ("T2", "ADC"))
    1
    """
    if channel is None and count == 1:
        return 0
    by_name = {name.casefold(): index for index, name in enumerate(names[:count])}
    known = {**{str(index): index for index in range(count)}, **by_name}
    index = None if channel is None else known.get(channel.strip().casefold())
    if index is not None:
        return index
    listed = f" ({', '.join(names)})" if names else ""
    mend = f"Choose one with --channel, by its number from 0 to {count - 1}{' or by its name' if names else ''}."
    if channel is None:
        raise DataError(f"{path} has {count} channels or time points{listed}, and a slice has one", mend=mend)
    mend = mend if count > 1 else "Leave --channel out."
    raise DataError(f"{path} has no channel {channel!r}: it has {count}{listed}", mend=mend)
