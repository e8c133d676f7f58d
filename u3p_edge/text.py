"""Text of unknown origin (class names, file names, the metadata of a model), made safe for where it is printed.

Five targets, one function each: a terminal, Markdown, a Markdown code span, HTML, and XML (SVG and JUnit). Each gives one
line. What would move the cursor, colour the screen, turn the direction of writing or begin a new line is shown as its escape. A
sixth function replaces characters that an output's encoding lacks. This module imports no other of the package.
"""

from __future__ import annotations

import html
import re
import unicodedata

JOINERS = "\u200c\u200d"
"""Invisible characters that are part of the spelling in Persian and the Indic scripts."""

PLAIN = {
    "×": "x", "–": "-", "—": "-", "−": "-", "•": "*", "·": ".", "…": "...", "“": '"', "”": '"', "‘": "'", "’": "'",
    "→": "->", "←": "<-", "↖": "", "✓": "v", "✗": "x", "✅": "[ok]", "❌": "[x]", "⚠": "[!]", "\ufe0f": "",
    "≤": "<=", "≥": ">=", "±": "+/-", "µ": "u",
    "\xa0": " ", "¹": "1", "²": "2", "³": "3", "⁴": "4", "⁵": "5", "⁶": "6", "⁷": "7", "⁸": "8", "⁹": "9", "⁰": "0", "⁻": "-",
}  # fmt: skip
"""ASCII for the signs that this package prints."""

BOX = {"─": "-", "━": "=", "═": "=", "╸": "=", "╺": "-", "╴": "-", "╶": "-", "│": "|", "┃": "|", "║": "|"}
"""Lines of tables and bars; corners and crossings are all "+"."""

_CORNERS, _LAST_OF_BOX = 0x2500, 0x257F
_BYTES = range(0xDC80, 0xDD00)
"""Code points that Python gives to bytes of a file name that are not UTF-8."""


def to_terminal(text: str) -> str:
    r"""Return one line for a terminal or a log: control and format characters, line breaks and lone surrogates as escapes.

    A line break becomes the two characters `\n`, a byte of a file name that is not UTF-8 the four characters `\xff`. Letters of
    every script, spaces and emoji are kept.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def to_markdown(text: str) -> str:
    """Return one line of GitHub-flavoured Markdown, for a cell, a list item, a heading or a paragraph, that shows `text`.

    No heading, HTML, emphasis, link, list, table or code comes of it.
    """
    line = to_terminal(text).strip()
    line = line.replace("&", "&amp;").replace("<", "&lt;")
    # An underscore between two letters or digits means nothing, and file names are full of them.
    line = re.sub(r"[\\`*\[\]|#~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\\g<0>", line)
    line = re.sub(r"://", r":\\/\\/", re.sub(r"(?i)\b(www)\.", r"\1\\.", line))
    return re.sub(r"^(>|[-+](?=[-+\s]|$)|\d+(?=[.)](\s|$)))", lambda match: _escape_marker(match[0]), line)


def to_code(text: str) -> str:
    """Return inline code of GitHub-flavoured Markdown that shows `text`."""
    if re.fullmatch(r"[\w .,:;/=+@%~^'\"(){}-]*\w[\w .,:;/=+@%~^'\"(){}-]*", text, re.ASCII):
        return f"`{text}`"
    return f"<code>{to_markdown(text)}</code>"


def to_html(text: str) -> str:
    """Return one line of HTML, for an element or a quoted attribute, that shows `text`; no element or attribute comes of it.

    >>> to_html("<b> & 'c'")
    '&lt;b&gt; &amp; &#x27;c&#x27;'
    """
    return html.escape(to_terminal(text))


def to_xml(text: str) -> str:
    """Return one line of characters that XML 1.0 allows. The writer of the document escapes what has a meaning (<, >, &)."""
    return "".join(c if c < "\ufffe" or c > "\uffff" else _escape(c) for c in to_terminal(text))


def thread_count(count: int) -> str:
    """Return the count in words, e.g. "1 thread" or "2 threads"."""
    return f"{count} thread{'s' if count > 1 else ''}"


def three_digits(value: float) -> str:
    """Return a number from 1 on with three significant digits, never in scientific notation; a smaller one with two decimals.

    >>> [three_digits(value) for value in (0.871, 3.3, 31.24, 1234.5)]
    ['0.87', '3.30', '31.2', '1234']
    """
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def to_encodable(error: UnicodeError) -> tuple[str, int]:
    """Handle an error for `codecs.register_error`: readable ASCII for the signs of `PLAIN`, an escape for other characters."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_ascii, error.object[error.start : error.end])), error.end


def _visible(character: str) -> str:
    if character.isprintable() or character in JOINERS or unicodedata.category(character) == "Zs":
        return character
    return _escape(character)


def _escape(character: str) -> str:
    if ord(character) in _BYTES:
        return f"\\x{ord(character) - _BYTES.start + 0x80:02x}"
    return character.encode("unicode_escape").decode("ascii")


def _escape_marker(marker: str) -> str:
    """Return a list's or a quotation's marker as text: a backslash before it, or between a number and its dot."""
    return f"{marker}\\" if marker.isdigit() else f"\\{marker}"


def _ascii(character: str) -> str:
    if _CORNERS <= ord(character) <= _LAST_OF_BOX:
        return BOX.get(character, "+")
    return PLAIN[character] if character in PLAIN else _escape(character)
