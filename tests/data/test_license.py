"""The licence of a data folder is what its description says, and nothing where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from u3p_edge.data.license import read_license


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
