"""What is measured by counting equals what NumPy measures by sorting and summing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.support.intensities import normalise
from u3p_edge.config.preprocessing import Normalization, Preprocessing
from u3p_edge.data import intensity
from u3p_edge.data.intensity import histogram, percentiles

TYPES = (np.uint8, np.uint16, np.float32)
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3]))


def images(dtype: npt.DTypeLike) -> st.SearchStrategy[npt.NDArray[np.generic]]:
    finite: dict[str, Any] = (
        {"allow_nan": False, "allow_infinity": False, "allow_subnormal": False} if dtype == np.float32 else {}
    )
    return hnp.arrays(dtype, SHAPES, elements=hnp.from_dtype(np.dtype(dtype), **finite))


@settings(deadline=None)
@given(st.one_of(*map(images, TYPES)), st.lists(st.floats(0, 100), min_size=1, max_size=3))
def test_percentiles_equal_numpys_to_the_last_bit(image: npt.NDArray[np.generic], shares: list[float]) -> None:
    assert percentiles(image, shares) == tuple(np.percentile(image.astype(np.float64), shares))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("normalization", ["percentile", "zscore", "range"])
def test_a_large_image_is_normalised_as_its_definition_says(
    dtype: type, normalization: Normalization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large enough for a table of all values, and measured in several parts."""
    monkeypatch.setattr(intensity, "CHUNK", 10_000)
    rng = np.random.default_rng(0)
    image = rng.gamma(2, 20, (270, 300, 3)).clip(0, 255) * (1 if dtype == np.uint8 else 200)
    image = (image / image.max() if dtype == np.float32 else image).astype(dtype)
    wide = image.astype(np.float64)
    low, high = np.percentile(wide, (1, 99))
    top = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    expected = {
        "percentile": (np.clip(wide, low, high) - low) / (high - low),
        "zscore": (wide - wide.mean()) / wide.std(),
        "range": wide / top,
    }[normalization]
    scaled = normalise(image, Preprocessing(16, 16, 3, normalization=normalization))
    # The means of both ways differ by some 2^-50, which can move the rounding to float32 by one step of 2^-23.
    np.testing.assert_allclose(scaled, expected.astype(np.float32), rtol=2**-23, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_histogram_counts_every_pixel(dtype: npt.DTypeLike) -> None:
    image: np.ndarray = np.array([[[0, 0, 7]], [[255, 1, 7]]], dtype)
    counts = histogram(image)
    assert counts.dtype == np.int64
    assert len(counts) == np.iinfo(dtype).max + 1
    assert {value: int(counts[value]) for value in np.flatnonzero(counts)} == {0: 2, 1: 1, 7: 2, 255: 1}
