"""The elements of pareto.svg: its style, the marks with their numbers, and the legend that says which network a number is."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from u3p_edge.config.metadata import PALETTE, Colour

Spot = tuple[float, float]
"""(x, y) in pixels, y downwards."""

MARK = 6.0
"""Half a mark's width, in pixels."""

FONT = 12.0
"""Height of the font, in pixels."""

ROW = 20.0
"""Height of a line of the legend, in pixels."""

CLOSE = 2.5 * MARK
"""Marks that are closer than this on both axes share one text with all their numbers."""


def _hex(colour: Colour) -> str:
    return "#" + bytes(colour).hex()


STYLE = f"""
text {{ font: {FONT:g}px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #24292f }}
.paper {{ fill: #ffffff }} .grid {{ stroke: #d8dee4 }} .title {{ font-size: 15px; font-weight: 600 }} .quiet {{ fill: #57606a }}
.number {{ font-weight: 600 }} .front {{ fill: none; stroke: #57606a; stroke-width: 1.5; stroke-dasharray: 5 3 }}
.point, .key {{ color: {_hex(PALETTE[7])}; stroke: currentColor; fill: currentColor; stroke-width: 1.5 }}
.hollow {{ fill: #ffffff }}
.float32 {{ color: {_hex(PALETTE[5])} }} .float16 {{ color: {_hex(PALETTE[3])} }} .int8 {{ color: {_hex(PALETTE[6])} }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }} .paper, .hollow {{ fill: #0d1117 }} .grid {{ stroke: #30363d }} .quiet {{ fill: #9198a1 }}
.front {{ stroke: #9198a1 }} .float32 {{ color: {_hex(PALETTE[2])} }}
}}
"""
"""Okabe-Ito colours. The blue of float32 is too dark for a dark background, so the light blue replaces it there."""


def add(parent: ElementTree.Element, tag: str, kind: str, text: str = "", **values: float | str) -> ElementTree.Element:
    """Append an element with that class; numbers are written to a tenth of a pixel, and `text_anchor` means text-anchor."""
    written = {key.replace("_", "-"): v if isinstance(v, str) else f"{v:.1f}" for key, v in values.items()}
    element = ElementTree.SubElement(parent, tag, {"class": kind, **written})
    element.text = text or None
    return element


def draw_shape(group: ElementTree.Element, container: str, centre: Spot, filled: bool) -> None:
    """Append a mark in the shape of a file format: a circle for TFLite, a square for ONNX, a diamond for all others."""
    (x, y), kind = centre, "mark" if filled else "mark hollow"
    if container == "tflite":
        add(group, "circle", kind, cx=x, cy=y, r=MARK)
    elif container == "onnx":
        add(group, "rect", kind, x=x - MARK, y=y - MARK, width=2 * MARK, height=2 * MARK)
    else:
        corners = ((0, -1), (1, 0), (0, 1), (-1, 0))
        shape = " ".join(f"{x + 1.4 * MARK * dx:.1f},{y + 1.4 * MARK * dy:.1f}" for dx, dy in corners)
        add(group, "polygon", kind, points=shape)


def draw_numbers(svg: ElementTree.Element, centres: Sequence[Spot]) -> None:
    """Write the number of each mark, counted from 1, above it and to its right; marks that are near each other share a text."""
    shared: dict[Spot, list[str]] = {}
    for number, (x, y) in enumerate(centres, 1):
        anchor = next(((u, v) for u, v in shared if max(abs(u - x), abs(v - y)) < CLOSE), (x, y))
        shared.setdefault(anchor, []).append(str(number))
    for (x, y), numbers in shared.items():
        add(svg, "text", "number", ", ".join(numbers), x=x + MARK + 2, y=y - MARK - 2)


def draw_legend(
    svg: ElementTree.Element, entries: Sequence[tuple[str, str, str, bool]], left: float, right: float, top: float
) -> None:
    """Draw one line for each mark, in the order of their numbers.

    Args:
        svg: the picture.
        entries: name, values as text, format such as "tflite-int8", and whether the mark is filled.
        left, right, top: edges of the legend in the picture, in pixels.
    """
    for number, (name, values, kind, filled) in enumerate(entries, 1):
        y = top + (number - 0.5) * ROW
        container, _, type_of_numbers = kind.partition("-")
        key = ElementTree.SubElement(svg, "g", {"class": f"key {type_of_numbers}".strip()})
        draw_shape(key, container, (left + MARK, y), filled)
        add(svg, "text", "legend", f"{number}. {name}", x=left + 2 * MARK + 8, y=y + FONT / 3)
        add(svg, "text", "quiet values", values, x=right, y=y + FONT / 3, text_anchor="end")
