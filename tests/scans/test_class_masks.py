"""One mask file for each class of an image: folded into class indices, and refused where a pixel would have two classes."""

from __future__ import annotations

import json
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from tests.support.picture_files import write
from u3p_edge.data.check import check_data
from u3p_edge.data.images import read_native
from u3p_edge.data.masks import read_values
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.scans.import_data import import_data
from u3p_edge.scans.options import ScanOptions

TRUTH = np.arange(30, dtype=np.uint8).reshape(5, 6) % 3
IMAGE = np.stack([TRUTH * 9, TRUTH * 5, TRUTH + 100], axis=2)
CLASSES = ("liver", "tumour")


def make_source(root: Path, *, in_folders: bool) -> Path:
    """Three images with a file for each of two classes; the last has no tumour."""
    for kind in ("images", *(f"masks/{name}" for name in CLASSES if in_folders), *([] if in_folders else ["masks"])):
        (root / kind).mkdir(parents=True)
    for stem in ("a_1", "a_2", "b"):
        write(root / "images" / f"{stem}.png", IMAGE)
        for k, name in enumerate(CLASSES, start=1):
            if (stem, name) != ("b", "tumour"):
                file = f"{name}/{stem}.PNG" if in_folders else f"{stem}_{name}.png"
                write(root / "masks" / file, np.where(k == TRUTH, 255, 0).astype(np.uint8), "1" if k == 2 else None)
    return root


@pytest.mark.parametrize("in_folders", [True, False])
def test_files_by_class_become_class_indices(tmp_path: Path, in_folders: bool) -> None:
    source = make_source(tmp_path / "in", in_folders=in_folders)
    result = import_data(source, tmp_path / "out")
    assert (result.kind, result.class_names, result.notes) == ("masks by class", ("background", *CLASSES), ())
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["class_names"] == ["background", *CLASSES]
    report = check_data(tmp_path / "out")
    assert (report.problems, report.labels, dict(report.modes)) == ((), 3, {"RGB uint8": 3})
    for stem, truth in (("a_1", TRUTH), ("a_2", TRUTH), ("b", np.where(TRUTH == 1, 1, 0))):
        np.testing.assert_array_equal(read_values(tmp_path / "out" / "masks" / f"{stem}.png"), truth)
        np.testing.assert_array_equal(read_native(tmp_path / "out" / "images" / f"{stem}.png"), IMAGE)


def test_a_check_of_such_a_folder_names_the_import(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"masks holds no PNG.*`u3p-edge data import` makes one of scans, and of masks with one"
    ):
        check_data(make_source(tmp_path / "in", in_folders=True))


def test_the_user_orders_the_classes(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in", in_folders=True)
    import_data(source, tmp_path / "out", ScanOptions(classes=("tumour", "liver")))
    swapped = np.array([0, 2, 1], np.uint8)[TRUTH]
    np.testing.assert_array_equal(read_values(tmp_path / "out" / "masks" / "a_1.png"), swapped)
    with pytest.raises(ConfigError, match=r"--classes liver,tumor are not those of .* They are liver,tumour"):
        import_data(source, tmp_path / "other", ScanOptions(classes=("liver", "tumor")))


def test_a_pixel_of_two_classes_is_refused_unless_one_goes_first(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in", in_folders=True)
    tumour = np.where(TRUTH == 2, 255, 0).astype(np.uint8)
    tumour[0, :5] = 255  # two of these pixels are liver
    write(source / "masks" / "tumour" / "a_2.PNG", tumour)
    with pytest.raises(DataError, match=r"liver/a_2\.PNG and .*tumour/a_2\.PNG overlap in 2 pixels") as caught:
        import_data(source, tmp_path / "out")
    assert "--overlap first makes it 'liver', --overlap last 'tumour'" in caught.value.mend
    assert not (tmp_path / "out").exists()
    for overlap, pair in (("first", 1), ("last", 2)):
        import_data(source, tmp_path / overlap, ScanOptions(overlap=overlap))  # type: ignore[arg-type]  # one of the words
        expected = np.where(tumour > 0, 2, TRUTH)
        expected[(tumour > 0) & (TRUTH == 1)] = pair
        np.testing.assert_array_equal(read_values(tmp_path / overlap / "masks" / "a_2.png"), expected)


def test_the_limit_of_voxels_is_that_of_each_file(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in", in_folders=True)
    assert import_data(source, tmp_path / "out", ScanOptions(max_voxels=30)).slices == 3
    with pytest.raises(DataError, match=r"a_1\.png has 30 voxels, more than the limit of 29") as caught:
        import_data(source, tmp_path / "other", ScanOptions(max_voxels=29))
    assert "--max-voxels" in caught.value.mend
    write(source / "masks" / "liver" / "a_2.PNG", np.zeros((6, 6), np.uint8))
    with pytest.raises(DataError, match=r"liver/a_2\.PNG has 36 voxels"):
        import_data(source, tmp_path / "other", ScanOptions(max_voxels=30))


def test_a_pixel_may_have_both_classes_where_that_is_asked_for(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in", in_folders=True)
    tumour = np.where(TRUTH == 2, 255, 0).astype(np.uint8)
    tumour[0, :5] = 255
    write(source / "masks" / "tumour" / "a_2.PNG", tumour)
    result = import_data(source, tmp_path / "out", ScanOptions(overlap="keep"))
    assert (result.multi_label, result.class_names) == (True, ("background", *CLASSES))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest == {"class_names": ["background", *CLASSES], "multi_label": True}
    masks = {stem: read_values(tmp_path / "out" / "masks" / f"{stem}.png") for stem in ("a_1", "a_2", "b")}
    np.testing.assert_array_equal(masks["a_2"], (TRUTH == 1) + 2 * (tumour > 0))
    assert (masks["a_2"] == 3).sum() == 2
    np.testing.assert_array_equal(masks["a_1"], TRUTH)
    np.testing.assert_array_equal(masks["b"], TRUTH == 1)


def test_no_more_classes_than_fit_into_a_set(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in", in_folders=False)
    for k in range(6):
        write(source / "masks" / f"b_other{k}.png", TRUTH // 2 * 255)
    with pytest.raises(DataError, match="name 8 classes, more than the 7 that may overlap") as caught:
        import_data(source, tmp_path / "out", ScanOptions(overlap="keep"))
    assert "leave out --overlap keep" in caught.value.mend
    for k in range(6):
        (source / "masks" / f"b_other{k}.png").unlink()
    for stem in ("a_1", "a_2"):
        (source / "masks" / f"{stem}_tumour.png").unlink()
    one = import_data(source, tmp_path / "one", ScanOptions(overlap="keep"))
    assert (one.multi_label, one.class_names) == (False, ("background", "liver"))  # a single class overlaps nothing


def test_names_that_look_alike_are_one_and_images_without_masks_are_left_out(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in", in_folders=True)
    write(source / "images" / f"{normalize('NFD', 'Müller')}.png", IMAGE)
    write(source / "masks" / "liver" / f"{normalize('NFC', 'Müller')}.png", TRUTH * 0)
    (source / "masks" / "background").mkdir()
    write(source / "masks" / "background" / "b.png", np.where(TRUTH == 0, 255, 0).astype(np.uint8))
    write(source / "images" / "unmarked.png", IMAGE)
    result = import_data(source, tmp_path / "out")
    assert [case.case for case in result.cases] == sorted(["a_1", "a_2", "b", normalize("NFC", "Müller")])
    assert result.class_names == ("background", *CLASSES)
    assert result.notes == ("1 of 5 scans has no labels and is left out.",)


def test_what_is_no_mask_of_a_class_is_named(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in", in_folders=False)
    cases = {
        "b_liver.png": (TRUTH, r"b_liver\.png has 3 values \(0, 1, 2\), and one of a class has 0 and another"),
        "a_1_liver.png": (TRUTH[:4] * 0, r"a_1\.png has 5x6 pixels .* but its mask .*a_1_liver\.png 4x6"),
    }
    for name, (pixels, symptom) in cases.items():
        whole = (source / "masks" / name).read_bytes()
        write(source / "masks" / name, pixels)
        with pytest.raises(DataError, match=symptom):
            import_data(source, tmp_path / "out")
        (source / "masks" / name).write_bytes(whole)
    (source / "masks" / "liver").mkdir()
    write(source / "masks" / "liver" / "c.png", TRUTH)
    with pytest.raises(DataError, match=r"liver/c\.png has no image of its name"):
        import_data(source, tmp_path / "out")


def test_a_plain_data_folder_has_no_masks_by_class(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / "in" / kind).mkdir(parents=True)
        write(tmp_path / "in" / kind / "a.png", TRUTH)
        write(tmp_path / "in" / kind / "a_1.png", TRUTH)
    with pytest.raises(DataError, match="is no source of scans that is known"):
        import_data(tmp_path / "in", tmp_path / "out")
    (tmp_path / "nifti.nii").write_bytes(b"")
    with pytest.raises(ConfigError, match="--classes and --overlap are for one mask file a class"):
        import_data(tmp_path / "nifti.nii", tmp_path / "out", ScanOptions(overlap="last"))
