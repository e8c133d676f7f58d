"""What an export takes over from training, so that it reads the same data in the same way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.data_folders import make_folder
from tests.support.recipes import make_recipe
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.folder import open_folder, read_folder
from u3p_edge.data.labels import LabelRule
from u3p_edge.data.load import infer_labels
from u3p_edge.data.options import DataOptions
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.metrics import IGNORE
from u3p_edge.pipeline.data import data_options, read_export_data
from u3p_edge.progress import silent
from u3p_edge.recipes.recipe import LabelOptions
from u3p_edge.training.prepare import complete
from u3p_edge.training.recipe import TrainRecipe, parse_recipe

METADATA = default_metadata(Preprocessing(16, 16), labels=3)


def test_a_split_drawn_for_training_is_the_export_s(tmp_path: Path) -> None:
    root = make_folder(tmp_path, [f"img{i}" for i in range(12)])
    trained = TrainRecipe(seed=5)
    options = data_options(LabelOptions(), trained, root)
    data = read_export_data(root, METADATA, silent, options)
    assert data.test.stems == tuple(s.stem for s in read_folder(root, seed=5).split("test"))
    assert data.test.stems != tuple(s.stem for s in read_folder(root, seed=0).split("test"))
    assert "No group column is known" in data.notes[0]


def test_the_group_column_of_training_is_kept_where_the_data_has_it(tmp_path: Path) -> None:
    trained = parse_recipe(TrainRecipe(group_column="who").to_toml())
    table = "name,who,clinic,split\na,1,x,train\nb,2,y,val\nc,3,z,test\n"
    root = make_folder(tmp_path / "same", ["a", "b", "c"], table)
    options = data_options(LabelOptions(), trained, root)
    assert options.group_column == "who"
    assert read_export_data(root, METADATA, silent, options).test.groups == ("3",)
    assert data_options(LabelOptions(group_column="clinic"), trained, root).group_column == "clinic"
    other = make_folder(tmp_path / "other", ["a", "b", "c"], "name,split\na,train\nb,val\nc,test\n")
    assert data_options(LabelOptions(), trained, other) == DataOptions()
    assert data_options(LabelOptions(), trained, None) == data_options(LabelOptions(), None, root) == DataOptions()
    with pytest.raises(DataError, match="no column 'clinic'"):
        read_export_data(other, METADATA, silent, DataOptions(group_column="clinic"))


def test_the_meaning_of_mask_values_in_training_is_kept(tmp_path: Path) -> None:
    root = make_folder(tmp_path, ["a", "b", "c"], "name,split\na,train\nb,val\nc,test\n")
    trained = parse_recipe(TrainRecipe(ignore_label=2, label_map=((1, 0), (0, 1))).to_toml())
    metadata = default_metadata(Preprocessing(16, 16), labels=2)
    options = data_options(LabelOptions(), trained, root)
    assert options.rule == LabelRule(2, ((1, 0), (0, 1)))
    kept = read_export_data(root, metadata, silent, options).test.labels
    assert set(np.unique(kept)) == {0, 1, IGNORE}
    given = data_options(LabelOptions(label_map=((2, 1),)), trained, root)
    assert given.rule == LabelRule(None, ((2, 1),))
    assert set(np.unique(read_export_data(root, metadata, silent, given).test.labels)) == {0, 1}
    with pytest.raises(DataError, match=r"masks/a\.png has the value 2, beyond the 2 classes \(0 to 1\)"):
        read_export_data(root, metadata, silent, data_options(LabelOptions(), None, root))


def test_the_colours_of_masks_in_training_are_kept(tmp_path: Path) -> None:
    root = make_folder(tmp_path, ["a", "b", "c"], "name,split\na,train\nb,val\nc,test\n")
    table = np.array([[9, 9, 9], [250, 0, 0], [0, 0, 250]], np.uint8)
    for path in (root / "masks").iterdir():
        Image.fromarray(table[np.asarray(Image.open(path))]).save(path)
    colours = (("#090909", 0), ("#fa0000", 1), ("#0000fa", 2))
    trained = parse_recipe(TrainRecipe(mask_colours=colours).to_toml())
    options = data_options(LabelOptions(), trained, root)
    assert complete(trained, open_folder(root, options)).labels == 3
    metadata = default_metadata(Preprocessing(16, 16, fit="pad"), labels=3)
    truth = np.arange(48).reshape(6, 8) % 3  # as `make_folder` draws it, padded to the middle
    np.testing.assert_array_equal(read_export_data(root, metadata, silent, options).test.labels[0, 5:11, 4:12], truth)


def test_what_mask_values_mean_is_part_of_an_export_s_key() -> None:
    recipes = [
        make_recipe(),
        make_recipe(ignore_label=255),
        make_recipe(label_map=((2, 1),)),
        make_recipe(mask_colours=(("#000000", 0),)),
        make_recipe(group_column="p"),
    ]
    assert len({recipe.to_json() for recipe in recipes}) == len(recipes)
    for wrong in (
        {"ignore_label": 1, "label_map": ((1, 0),)}, {"label_map": ((1, 300),)}, {"mask_colours": (("red", 1),)}
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            make_recipe(**wrong)
        with pytest.raises(ConfigError):
            TrainRecipe(**wrong)


def test_the_limit_of_pixels_reaches_every_file(tmp_path: Path) -> None:
    root = make_folder(tmp_path, ["a", "b", "c"], "name,split\na,train\nb,val\nc,test\n", size=(6, 8))
    with pytest.raises(DataError, match=r"has 6x8 = 48 pixels, more than the limit of 47"):
        read_export_data(root, METADATA, silent, data_options(LabelOptions(), None, root, max_pixels=47))
    assert len(read_export_data(root, METADATA, silent, DataOptions(max_pixels=48)).test.images) == 1
    dataset = open_folder(root, DataOptions(max_pixels=47))
    with pytest.raises(DataError, match="more than the limit of 47"):
        infer_labels(dataset)
    with pytest.raises(DataError, match="more than the limit of 47"):
        complete(TrainRecipe(labels=3), dataset)


def test_class_names_of_the_folder_are_the_model_s_unless_others_are_given(tmp_path: Path) -> None:
    root = make_folder(tmp_path, ["a", "b", "c"], "name,split\na,train\nb,val\nc,test\n")
    (root / "manifest.json").write_text('{"class_names": ["background", "liver", "tumour", "vessel"]}')
    dataset = read_folder(root)
    described = complete(TrainRecipe(), dataset)
    assert (described.labels, described.class_names) == (4, ("background", "liver", "tumour", "vessel"))
    given = complete(TrainRecipe(class_names=("none", "left", "right")), dataset)
    assert given.class_names == ("none", "left", "right")
    # Where the masks' values are renamed, or other labels are asked for, these names are of something else.
    assert complete(TrainRecipe(label_map=((2, 1),)), dataset).class_names == ()
    assert complete(TrainRecipe(labels=3), dataset).class_names == ()
