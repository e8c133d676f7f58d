"""samples.png: a few images with their truth, two predictions, and the pixels where the predictions differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from u3p_edge.config.metadata import Metadata
from u3p_edge.data.spread import spread_evenly
from u3p_edge.data.stacks import middle_slice
from u3p_edge.files.atomic import atomic_path
from u3p_edge.report.colour import Labels, Picture, colourise, difference, to_rgb
from u3p_edge.text import to_terminal

GAP, MARGIN, LINE = 8, 12, 20
TILE = 192
INK, PAPER = (32, 32, 32), (255, 255, 255)


@dataclass(frozen=True)
class PictureRow:
    """One row of the picture.

    Args:
        stem: the image's name, the first words of the row's title.
        image: the network's input, float32 [H, W, C].
        truth, first, second: labels uint8 [H, W].
    """

    stem: str
    image: npt.NDArray[np.float32]
    truth: Labels
    first: Labels
    second: Labels


def choose_pictures(first: Labels, second: Labels, count: int = 4) -> tuple[int, ...]:
    """Return the indices of the images to show: the one whose labels differ most, then evenly spread ones with foreground.

    Args:
        first, second: labels uint8 [N, H, W].
        count: number of images at most.
    """
    worst = int(np.argmax([np.count_nonzero(a != b) for a, b in zip(first, second, strict=True)]))
    filled = [i for i in range(len(first)) if i != worst and first[i].any()] or [i for i in range(len(first)) if i != worst]
    chosen: list[int] = spread_evenly(len(filled), count - 1).tolist() if filled else []
    return (worst, *dict.fromkeys(filled[i] for i in chosen))


def draw_samples(samples: Sequence[PictureRow], metadata: Metadata, names: tuple[str, str] = ("float", "int8")) -> Image.Image:
    """Draw one row per sample: input, truth, both predictions, and their difference; with titles and a legend of classes."""
    tiles = [_tiles(sample, metadata) for sample in samples]
    height, width = tiles[0][0].shape[:2]
    columns = len(tiles[0])
    size = (2 * MARGIN + columns * (width + GAP) - GAP, 2 * MARGIN + 2 * LINE + len(tiles) * (height + LINE + GAP))
    canvas = Image.new("RGB", size, PAPER)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    titles = ("input", "truth", *names, f"{names[0]} against {names[1]}")
    for column, title in enumerate(titles):
        pen.text((MARGIN + column * (width + GAP), MARGIN), title, INK, font)
    for row, (sample, pictures) in enumerate(zip(samples, tiles, strict=True)):
        top = MARGIN + LINE + row * (height + LINE + GAP)
        pen.text((MARGIN, top), _caption(sample), INK, font)
        for column, picture in enumerate(pictures):
            canvas.paste(Image.fromarray(picture), (MARGIN + column * (width + GAP), top + LINE))
    _legend(pen, font, metadata, size[1] - MARGIN - LINE + 4)
    return canvas


def write_samples(
    path: Path, samples: Sequence[PictureRow], metadata: Metadata, names: tuple[str, str] = ("float", "int8")
) -> None:
    """Write the picture of `draw_samples` as PNG, whole or not at all. Raises ArtifactError."""
    with atomic_path(path) as partial:
        draw_samples(samples, metadata, names).save(partial)


def _tiles(sample: PictureRow, metadata: Metadata) -> list[Picture]:
    labels, shown = (sample.truth, sample.first, sample.second), middle_slice(sample.image, metadata.preprocessing)
    pictures = [
        to_rgb(shown),
        *(colourise(entry, metadata.value_colours) for entry in labels),
        difference(shown, sample.first, sample.second),
    ]
    return [_enlarge(picture) for picture in pictures]


def _enlarge(picture: Picture) -> Picture:
    """Enlarge small pictures by a whole number, so that a pixel stays a square."""
    factor = max(1, round(TILE / picture.shape[0]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _caption(sample: PictureRow) -> str:
    count = int((sample.first != sample.second).sum())
    return f"{to_terminal(sample.stem)}: {count} of {sample.first.size} pixels differ"


def _legend(pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, metadata: Metadata, top: int) -> None:
    left = float(MARGIN)
    for name, colour in zip(metadata.class_names, metadata.colours, strict=True):
        pen.rectangle((left, top + 2, left + 12, top + 14), fill=colour, outline=INK)
        pen.text((left + 18, top), to_terminal(name), INK, font)
        left += 18 + pen.textlength(to_terminal(name), font) + 16
