"""Resizing in strips is resizing as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from u3p_edge.data import resample
from u3p_edge.data.resample import resize, resize_columns

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 70))


# Both ways round the values after each of the two passes to float32, by at most 2^-25 for values below 1; the second pass
# averages what the first one rounded, so each way is within 2^-24 of the exact result.
TOLERANCE = 2**-23


@settings(deadline=None, max_examples=50)
@given(SIZES, SIZES, st.integers(1, 3000))
def test_strips_change_nothing(have: tuple[int, int], want: tuple[int, int], limit: int) -> None:
    image = np.random.default_rng(have).random((*have, 2), np.float32)
    planes = [Image.fromarray(np.ascontiguousarray(image[:, :, k])) for k in range(2)]
    whole = np.stack([np.asarray(p.resize(want[::-1], Image.Resampling.BILINEAR)) for p in planes], axis=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resample, "PART", limit)
        resized = resize(image, lambda pixels, _channel: Image.fromarray(pixels), want)
        np.testing.assert_allclose(resized, whole, rtol=0, atol=TOLERANCE)
        columns = np.full(want, -1, np.float32)
        for part, values in resize_columns(image[:, :, 1], want):
            columns[:, part] = values
    np.testing.assert_allclose(columns, whole[:, :, 1], rtol=0, atol=TOLERANCE)
