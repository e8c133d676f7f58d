"""The size of a pixel of the network's input, in millimetres."""

from __future__ import annotations

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.fit_notes import Original
from u3p_edge.data.load import Arrays
from u3p_edge.metrics import Spacing


def pixel_spacings(arrays: Arrays, preprocessing: Preprocessing) -> tuple[Spacing, ...]:
    """Return the height and width of a pixel of each input; empty unless they are known of every one.

    Args:
        arrays: of a data folder; the tiles of an image have its spacing.
        preprocessing: of the network: resizing makes pixels larger or smaller, padding does not.
    """
    originals = dict(zip(dict.fromkeys(arrays.stems), arrays.originals, strict=False))
    spacings = [_fitted_spacing(originals.get(stem), preprocessing) for stem in arrays.stems]
    known = tuple(spacing for spacing in spacings if spacing is not None)
    return known if len(known) == len(spacings) else ()


def _fitted_spacing(original: Original | None, preprocessing: Preprocessing) -> Spacing | None:
    if original is None or original.spacing is None:
        return None
    if preprocessing.fit == "pad":
        return original.spacing
    (height, width), (rows, columns) = original.size, original.spacing
    return rows * height / preprocessing.height, columns * width / preprocessing.width
