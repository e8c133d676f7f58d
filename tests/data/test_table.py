"""Whatever lies in split.csv is a table or one sentence."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from u3p_edge.data.table import read_table
from u3p_edge.errors import DataError

PIECES = st.sampled_from(["name", "split", "patient", "train", ",", ";", "\t", "\n", "\r\n", '"', "sep=", "\x00", "\ufeff"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.binary(max_size=60), st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=20).map("".join)))
@example('sep="\nname,split\n')
@example("sep=\x00\nname,split\n")
@example("name,split\na\x00,train\n")
@example(",,\n")
@example("name,name,split\na,b,train\n")
def test_any_content_is_a_table_or_a_clear_error(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "split.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with contextlib.suppress(DataError):
        table = read_table(path)
        assert all(row.split in ("train", "val", "test", "") for row in table.rows)


def test_a_file_too_large_to_be_a_split_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    with path.open("wb") as file:
        file.truncate(64_000_001)  # a hole: it takes no disk
    with pytest.raises(DataError, match="has more than 64 MB"):
        read_table(path)
