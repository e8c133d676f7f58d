"""An input of several slices has a slice's neighbours as channels, read in one way in training and in scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.augment import augment
from u3p_edge.data.augmentation import Augmentation
from u3p_edge.data.folder import read_folder
from u3p_edge.data.load import load_samples
from u3p_edge.data.memory import LIMIT
from u3p_edge.data.preprocess import preprocess
from u3p_edge.data.stacks import check_splits, find_stacks
from u3p_edge.errors import ConfigError, DataError

DEPTHS = {"p1": 4, "p2": 2, "p3": 3}
SIZE = (16, 16)
RAW = Preprocessing(*SIZE, 3, fit="pad", normalization="none", slices=3)


def volume(seed: int, depth: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1000, (depth, *SIZE)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three volumes of 4, 2 and 3 slices, a patient each."""
    root = tmp_path / "data"
    lines = ["name,patient,split"]
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for seed, (name, depth) in enumerate(DEPTHS.items()):
        for index, plane in enumerate(volume(seed, depth)):
            stem = f"{name}_s{index:03}"
            Image.fromarray(plane).save(root / "images" / f"{stem}.png")
            Image.fromarray((plane % 2).astype(np.uint8)).save(root / "masks" / f"{stem}.png")
            lines.append(f"{stem},{name},{('train', 'val', 'test')[seed]}")
    (root / "split.csv").write_text("\n".join(lines))
    return root


@pytest.mark.parametrize("slices", [3, 5])
def test_channels_are_the_neighbours_in_order_and_ends_are_repeated(folder: Path, slices: int) -> None:
    preprocessing = Preprocessing(*SIZE, slices, fit="pad", normalization="none", slices=slices)
    arrays = load_samples(read_folder(folder).samples, preprocessing, 2)
    expected = []
    for seed, depth in enumerate(DEPTHS.values()):
        half = slices // 2
        padded = np.pad(volume(seed, depth), ((half, half), (0, 0), (0, 0)), mode="edge")
        expected += [np.moveaxis(padded[index : index + slices], 0, 2) for index in range(depth)]
    np.testing.assert_array_equal(arrays.images, np.stack(expected))
    middle = np.stack([plane for seed, depth in enumerate(DEPTHS.values()) for plane in volume(seed, depth)])
    np.testing.assert_array_equal(arrays.labels, middle % 2)


@pytest.mark.parametrize("normalization", ["percentile", "zscore", "range"])
def test_intensities_are_measured_over_the_stack(folder: Path, normalization: str) -> None:
    preprocessing = Preprocessing(32, 32, 3, normalization=normalization, slices=3)  # type: ignore[arg-type]  # one of the words
    images = load_samples(read_folder(folder).split("train"), preprocessing, 2).images
    whole = np.moveaxis(volume(0, 4)[:3], 0, 2)
    np.testing.assert_array_equal(images[1], preprocess(whole, preprocessing))
    # One channel's values differ by another offset and scale if it is measured alone.
    alone = preprocess(whole[:, :, :1], Preprocessing(32, 32, 1, normalization=normalization))  # type: ignore[arg-type]  # likewise
    assert np.array_equal(images[1, :, :, :1], alone) == (normalization == "range")


def test_one_mean_and_deviation_serve_all_slices(folder: Path) -> None:
    preprocessing = Preprocessing(*SIZE, 3, fit="pad", normalization="meanstd", mean=(500.0,), std=(250.0,), slices=3)
    images = load_samples(read_folder(folder).split("val"), preprocessing, 2).images
    raw = load_samples(read_folder(folder).split("val"), RAW, 2).images
    np.testing.assert_array_equal(images, (raw - 500) / 250)  # float64 rounded to float32 is float32 here


def test_a_split_on_disk_is_the_one_in_memory_and_knows_its_neighbours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first slice is no sample itself: only its neighbours see that it has changed."""
    samples = read_folder(folder).split("train")[1:]
    in_memory = load_samples(samples, RAW, 2).images
    monkeypatch.setenv(LIMIT, "0")
    mapped = load_samples(samples, RAW, 2).images
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, in_memory)
    first = folder / "images" / "p1_s000.png"
    Image.fromarray(np.asarray(Image.open(first)) + np.uint16(1)).save(first)
    changed = load_samples(samples, RAW, 2).images
    np.testing.assert_array_equal(changed[0, :, :, 0], in_memory[0, :, :, 0] + 1)
    np.testing.assert_array_equal(changed[1:], in_memory[1:])


def test_augmentation_moves_all_slices_alike(folder: Path) -> None:
    """Every slice becomes what it becomes alone; noise, which each pixel has its own of, is left out.

    Each slice is given the same lowest and highest value, to which intensities are relative.
    """
    image = load_samples(read_folder(folder).split("train"), RAW, 2).images[1] / 1000
    image[0, 0], image[0, 1] = 0, 1
    labels = np.arange(256, dtype=np.uint8).reshape(SIZE)
    recipe = Augmentation(probability=1, noise=0)
    for seed in range(5):
        stack, moved = augment(image, labels, np.random.default_rng(seed), recipe)
        assert not np.array_equal(moved, labels)
        for channel in range(3):
            alone, same = augment(image[:, :, [channel]], labels, np.random.default_rng(seed), recipe)
            np.testing.assert_array_equal(stack[:, :, [channel]], alone)
            np.testing.assert_array_equal(moved, same)


def test_a_network_of_single_images_needs_no_volumes(tmp_path: Path) -> None:
    assert find_stacks([tmp_path / "x" / "a.png"], 1) == ((tmp_path / "x" / "a.png",),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2, "slices": 2}, "slices cannot be 2"),
        ({"channels": 33, "slices": 33}, "slices cannot be 33"),
        ({"channels": 3, "slices": 5}, "5 slices do not fit a network of 3 channels"),
        ({"channels": 5}, "5 image channels are not supported"),
        ({"channels": 3, "slices": 3, "normalization": "meanstd", "mean": (1.0, 2.0), "std": (1.0, 1.0)}, "have 2 values"),
    ],
)
def test_what_is_no_stack_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Preprocessing(*SIZE, **options)  # type: ignore[arg-type]  # as they are given


def test_images_without_neighbours_are_refused(folder: Path) -> None:
    images = folder / "images"
    Image.fromarray(volume(9, 1)[0]).save(images / "photo.png")
    Image.fromarray(volume(9, 1)[0]).save(images / "p9_s000.png")
    with pytest.raises(DataError, match=r"nothing says of which volume .*photo\.png is a slice, and the network takes 3"):
        find_stacks([images / "p1_s000.png", images / "photo.png"], 3)
    with pytest.raises(DataError, match=r"p9_s000\.png is a volume of one slice, and the network takes 3"):
        find_stacks([images / "p9_s000.png"], 3)


@pytest.mark.parametrize("other", [np.zeros((16, 15), np.uint16), np.zeros(SIZE, np.uint8)])
def test_slices_of_another_kind_are_refused(folder: Path, other: np.ndarray) -> None:
    Image.fromarray(other).save(folder / "images" / "p1_s003.png")
    with pytest.raises(DataError, match=r"p1_s001\.png is 16x16 uint16 and its neighbour p1_s003\.png 16x1[56] uint"):
        load_samples(read_folder(folder).split("train")[2:3], RAW, 2)


def test_neighbours_in_another_split_are_refused(folder: Path) -> None:
    table = folder / "split.csv"
    table.write_text(table.read_text().replace("p1_s003,p1,train", "p1_s003,p7,test"))
    samples = read_folder(folder).samples
    with pytest.raises(DataError, match=r"p1_s002\.png is in the split train, and its neighbour p1_s003\.png in test"):
        check_splits(samples, 3)
    check_splits(samples, 1)
