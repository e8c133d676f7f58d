"""What an imported data folder records of its volumes is read, and another program's file of that name means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from u3p_edge.data.volumes import read_axis


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ('{"axis": "sagittal"}', "sagittal"),
        ('{"axis": null}', None),
        ('{"axis": ["axial"]}', None),
        ('{"axis": "x"}', None),
        ("[]", None),
        ("{", None),
        (None, None),
    ],
)
def test_the_axis_is_read_where_there_is_one(text: str | None, axis: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "source.json").write_text(text)
    assert read_axis(tmp_path) == axis
