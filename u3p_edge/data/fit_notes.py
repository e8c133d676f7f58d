"""What fitting images to a network loses, in sentences: details by shrinking, foreground by cropping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import DataError
from u3p_edge.metrics import Spacing

Size = tuple[int, int]

SHRINK_LIMIT = 2.0
"""How many times as high or wide as the network an image may be before its loss of detail is worth a note."""


@dataclass(frozen=True)
class Original:
    """An image before it was fitted to the network.

    Args:
        size: (H, W) in pixels.
        foreground: pixels of its mask that are not background.
        kept: those of them that "pad" does not crop away; all under "resize" and in tiles.
        cropped: whether the network sees only a part of the image.
        spacing: millimetres between its rows and between its columns; None where they are not known.
    """

    size: Size
    foreground: int = 0
    kept: int = 0
    cropped: bool = False
    spacing: Spacing | None = None


def shrink_notes(sizes: Iterable[Size], preprocessing: Preprocessing) -> tuple[str, ...]:
    """Return a sentence if "resize" makes images less than half as high or wide; empty if not.

    Args:
        sizes: (H, W) of each image.
        preprocessing: of the network.
    """
    if preprocessing.fit != "resize":
        return ()
    every = list(sizes)
    shrunk = {size: max(size[0] / preprocessing.height, size[1] / preprocessing.width) for size in every}
    large = [size for size in every if shrunk[size] > SHRINK_LIMIT]
    if not large:
        return ()
    (height, width) = worst = max(large, key=lambda size: (shrunk[size], size))
    return (
        f"{_of(len(large), len(every))} shrunk to less than half: {height}x{width} becomes {preprocessing.height}x"
        f"{preprocessing.width}, {shrunk[worst]:.1f} times smaller. Thin structures are lost; a larger --size keeps them.",
    )


def fit_notes(originals: Sequence[Original], preprocessing: Preprocessing) -> tuple[str, ...]:
    """Return what fitting these images lost, one sentence for each kind of loss; empty where nothing was lost."""
    return (*shrink_notes((o.size for o in originals), preprocessing), *_crop_notes(originals, preprocessing))


def check_foreground(originals: Sequence[Original], preprocessing: Preprocessing) -> None:
    """Raise DataError where cropping left none of the foreground that the masks have."""
    before, kept = (sum(values) for values in ((o.foreground for o in originals), (o.kept for o in originals)))
    if not before or kept:
        return
    height, width = (max(o.size[axis] for o in originals) for axis in (0, 1))
    raise DataError(
        f'the fit "pad" crops all foreground away: the images have up to {height}x{width} pixels, and the network sees the '
        f"{preprocessing.height}x{preprocessing.width} in their middle",
        mend="Use --fit resize, or a --size as large as the images.",
    )


def _crop_notes(originals: Sequence[Original], preprocessing: Preprocessing) -> tuple[str, ...]:
    cropped = [o for o in originals if o.cropped]
    before, kept = (sum(values) for values in ((o.foreground for o in cropped), (o.kept for o in cropped)))
    if before == kept:
        return ()
    return (
        f"{_of(len(cropped), len(originals))} cropped to the {preprocessing.height}x{preprocessing.width} in their middle: "
        f"{100 * (before - kept) / before:.1f} % of their foreground is left out. --fit resize, or a larger --size, keeps it.",
    )


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole} images {'is' if part == 1 else 'are'}"
