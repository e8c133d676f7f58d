"""Names of patients need a key that stays where it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from u3p_edge.errors import ConfigError
from u3p_edge.scans.dicom.pseudonyms import KEY_BYTES, default_key_file, patient_pseudonym, read_key


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U3P_EDGE_CONFIG", str(tmp_path / "settings"))
    key = read_key()
    assert read_key() == key
    assert len(key) == KEY_BYTES
    assert default_key_file().stat().st_mode & 0o077 == 0
    assert list((tmp_path / "settings").iterdir()) == [default_key_file()]


def test_another_key_gives_other_names() -> None:
    first, second = (patient_pseudonym("4711", bytes([number]) * KEY_BYTES) for number in (1, 2))
    assert first != second
    assert re.fullmatch("p[0-9a-f]{8}", first)


def test_a_file_that_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    with pytest.raises(ConfigError, match="has 6 bytes"):
        read_key(tmp_path / "key")
    (tmp_path / "key").write_bytes(bytes(1_000_001))
    with pytest.raises(ConfigError, match="has more than 1,000,000 bytes"):
        read_key(tmp_path / "key")
    with pytest.raises(ConfigError, match="--pseudonym-key"):
        read_key(tmp_path / "key" / "inside")
