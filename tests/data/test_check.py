"""`data check` blames the exception, not the many; and says what class numbers make no sense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.support.data_folders import make_folder
from u3p_edge.cli.data import data_app
from u3p_edge.data.check import check_data
from u3p_edge.data.folder import open_folder, read_folder
from u3p_edge.data.labels import LabelRule
from u3p_edge.data.load import infer_labels
from u3p_edge.data.options import DataOptions
from u3p_edge.errors import DataError


def folder_of(root: Path, masks: list[list[int]]) -> Path:
    """A folder with one mask for each list of values."""
    make_folder(root, [f"img{i:02}" for i in range(len(masks))])
    for i, values in enumerate(masks):
        pixels = np.resize(np.array(values, np.uint16 if max(values) > 255 else np.uint8), (6, 8))
        Image.fromarray(pixels).save(root / "masks" / f"img{i:02}.png")
    return root


@pytest.mark.parametrize("bad", [[0, 254], [0, 254, 255], [0, 7], [0, 1, 2, 3]])
def test_one_odd_mask_among_binary_ones_is_the_one_that_is_named(tmp_path: Path, bad: list[int]) -> None:
    root = folder_of(tmp_path, [*([[0, 255]] * 5), bad, *([[0, 255]] * 6)])
    (problem,) = check_data(root).problems
    assert f"the mask {root / 'masks' / 'img05.png'} has the value" in problem
    with pytest.raises(DataError, match=r"img05\.png"):
        infer_labels(read_folder(root))


def test_one_binary_mask_among_index_masks_is_the_one_that_is_named(tmp_path: Path) -> None:
    root = folder_of(tmp_path, [*([[0, 1, 2]] * 5), [0, 255], *([[0, 1]] * 6)])
    report = check_data(root)
    assert report.labels == 3
    (problem,) = report.problems
    assert "img05.png has the value 255, beyond the 3 classes (0 to 2)" in problem


def test_one_mask_far_beyond_the_others_classes_is_named(tmp_path: Path) -> None:
    report = check_data(folder_of(tmp_path, [*([[0, 1, 2]] * 9), [0, 1, 200]]))
    assert report.labels == 3
    assert "img09.png has the value 200, beyond the 3 classes" in report.problems[0]


def test_masks_of_objects_are_named_as_such(tmp_path: Path) -> None:
    many = list(range(40))
    (problem,) = check_data(folder_of(tmp_path / "eight", [many] * 4)).problems
    assert "hold 40 different values (0, 1, 2, 3, 4, 5, 6, 7, ...): more look like numbers of objects" in problem
    problems = check_data(folder_of(tmp_path / "sixteen", [[9 * k for k in many]] * 2)).problems
    assert all("40 different values: numbers of objects (an instance mask)" in problem for problem in problems)
    assert check_data(tmp_path / "eight", 40).problems == ()


def test_classes_with_gaps_are_named_with_a_map(tmp_path: Path) -> None:
    grey = folder_of(tmp_path / "grey", [[0, 100, 200]] * 4)
    (problem,) = check_data(grey).problems
    assert "hold 3 different values (0, 100, 200): with such gaps they are no class indices" in problem
    assert "--map 100:1,200:2" in problem
    assert check_data(grey, rule=LabelRule(None, ((100, 1), (200, 2)))).problems == ()
    report = check_data(folder_of(tmp_path / "seven", [[0, 1], [0, 1], [0, 7]]))
    assert report.labels == 8
    assert any("classes 2 to 6 are in no mask; the masks hold 0, 1, 7" in note for note in report.notes)
    assert any("class 7 is in" in note and "img02.png alone" in note for note in report.notes)


def test_ignored_pixels_are_counted_apart(tmp_path: Path) -> None:
    root = folder_of(tmp_path, [[0, 1, 2, 255]] * 3)
    report = check_data(root, rule=LabelRule(255))
    assert report.problems == ()
    assert report.labels == infer_labels(open_folder(root, DataOptions(rule=LabelRule(255)))) == 3
    assert report.ignored == 0.25
    assert report.fractions == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    result = CliRunner().invoke(data_app, ["check", str(root), "--ignore-label", "255", "--map", "2:1"])
    assert result.exit_code == 0, result.output
    assert "ignored: 25.00% of the pixels" in result.output


def test_colours_that_are_classes_are_counted_with_those_that_no_mask_has(tmp_path: Path) -> None:
    root = folder_of(tmp_path, [[0, 1]] * 3)
    for path in (root / "masks").iterdir():
        Image.fromarray(np.array([[0, 0, 0], [9, 9, 250]], np.uint8)[np.asarray(Image.open(path))]).save(path)
    colours = (("#000000", 0), ("#0909fa", 1), ("#ffffff", 2))
    report = check_data(root, rule=LabelRule(colours=colours))
    assert (report.problems, report.labels, report.present) == ((), 3, (3, 3, 0))
    assert infer_labels(open_folder(root, DataOptions(rule=LabelRule(colours=colours)))) == 3
    typed = ",".join(f"{colour}:{k}" for colour, k in colours[::2])
    result = CliRunner().invoke(data_app, ["check", str(root), "--mask-colours", typed])
    assert result.exit_code == 2
    assert "24 pixels of the colour #0909fa, which --mask-colours does not name" in " ".join(result.output.split())
    assert all("is a colour picture" in problem for problem in check_data(root).problems)


def test_a_long_list_of_problems_is_cut_with_its_count(tmp_path: Path) -> None:
    root = folder_of(tmp_path, [[0, 1, 2]] * 30)
    short = CliRunner().invoke(data_app, ["check", str(root), "--labels", "2"]).output
    assert short.count("problem:") == 20
    assert "... and 10 more; --all shows them." in short
    assert "30 problems." in short
    assert CliRunner().invoke(data_app, ["check", str(root), "--labels", "2", "--all"]).output.count("problem:") == 30
