"""Texts of JSON, TOML and CSV, with a value changed for one that is right in kind and wrong in size, or deep, or long."""

from __future__ import annotations

import re

from hypothesis import strategies as st

VALUES = (
    *("0", "-1", "1e400", "-1e400", "nan", "inf", "NaN", "Infinity", "1" * 5000, "1" * 400, "9" * 19, "-" + "9" * 30, "1e308"),
    *("0.5", "true", "null", "[]", "{}", '""', '"\\ud800"', '"' + "x" * 5000 + '"', "[" * 5000, '{"a":' * 3000, "2147483648"),
    *("[[[1]]]", '["a", "a"]', "4294967296", "1979-05-27", "0x" + "f" * 9000, "²", "\x00", "\ufeff", '"../../etc/passwd"'),
)
"""What stands for another value; some are no value of the format at all."""


@st.composite
def texts(draw: st.DrawFn, original: str) -> bytes:
    """The text with some of its values, keys or lines changed."""
    text = original
    for _ in range(draw(st.integers(1, 3))):
        tokens = [m.span() for m in re.finditer(r'"[^"\n]*"|-?[0-9][0-9.e+-]*|true|false|null|[A-Za-z_]+', text)]
        if not tokens:
            break
        start, end = tokens[draw(st.integers(0, len(tokens) - 1))]
        text = text[:start] + draw(st.sampled_from(VALUES)) + text[end:]
    return text.encode("utf-8", "surrogatepass")
