"""Labels of network inputs, of which several may be the tiles of one image.

A score counts the pixels that prediction would write: tiles are blended into the mask of their image by `preprocess.restore`,
as in prediction, and the mask is cut into tiles again, since scores are kept by input.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from u3p_edge.config.metadata import Metadata
from u3p_edge.data.fit_notes import Original
from u3p_edge.data.preprocess import Labels, Pixels, grid_of, restore, to_labels
from u3p_edge.data.tiles import cut_mask


def label_inputs(outputs: Iterable[Pixels], originals: Sequence[Original], metadata: Metadata) -> Iterator[Labels]:
    """Return the labels uint8 [height, width] of each input, at the size of the network's output.

    Args:
        outputs: what the network gives for each input: float32 [height, width, K], or labels uint8 [height, width]. Those of an
            image's tiles follow each other, row by row; a row of them is in memory at a time.
        originals: the images in their order, as `Arrays` has them; empty where every input is an image of its own.
        metadata: of the network.

    Returns:
        Of a tile, the part of its image's mask that lies in it, and background outside the image.
    """
    remaining = iter(outputs)
    preprocessing, output, multi_label = metadata.preprocessing, metadata.output, metadata.multi_label
    for original in originals:
        grid = grid_of(original.size, preprocessing)
        if original.cropped or grid.count == 1:
            yield from (to_labels(one, output, multi_label) for one in itertools.islice(remaining, 1))
            continue
        rows = (tuple(itertools.islice(remaining, len(grid.lefts))) for _ in grid.tops)
        mask = restore(rows, original.size, preprocessing, output, multi_label)
        yield from (cut_mask(mask, grid, top, left) for top in grid.tops for left in grid.lefts)
    yield from (to_labels(one, output, multi_label) for one in remaining)
