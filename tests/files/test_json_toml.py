"""JSON and TOML of strangers end in values or in one kind of error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from u3p_edge.files.json_toml import parse_json, parse_toml, read_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(VALUES)
def test_what_json_can_say_is_read(value: object) -> None:
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("1" * 5000, "an integer of 5000 digits"),
        ("-" + "1" * 400, "an integer of 401 digits"),
        ("1e400", "out of range"),
        ("[NaN]", "it holds NaN"),
        ("-Infinity", "it holds -Infinity"),
        ('"\\ud800"', "half a character"),
        ('{"\\uDFFF": 1}', "half a character"),
        ("", "Expecting value"),
        ("{} {}", "Extra data"),
    ],
)
def test_json_that_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


def test_an_escaped_pair_is_one_character() -> None:
    assert parse_json('"\\ud83d\\ude00"') == "\U0001f600"


def test_a_text_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="it has 12 characters, more than 10"):
        parse_json('"0123456789"', 10)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = " + "[" * 20_000, "nested too deeply"),
        ("a = " + "1" * 5000, "digits"),
        ("a = ", "Invalid value"),
        ("a" * 100_001, "more than 100000"),
    ],
)
def test_toml_that_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_toml(text)


def test_no_more_of_a_file_is_read_than_its_limit(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("\u00e4" * 10, encoding="utf-8")
    assert read_text(tmp_path / "text", 10) == "\u00e4" * 10
    with pytest.raises(ValueError, match="it has more than 9 characters"):
        read_text(tmp_path / "text", 9)
    if (endless := Path("/dev/zero")).exists():
        with pytest.raises(ValueError, match="it has more than 9 characters"):
            read_text(endless, 9)
