"""Mask files of classes that may overlap: what their values mean, how a folder is checked, and masks of whole images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.data_folders import make_folder
from tests.support.picture_files import write
from u3p_edge.config.preprocessing import Fit, Preprocessing
from u3p_edge.data.check import check_data
from u3p_edge.data.description import describe_folder, has_overlap
from u3p_edge.data.folder import open_folder
from u3p_edge.data.labels import LabelRule
from u3p_edge.data.load import infer_labels, load_samples
from u3p_edge.data.masks import read_mask
from u3p_edge.data.options import DataOptions
from u3p_edge.data.preprocess import grid_of, restore
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.label_values import has_class, join_classes
from u3p_edge.metrics import IGNORE

SETS = LabelRule(multi_label=True)
TABLE = "name,patient,split\na,1,train\nb,2,val\n"


def make_sets(root: Path, names: tuple[str, ...] = ("background", "x", "y")) -> Path:
    """Two images of 6x8 whose masks hold 0 to 3, each value in a quarter of the pixels."""
    make_folder(root, ["a", "b"], TABLE)
    for stem in ("a", "b"):
        write(root / "masks" / f"{stem}.png", np.arange(48, dtype=np.uint8).reshape(6, 8) % 4)
    (root / "manifest.json").write_text(json.dumps(describe_folder(names, "", multi_label=True)))
    return root


def test_values_are_sets_up_to_the_last_class(tmp_path: Path) -> None:
    values = np.array([[0, 1, 2, 3, 4, 127]], np.uint8)
    path = write(tmp_path / "mask.png", values)
    np.testing.assert_array_equal(read_mask(path, rule=SETS), values)
    with pytest.raises(DataError, match=r"has the value 127, beyond the sets of its classes \(0 to 7\)"):
        read_mask(path, 4, rule=SETS)
    np.testing.assert_array_equal(read_mask(path, 8, rule=LabelRule(ignore=127, multi_label=True)), [[0, 1, 2, 3, 4, IGNORE]])
    # A file of 0 and 255 is no binary mask here: it would be a set of eight classes.
    with pytest.raises(DataError, match=r"has the value 255, beyond the sets"):
        read_mask(write(tmp_path / "binary.png", np.array([[0, 255]], np.uint8)), rule=SETS)


@pytest.mark.parametrize("rule", [LabelRule(mapping=((1, 2),)), LabelRule(colours=(("#000000", 0),))])
def test_other_classes_for_sets_are_refused(rule: LabelRule, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--map and --mask-colours are for masks of one class a pixel"):
        open_folder(make_sets(tmp_path / "sets"), DataOptions(rule=rule))


def test_the_description_of_a_folder_says_so(tmp_path: Path) -> None:
    folder = make_sets(tmp_path / "sets")
    dataset = open_folder(folder, DataOptions())
    assert all(sample.options.rule == SETS for sample in dataset.samples)
    assert infer_labels(dataset) == 3
    assert not has_overlap(make_sets(tmp_path / "one", ("background", "x")))  # a single class
    (folder / "manifest.json").write_text('{"multi_label": "yes"}')
    assert not has_overlap(folder)
    assert describe_folder((), "") == {}


def test_a_check_counts_every_class(tmp_path: Path) -> None:
    report = check_data(make_sets(tmp_path / "sets"))
    assert (report.problems, report.labels, report.present) == ((), 3, (2, 2, 2))
    assert report.fractions == (0.25, 0.5, 0.5)
    assert any("classes may overlap (multi-label)" in note for note in report.notes)
    ignored = check_data(tmp_path / "sets", rule=LabelRule(ignore=3))
    assert (ignored.ignored, ignored.fractions) == (0.25, (1 / 3, 1 / 3, 1 / 3))


def test_arrays_hold_sets_for_a_model_of_sets_alone(tmp_path: Path) -> None:
    samples = open_folder(make_sets(tmp_path / "sets"), DataOptions()).samples
    small = Preprocessing(16, 16, fit="pad")
    arrays = load_samples(samples, small, 3, multi_label=True)
    np.testing.assert_array_equal(np.unique(arrays.labels), [0, 1, 2, 3])
    with pytest.raises(DataError, match=r"the model has one class a pixel, and the masks beside .*a\.png classes that may"):
        load_samples(samples, small, 3)
    with pytest.raises(DataError, match="the model has classes that may overlap"):
        load_samples(
            open_folder(make_folder(tmp_path / "plain", ["a", "b"], TABLE), DataOptions()).samples, small, 3, multi_label=True
        )


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.sampled_from(("resize", "pad")), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_mask_of_an_image_has_the_classes_of_each_channel(size: tuple[int, int], fit: Fit, seed: int) -> None:
    """Tiles, padding and sizes included, each channel gives the mask that it gives as the only one."""
    spec = Preprocessing(16, 32, fit=fit, normalization="none")
    grid = grid_of(size, spec)
    rows = np.random.default_rng(seed).random((len(grid.tops), len(grid.lefts), 16, 32, 3), np.float32)
    sets = restore(iter(rows), size, spec, multi_label=True)
    alone = [restore(iter(rows[..., k : k + 1]), size, spec) for k in range(3)]
    np.testing.assert_array_equal(sets, join_classes([mask > 0 for mask in alone]))
    assert has_class(sets, 0, multi_label=True).shape == size
