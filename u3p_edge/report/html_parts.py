"""The parts of a page: a table that sorts, a plot, a picture, and the page around them. All text is escaped here."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from u3p_edge.text import to_html

STYLE, SCRIPT = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))

NUMBER = re.compile(r"×?(-?\d+(?:\.\d+)?)(?=$|[ ,;%])")
"""What a cell with a number begins with."""

REFERENCE = re.compile(r"url\(#([^)]+)\)|^#(.+)$")
"""How an attribute of SVG names another element."""


def make_page(title: str, body: Sequence[str]) -> str:
    """Return a whole page that reads nothing but itself: its policy forbids every request and every other script.

    Args:
        title: plain text.
        body: HTML, in its order.
    """
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    lines = [
        "<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">', f"<title>{to_html(title)}</title>",
        f"<style>{STYLE}</style>", "</head>", "<body>", "<main>", f"<h1>{to_html(title)}</h1>", *body, "</main>",
        f"<script>{SCRIPT}</script>", "</body>", "</html>",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def to_sentence(text: str) -> str:
    """Return a sentence of a report in HTML: text between two `**` is bold, all else is plain text."""
    parts = text.split("**")
    if len(parts) % 2 == 0:
        return to_html(text)
    return "".join(f"<strong>{to_html(part)}</strong>" if index % 2 else to_html(part) for index, part in enumerate(parts))


def make_paragraph(text: str) -> str:
    """Return plain text as a paragraph."""
    return f'<p class="text">{to_html(text)}</p>'


def make_list(items: Sequence[str]) -> str:
    """Return a list of HTML items; empty for none."""
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>" if items else ""


def make_rows(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """Return a table that sorts by the column whose title is pressed; the cells are plain text, the first column names.

    Args:
        header, rows: its cells.
        caption: what a screen reader calls it.
    """
    titles = "".join(f'<th scope="col"><button type="button">{to_html(title)}</button></th>' for title in header)
    body = "\n".join(f'<tr><th scope="row">{to_html(name)}</th>{"".join(map(_cell, cells))}</tr>' for name, *cells in rows)
    region = f'<div class="wide" role="region" tabindex="0" aria-label="{to_html(caption)}">'
    return f"{region}<table><thead><tr>{titles}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"


def show_picture(png: bytes, alt: str) -> str:
    """Return a picture within the page."""
    return f'<figure><img alt="{to_html(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></figure>'


def show_plot(svg: bytes, name: str, alt: str) -> str:
    """Return a plot of this package within the page: no namespace, style or metadata, and no identifier of another plot.

    Args:
        svg: the document that matplotlib wrote.
        name: unique in the page, a letter, then letters and digits; the identifiers begin with it.
        alt: what it shows, for a reader who cannot see it.
    """
    root = ElementTree.fromstring(svg)
    for parent in root.iter():
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    used = {a or b for element in root.iter() for value in element.attrib.values() for a, b in REFERENCE.findall(value)}
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = _attributes(element.attrib, used, name)
    for key in ("width", "height"):
        del root.attrib[key]
    root.attrib |= {"role": "img", "aria-label": alt}
    return f'<figure class="plot">{ElementTree.tostring(root, encoding="unicode")}</figure>'


def _attributes(attributes: dict[str, str], used: set[str], name: str) -> dict[str, str]:
    """Return the attributes of an element without namespaces; its identifier only where another element names it."""
    renamed = {key.rpartition("}")[2]: value for key, value in attributes.items()}
    if "id" in renamed:
        renamed["id"] = f"{name}-{renamed['id']}"
        if attributes["id"] not in used:
            del renamed["id"]
    return {
        key: f"#{name}-{value[1:]}" if key == "href" else value.replace("url(#", f"url(#{name}-")
        for key, value in renamed.items()
    }


def _cell(text: str) -> str:
    number = NUMBER.match(text)
    value = f' data-value="{number[1]}"' if number else ""
    return f"<td{value}>{to_html(text)}</td>"
