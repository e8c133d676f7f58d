"""The intensities of a whole image, normalised and not yet fitted to a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.intensity import plane_map


def normalise(image: npt.NDArray[Any], preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """Return an image [H, W, C] as float32 of the same shape, normalised as `preprocessing` says."""
    values = plane_map(image, preprocessing)
    return np.stack([np.asarray(values(image[:, :, channel], channel)) for channel in range(image.shape[2])], axis=2)
