"""The licence and class names of a data folder are what its description says, and nothing where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from u3p_edge.data.description import read_class_names, read_license


@pytest.mark.parametrize(
    ("description", "license"),
    [
        ('{"license": " CC0-1.0 "}', "CC0-1.0"),
        ('{"licence": "CC0-1.0"}', "CC0-1.0"),
        ('{"license": ["CC0-1.0"]}', ""),
        (json.dumps({"what": "scans"}), ""),
        ("not JSON", ""),
        (None, ""),
    ],
)
def test_the_licence_is_read_where_there_is_one(description: str | None, license: str, tmp_path: Path) -> None:
    if description is not None:
        (tmp_path / "manifest.json").write_text(description)
    assert read_license(tmp_path) == license


@pytest.mark.parametrize(
    ("description", "names"),
    [
        ('{"class_names": ["background", "liver"]}', ("background", "liver")),
        ('{"class_names": ["background", 1]}', ()),
        ('{"class_names": "liver"}', ()),
        ("{}", ()),
        (None, ()),
    ],
)
def test_class_names_are_read_where_there_are_some(description: str | None, names: tuple[str, ...], tmp_path: Path) -> None:
    if description is not None:
        (tmp_path / "manifest.json").write_text(description)
    assert read_class_names(tmp_path) == names
