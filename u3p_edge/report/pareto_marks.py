"""The marks of pareto.svg: their style, the shapes of file formats, the colours of number types, and the legend of both."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from u3p_edge.config import PALETTE, Colour
from u3p_edge.report.label_layout import FONT, LETTER, Spot

MARK = 6.0
"""Half a mark's width, in pixels."""

LEGEND = 66.0
"""Vertical position of the legend's line in the picture, in pixels."""

SHAPES = (("tflite", "TFLite file"), ("onnx", "ONNX file"), ("other", "other network"))
NUMBERS = ("float32", "float16", "int8")
"""Entries of the legend in order: the shapes of the file formats, then the colours of the number types."""


def _hex(colour: Colour) -> str:
    return "#" + bytes(colour).hex()


STYLE = f"""
text {{ font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #24292f }}
.paper {{ fill: #ffffff }} .grid {{ stroke: #d8dee4 }} .title {{ font-size: 15px; font-weight: 600 }} .quiet {{ fill: #57606a }}
.halo {{ fill: #ffffff; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round }}
.front {{ fill: none; stroke: #57606a; stroke-width: 1.5; stroke-dasharray: 5 3 }} .leader {{ stroke: #8c959f }}
.point, .key {{ color: {_hex(PALETTE[7])}; stroke: currentColor; fill: currentColor; stroke-width: 1.5 }}
.hollow {{ fill: #ffffff }}
.float32 {{ color: {_hex(PALETTE[5])} }} .float16 {{ color: {_hex(PALETTE[3])} }} .int8 {{ color: {_hex(PALETTE[6])} }}
.shape {{ color: #8c959f }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }} .paper, .hollow {{ fill: #0d1117 }} .grid {{ stroke: #30363d }} .quiet {{ fill: #9198a1 }}
.halo {{ fill: #0d1117; stroke: #0d1117 }}
.front {{ stroke: #9198a1 }} .leader {{ stroke: #6e7681 }} .float32 {{ color: {_hex(PALETTE[2])} }}
}}
"""
"""Okabe-Ito colours. The blue of float32 is too dark for a dark background, so the light blue replaces it there."""


def add(parent: ElementTree.Element, tag: str, kind: str, text: str = "", **values: float | str) -> ElementTree.Element:
    """Append an element with that class; numbers are written to a tenth of a pixel, and `text_anchor` means text-anchor."""
    written = {key.replace("_", "-"): v if isinstance(v, str) else f"{v:.1f}" for key, v in values.items()}
    element = ElementTree.SubElement(parent, tag, {"class": kind, **written})
    element.text = text or None
    return element


def _shape(container: str) -> str:
    """Return the file format whose shape stands for a container."""
    return container if container in ("tflite", "onnx") else "other"


def draw_shape(group: ElementTree.Element, container: str, centre: Spot, kind: str) -> None:
    """Append a mark in the shape of a file format."""
    x, y = centre
    if _shape(container) == "tflite":
        add(group, "circle", kind, cx=x, cy=y, r=MARK)
    elif _shape(container) == "onnx":
        add(group, "rect", kind, x=x - MARK, y=y - MARK, width=2 * MARK, height=2 * MARK)
    else:
        corners = ((0, -1), (1, 0), (0, 1), (-1, 0))
        shape = " ".join(f"{x + 1.4 * MARK * dx:.1f},{y + 1.4 * MARK * dy:.1f}" for dx, dy in corners)
        add(group, "polygon", kind, points=shape)


def draw_legend(svg: ElementTree.Element, formats: Sequence[str], left: float) -> None:
    """Draw the meaning of the shapes and colours that these formats use, in a line that begins at `left`."""
    found = [name.partition("-") for name in formats]
    shapes = [(name, text) for name, text in SHAPES if any(_shape(container) == name for container, _, _ in found)]
    numbers = [name for name in NUMBERS if any(number == name for _, _, number in found)]
    entries = [(text, name, "") for name, text in shapes] + [(name, "tflite", name) for name in numbers]
    x = left
    for text, container, number in entries:
        group = ElementTree.SubElement(svg, "g", {"class": f"key {number or 'shape'}"})
        draw_shape(group, container, (x + MARK, LEGEND), "mark" if number else "mark hollow")
        add(svg, "text", "quiet legend", text, x=x + 2 * MARK + 8, y=LEGEND + FONT / 3)
        x += 2 * MARK + 8 + LETTER * len(text) + 16
