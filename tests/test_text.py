"""Text of strangers: whatever it holds, each target shows it as text, on one line, and nothing else comes of it."""

from __future__ import annotations

import codecs
import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from u3p_edge.text import JOINERS, PLAIN, to_code, to_encodable, to_markdown, to_terminal, to_xml

ANYTHING = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
"""Lone surrogates and control characters are among it."""

NASTY = st.text(st.sampled_from("ab1 \n\r\x1b\x07\u202e\u2028\udcff|`*_#<>[]()!&\\~$-+.:/w✅é"), max_size=30)


@given(ANYTHING | NASTY)
def test_a_terminal_gets_one_line_without_commands(text: str) -> None:
    line = to_terminal(text)
    assert len((line + "x").splitlines()) == 1
    assert not [c for c in line if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u202a\u202e\u2066\u2069\u200f"]
    line.encode("utf-8")
    assert to_terminal(line) == line, "what is clean is left alone"


def test_what_is_harmless_is_shown_as_it_is() -> None:
    for text in ("model.int8.tflite", "Läsion, 3 µm²", "病变", f"می{JOINERS[0]}خواهم", "a\u3000b", "✅", r"C:\scans\a.png"):
        assert to_terminal(text) == to_xml(text) == text
    assert to_markdown("model_a.int8.tflite") == "model_a.int8.tflite"
    assert to_code("u3p-edge bench a_b.tflite --rounds 5") == "`u3p-edge bench a_b.tflite --rounds 5`"


def test_escapes_say_which_character_it_was() -> None:
    assert to_terminal("\x1b[31m\n\u202e") == r"\x1b[31m\n\u202e"
    # A file name with the byte ff, as Python reads it from the system.
    assert to_terminal(b"a\xff.png".decode("utf-8", "surrogateescape")) == r"a\xff.png"


@given(ANYTHING | NASTY)
def test_xml_can_be_read_back(text: str) -> None:
    element = ElementTree.Element("t", name=to_xml(text))
    element.text = to_xml(text)
    back = ElementTree.fromstring(ElementTree.tostring(element, encoding="utf-8"))
    assert back.get("name") == back.text or not text
    assert (back.text or "") == to_xml(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", r"a\|b"),
        ("# Gate: passed", r"\# Gate: passed"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)>"),
        ("&lt;b>", "&amp;lt;b>"),
        ("**bold** _it_ __x__ ~~no~~", r"\*\*bold\*\* \_it\_ \_\_x\_\_ \~\~no\~\~"),
        ("![x](http://y)", r"!\[x\](http:\/\/y)"),
        ("www.example.org", r"www\.example.org"),
        ("`code`", r"\`code\`"),
        ("    indented", "indented"),
        ("- item", r"\- item"),
        ("--- ", r"\---"),
        ("-11.00 points", "-11.00 points"),
        ("1. item", r"1\. item"),
        ("1.5 times", "1.5 times"),
        ("> quoted", r"\> quoted"),
        ("90 -> 80", "90 -> 80"),
        ("\\|", r"\\\|"),
        ("a\n\n# b", r"a\\n\\n\# b"),
        ("$x$", r"\$x\$"),
    ],
)
def test_markdown_shows_every_sign_as_a_sign(text: str, expected: str) -> None:
    assert to_markdown(text) == expected


@given(NASTY)
def test_no_sign_of_markdown_is_left_bare(text: str) -> None:
    line = to_markdown(text)
    bare = line.replace("\\\\", "")  # a backslash that is one itself
    for place, sign in enumerate(bare):
        if sign in "|`*[]#~$":
            assert place, bare
            assert bare[place - 1] == "\\", bare
    assert "<" not in line
    assert "\n" not in line


def test_code_that_could_end_is_no_span_of_backticks() -> None:
    assert to_code("a`b <c>") == r"<code>a\`b &lt;c></code>"
    assert to_code("a|b") == r"<code>a\|b</code>"
    assert to_code("") == "<code></code>"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_an_encoding_without_a_sign_gets_a_readable_one(encoding: str) -> None:
    codecs.register_error("tests.readable", to_encodable)
    text = "".join(PLAIN) + "━│┏ and \udcff"
    message = text.encode(encoding, "tests.readable").decode(encoding)
    if encoding == "ascii":
        assert message.endswith(r"=|+ and \xff")
        assert message.startswith("x---*.")
    assert "?" not in message


@given(ANYTHING, st.sampled_from(["ascii", "cp1252", "utf-8", "shift_jis"]))
def test_nothing_is_beyond_any_encoding(text: str, encoding: str) -> None:
    codecs.register_error("tests.readable", to_encodable)
    text.encode(encoding, "tests.readable")
