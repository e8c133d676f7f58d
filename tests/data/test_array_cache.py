"""Images that do not fit into memory are kept on disk: the same numbers, written once, whole or not at all."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.recorded_progress import RecordedProgress
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data import array_cache
from u3p_edge.data.array_cache import IMAGES, KEEP_DAYS, KEEP_PARTIAL_DAYS
from u3p_edge.data.disk_arrays import arrays_folder, empty_array, open_array
from u3p_edge.data.folder import Sample
from u3p_edge.data.load import Arrays, load_samples
from u3p_edge.data.memory import LIMIT
from u3p_edge.errors import DataError
from u3p_edge.files.atomic import PARTIAL

PAD = Preprocessing(32, 16, 3, fit="pad")


@pytest.fixture(autouse=True)
def no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder of the test, and no memory for arrays."""
    monkeypatch.setenv("U3P_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(LIMIT, "0")


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Three random images with masks, of which the second is larger than the network."""
    rng = np.random.default_rng(0)
    made = []
    for name, size in (("a", (20, 16)), ("b", (70, 30)), ("c", (32, 16))):
        image, mask = tmp_path / f"{name}.png", tmp_path / f"{name}_mask.png"
        Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(image)
        Image.fromarray(rng.integers(0, 3, size, np.uint8)).save(mask)
        made.append(Sample(name, image, mask, f"patient {name}", "train"))
    return made


def kept() -> list[str]:
    return sorted(path.name for path in arrays_folder().iterdir() if path.is_dir()) if arrays_folder().is_dir() else []


def assert_same(one: Arrays, other: Arrays) -> None:
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert (one.images.dtype, one.labels.dtype) == (other.images.dtype, other.labels.dtype)
    assert (one.stems, one.groups, one.originals) == (other.stems, other.groups, other.originals)


@pytest.mark.parametrize("preprocessing", [PAD, Preprocessing(16, 16, 1, normalization="zscore")])
@pytest.mark.parametrize("tiled", [False, True])
def test_arrays_on_disk_are_those_in_memory(
    samples: list[Sample], preprocessing: Preprocessing, tiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped = load_samples(samples, preprocessing, 3, tiled=tiled)
    assert not mapped.images.flags.writeable
    assert len(kept()) == 1
    monkeypatch.setenv(LIMIT, "1")
    assert_same(mapped, load_samples(samples, preprocessing, 3, tiled=tiled))


def test_they_are_written_once_and_again_where_anything_differs(samples: list[Sample]) -> None:
    shown = RecordedProgress()
    first = load_samples(samples, PAD, 3, shown("Read", 3))
    assert shown.done["Read"] == 3
    assert_same(first, load_samples(samples, PAD, 3, shown("Read again", 3)))
    assert shown.done["Read again"] == 0, "nothing was read"
    load_samples(samples, PAD, 3, tiled=True)
    load_samples(samples[:2], PAD, 3)
    pixels = np.array(Image.open(samples[0].image))
    pixels[3, 3] ^= 1
    Image.fromarray(pixels).save(samples[0].image)
    changed = load_samples(samples, PAD, 3)
    assert len(kept()) == 4
    assert (changed.images[0] != first.images[0]).any()
    np.testing.assert_array_equal(changed.images[1:], first.images[1:])


def test_an_interrupted_write_leaves_nothing_and_a_killed_ones_rest_goes(samples: list[Sample]) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_samples(samples, PAD, 3, RecordedProgress(("Read", 2))("Read", 3))
    assert kept() == []
    ages = {
        "old": KEEP_DAYS + 1, "new": KEEP_DAYS - 1,
        f"{PARTIAL}old": KEEP_PARTIAL_DAYS + 1, f"{PARTIAL}new": KEEP_PARTIAL_DAYS - 0.1,  # as a kill leaves them
    }  # fmt: skip
    for name, days in ages.items():
        (arrays_folder() / name).mkdir()
        os.utime(arrays_folder() / name, (time.time() - 86400 * days,) * 2)
    samples[2].image.write_bytes(samples[2].image.read_bytes()[:60])
    with pytest.raises(DataError, match=r"c\.png"):
        load_samples(samples, PAD, 3)
    assert kept() == sorted(["new", f"{PARTIAL}new"])


def test_two_that_write_the_same_arrays_at_once_do_not_meet(samples: list[Sample]) -> None:
    others: list[Arrays] = []

    def write_too(*_: object) -> None:
        if not others:
            others.append(load_samples(samples, PAD, 3))

    mine = load_samples(samples, PAD, 3, write_too)
    assert_same(mine, others[0])
    assert len(kept()) == 1
    assert_same(mine, load_samples(samples, PAD, 3))


def test_damaged_arrays_are_written_again(samples: list[Sample]) -> None:
    first = load_samples(samples, PAD, 3)
    whole = (first.images.copy(), first.labels.copy())
    (name,) = kept()
    file = arrays_folder() / name / IMAGES
    os.truncate(file, file.stat().st_size - 1)
    again = load_samples(samples, PAD, 3)
    np.testing.assert_array_equal(again.images, whole[0])
    np.testing.assert_array_equal(again.labels, whole[1])


def test_a_full_disk_is_named_before_and_while_writing(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 100

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(DataError, match=r"3 images of 32x16x3 need .* GB of memory or disk") as caught:
        load_samples(samples, PAD, 3)
    assert "U3P_EDGE_CACHE" in str(caught.value)
    with pytest.raises(DataError, match="an array of 3x40 numbers"):
        empty_array((3, 40), np.uint8)
    monkeypatch.undo()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(array_cache, "_sync", refuse)
    monkeypatch.setenv(LIMIT, "0")
    monkeypatch.setenv("U3P_EDGE_CACHE", str(samples[0].image.parent / "cache"))
    with pytest.raises(DataError, match=r"cannot be kept in .*No space left on device"):
        load_samples(samples, PAD, 3)
    assert kept() == []


def anonymous_kb() -> int:
    """Memory of this process that no file backs, in KB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what memory no file backs")
def test_an_array_to_be_filled_takes_disk_instead_of_memory(tmp_path: Path) -> None:
    before = anonymous_kb()
    array = empty_array((64, 1 << 20), np.uint8)
    for row in range(64):
        array[row] = row
    # In memory it would take its 65,536 KB; a quarter of them is left for what the interpreter happens to allocate.
    assert anonymous_kb() - before < 64 * 1024 / 4
    assert (array[:, 0] == np.arange(64)).all()
    assert list(arrays_folder().iterdir()) == [], "the file has no name"
    np.save(tmp_path / "kept.npy", array[:2])
    np.testing.assert_array_equal(open_array(tmp_path / "kept.npy"), array[:2])
