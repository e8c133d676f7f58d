"""Pixels to network input and back: finite for any image, exact where nothing is resampled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.support.intensities import normalise
from u3p_edge.config.preprocessing import Fit, Normalization, Preprocessing
from u3p_edge.data.folder import Sample, read_folder
from u3p_edge.data.load import load_samples
from u3p_edge.data.preprocess import fit_labels, inputs, preprocess, restore, score_tiles, to_labels
from u3p_edge.errors import DataError
from u3p_edge.metrics import IGNORE

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
IMAGES = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16]), st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(1)), fill=st.just(0)
)


def spec(
    fit: Fit = "resize", normalization: Normalization = "percentile", height: int = 16, width: int = 32, channels: int = 1
) -> Preprocessing:
    return Preprocessing(height=height, width=width, channels=channels, fit=fit, normalization=normalization)


@settings(deadline=None)
@given(IMAGES, st.sampled_from(["resize", "pad"]), st.sampled_from(["percentile", "zscore", "range", "none"]))
def test_any_image_becomes_a_finite_input(image: npt.NDArray[np.generic], fit: Fit, normalization: Normalization) -> None:
    before = image.copy()
    out = preprocess(image, spec(fit, normalization))
    assert out.shape == (16, 32, 1)
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(image, before)
    if normalization in ("percentile", "range"):
        # Weights of a resampled pixel sum to 1 up to float32 rounding.
        assert out.min() >= -1e-6
        assert out.max() <= 1 + 1e-6


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("normalization", ["percentile", "zscore"])
def test_a_constant_image_becomes_zeros(value: float, normalization: Normalization) -> None:
    constant = np.full((10, 10, 1), value, np.float32)
    np.testing.assert_array_equal(preprocess(constant, spec(normalization=normalization)), 0)


def test_percentile_clips_and_scales() -> None:
    ramp = np.arange(101, dtype=np.uint16).reshape(1, 101, 1)  # its q-th percentile is q
    expected = (np.clip(np.arange(101.0), 1, 99) - 1) / 98
    np.testing.assert_allclose(normalise(ramp, spec())[0, :, 0], expected, atol=1e-7)


def test_a_few_bright_pixels_survive_percentiles_that_coincide() -> None:
    sparse = np.zeros((20, 20, 1), np.uint8)
    sparse[3, 4] = 200  # 1 pixel of 400: both percentiles are 0
    assert normalise(sparse, spec())[3, 4, 0] == 1


def test_zscore_has_no_mean_and_unit_variance() -> None:
    image = np.random.default_rng(0).integers(0, 60000, (50, 40, 3), np.uint16)
    out = normalise(image, spec(normalization="zscore", channels=3)).astype(np.float64)
    # 6000 float32 values of size about 1, each rounded by at most 2^-23.
    assert abs(out.mean()) < 1e-6
    assert abs(out.std() - 1) < 1e-6


def test_range_divides_by_the_range_of_the_type() -> None:
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        image = np.array([[[0], [51], [top]]], dtype)
        np.testing.assert_array_equal(
            normalise(image, spec(normalization="range"))[0, :, 0], np.array([0, 51 / top, 1], np.float32)
        )
    with pytest.raises(DataError, match="no range"):
        normalise(np.array([[[-5.0], [2.0]]], np.float32), spec(normalization="range"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_none_keeps_raw_pixel_values(dtype: npt.DTypeLike) -> None:
    image: np.ndarray = np.array([[[0], [51], [255]], [[7], [8], [9]]], dtype)
    out = normalise(image, spec(normalization="none"))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, image.astype(np.float32))


def test_mean_and_std_are_of_raw_pixels_channel_by_channel() -> None:
    image = np.array([[[0, 100, 255], [130, 116, 103]]], np.uint8)
    preprocessing = Preprocessing(16, 32, 3, normalization="meanstd", mean=(123.5, 116.0, 103.0), std=(58.0, 57.0, 2.0))
    out = normalise(image, preprocessing)
    assert out.dtype == np.float32
    expected = [[[-123.5 / 58, -16 / 57, 76.0], [6.5 / 58, 0, 0]]]
    np.testing.assert_array_equal(out, np.array(expected, np.float32))


def test_padding_is_the_darkest_pixel_under_mean_and_std() -> None:
    preprocessing = Preprocessing(16, 32, 3, "pad", "meanstd", mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0))
    image = np.full((4, 4, 3), 50, np.uint8)
    image[0, 0, 1] = 40
    out = preprocess(image, preprocessing)
    np.testing.assert_array_equal(out[0, 0], [30, 10, 2.5])  # 40 in every channel
    np.testing.assert_array_equal(out[8, 16], [40, 15, 5])


def test_mean_and_std_that_leave_float32_are_refused() -> None:
    preprocessing = Preprocessing(16, 32, normalization="meanstd", mean=(0.0,), std=(1e-300,))
    with pytest.raises(DataError, match="out of the range of float32"):
        preprocess(np.full((4, 4, 1), 50, np.uint8), preprocessing)


def test_what_cannot_be_an_input_is_refused() -> None:
    with pytest.raises(DataError, match="NaN"):
        preprocess(np.full((4, 4, 1), np.nan, np.float32), spec())
    with pytest.raises(DataError, match="not \\[height, width, 3\\]"):
        preprocess(np.zeros((4, 4, 1), np.uint8), spec(channels=3))


def test_pad_centres_with_the_minimum_and_crops() -> None:
    image = np.full((10, 40, 1), 255, np.uint8)
    image[:, 0] = 51  # cropped away: 4 columns go left and right
    out = preprocess(image, spec("pad", "range"))[:, :, 0]
    expected = np.full((16, 32), 51 / 255, np.float32)
    expected[3:13] = 1
    np.testing.assert_array_equal(out, expected)


def mask_of(outputs: list[tuple[npt.NDArray[np.float32], ...]], size: tuple[int, int], preprocessing: Preprocessing) -> Any:
    return restore(iter(outputs), size, preprocessing)


@settings(deadline=None)
@given(SIZES, st.sampled_from([1, 3]))
def test_a_resized_mask_has_the_size_of_the_image(size: tuple[int, int], channels: int) -> None:
    probabilities = np.random.default_rng(size).random((16, 32, channels), np.float32)
    planes = [Image.fromarray(np.ascontiguousarray(probabilities[:, :, k])) for k in range(channels)]
    resized = np.stack([np.asarray(p.resize(size[::-1], Image.Resampling.BILINEAR)) for p in planes], axis=2)
    labels = mask_of([(probabilities,)], size, spec())
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, resized[:, :, 0] >= 0.5 if channels == 1 else resized.argmax(axis=2))


@settings(deadline=None)
@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), st.sampled_from([1, 3]))
def test_pad_shows_every_pixel_of_any_image_and_brings_it_back(size: tuple[int, int], channels: int) -> None:
    """A network that answers with its input gives the image back, whether it was tiled or padded."""
    preprocessing = spec("pad", "range", channels=channels)
    image = np.random.default_rng(size).integers(0, 256, (*size, channels), np.uint8)
    labels = mask_of(list(inputs(image, preprocessing)), size, preprocessing)
    # Averages of equal probabilities are equal up to their rounding, so all channels at one pixel round alike.
    np.testing.assert_array_equal(labels, image[:, :, 0] >= 128 if channels == 1 else image.argmax(axis=2))


@settings(deadline=None)
@given(st.tuples(st.integers(1, 90), st.integers(1, 90)))
def test_every_pixel_is_scored_once_over_the_tiles(size: tuple[int, int]) -> None:
    preprocessing = spec("pad", "none")
    mask = np.random.default_rng(size).integers(1, 5, size, np.uint8)
    tiles = np.stack(list(score_tiles(mask, preprocessing)))
    images = np.stack([tile for row in inputs(mask[:, :, None], preprocessing) for tile in row])[:, :, :, 0]
    scored = tiles != IGNORE
    np.testing.assert_array_equal(np.bincount(tiles[scored], minlength=5), np.bincount(mask.ravel(), minlength=5))
    np.testing.assert_array_equal(tiles[scored], images[scored])


def test_a_small_image_is_one_tile_as_training_pads_it() -> None:
    image = np.random.default_rng(0).integers(1, 256, (10, 20, 1), np.uint8)
    (((tile,)),) = inputs(image, spec("pad"))
    np.testing.assert_array_equal(tile, preprocess(image, spec("pad")))


def test_no_padding_is_scored() -> None:
    mask = np.random.default_rng(0).integers(0, 5, (10, 20), np.uint8)
    (scored,) = score_tiles(mask, spec("pad"))
    inside = scored != IGNORE
    assert np.count_nonzero(inside) == mask.size
    np.testing.assert_array_equal(scored[inside], mask.ravel())
    np.testing.assert_array_equal(fit_labels(mask, spec("pad")), np.where(inside, scored, 0))


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 3))
def test_enlarged_masks_come_back_whole(rows: int, columns: int) -> None:
    """Nearest enlargement by a whole factor, then nearest back, gives every pixel."""
    mask = np.random.default_rng((rows, columns)).integers(0, 5, (16 // 2**rows, 32 // 2**columns), np.uint8)
    large = fit_labels(mask, spec())
    np.testing.assert_array_equal(large[:: 2**rows, :: 2**columns], mask)
    assert set(np.unique(large)) == set(np.unique(mask))


def test_an_image_of_the_right_size_is_not_resampled() -> None:
    image = np.random.default_rng(1).integers(0, 255, (16, 32, 1), np.uint8)
    np.testing.assert_array_equal(preprocess(image, spec(normalization="range")), (image / 255).astype(np.float32))
    labels = mask_of([((image / 255).astype(np.float32),)], (16, 32), spec())
    np.testing.assert_array_equal(labels, image[:, :, 0] >= 128)


def test_shrinking_averages() -> None:
    """Halving a checkerboard gives grey, not the black or white of one pixel in four."""
    board = (np.indices((32, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    inner = preprocess(board, spec(normalization="range"))[1:-1, 1:-1]
    # Weights 1, 3, 3, 1 of 8 along each axis: black and white get 1/2 each; Pillow rounds in float32.
    np.testing.assert_allclose(inner, 0.5, atol=1e-6)


def test_labels_of_probabilities() -> None:
    np.testing.assert_array_equal(to_labels(np.array([[[0.49], [0.5], [0.9]]], np.float32)), [[0, 1, 1]])
    np.testing.assert_array_equal(to_labels(np.array([[[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]]], np.float32)), [[1, 0]])


def make_pair(root: Path, stem: str, size: tuple[int, int], mask_size: tuple[int, int] | None = None) -> None:
    for kind in ("images", "masks"):
        (root / kind).mkdir(exist_ok=True)
    rng = np.random.default_rng(len(stem))
    Image.fromarray(rng.integers(0, 255, size, np.uint8)).save(root / "images" / f"{stem}.png")
    Image.fromarray(rng.integers(0, 2, mask_size or size, np.uint8) * 255).save(root / "masks" / f"{stem}.png")


def test_load_stacks_what_apply_and_fit_give(tmp_path: Path) -> None:
    make_pair(tmp_path, "a", (20, 20))
    make_pair(tmp_path, "bb", (16, 40))
    steps: list[int] = []
    samples = read_folder(tmp_path).samples
    arrays = load_samples(samples, spec("pad"), 2, step=lambda *_: steps.append(1))
    assert arrays.images.shape == (2, 16, 32, 1)
    assert arrays.labels.shape == (2, 16, 32)
    assert arrays.stems == arrays.groups == ("a", "bb")
    assert len(steps) == 2
    pixels = np.asarray(Image.open(samples[1].image))[:, :, None]
    np.testing.assert_array_equal(arrays.images[1], preprocess(pixels, spec("pad")))
    np.testing.assert_array_equal(arrays.labels[1], np.asarray(Image.open(tmp_path / "masks" / "bb.png"))[:, 4:36] // 255)


def test_load_names_what_it_cannot_use(tmp_path: Path) -> None:
    make_pair(tmp_path, "a", (20, 20), mask_size=(20, 21))
    samples = read_folder(tmp_path).samples
    with pytest.raises(DataError, match=r"a\.png has 20x20 pixels .* but its mask .* 20x21"):
        load_samples(samples, spec(), 2)
    with pytest.raises(DataError, match="no images to load"):
        load_samples((), spec(), 2)
    with pytest.raises(DataError, match="has no mask"):
        load_samples((Sample("a", samples[0].image, None, "a", "train"),), spec(), 2)
    make_pair(tmp_path, "a", (20, 20))
    Image.fromarray(np.full((20, 20), 7, np.float32)).save(samples[0].image.with_suffix(".tif"))
    samples[0].image.unlink()
    with pytest.raises(DataError, match=r"a\.tif: an image of float32 values 7 to 7 has no range"):
        load_samples(read_folder(tmp_path).samples, spec(normalization="range"), 2)
