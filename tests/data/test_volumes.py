"""Volumes of a data folder are those that its import records, or that names show; a file of another program means nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from u3p_edge.data.volumes import find_spacings, find_volumes, read_axis
from u3p_edge.errors import DataError


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ('{"axis": "sagittal"}', "sagittal"),
        ('{"axis": null}', None),
        ('{"axis": ["axial"]}', None),
        ('{"axis": "x"}', None),
        ("[]", None),
        ("{", None),
        (None, None),
    ],
)
def test_the_axis_is_read_where_there_is_one(text: str | None, axis: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "source.json").write_text(text)
    assert read_axis(tmp_path) == axis


def make_images(root: Path, stems: str, counts: Mapping[str, object] | None = None) -> Path:
    """A folder of empty files of these names, and source.json with the numbers of slices."""
    images = root / "images"
    images.mkdir()
    for stem in stems.split():
        (images / f"{stem}.png").touch()
    if counts is not None:
        cases = {case: {"slices": count} for case, count in counts.items()}
        (root / "source.json").write_text(json.dumps({"cases": cases}))
    return images


def stems_of(folder: Path) -> list[str]:
    return sorted(" ".join(path.stem for path in volume) for volume in find_volumes(folder))


def test_volumes_are_those_that_the_import_records(tmp_path: Path) -> None:
    """Where names would be read in another way too: of the scans `a_s1` and `a`, and of one slice."""
    images = make_images(
        tmp_path, "a_s1_s000 a_s1_s001 a_s000 a_s001 b_s7 other_s000", {"a_s1": 2, "a": 2, "b_s7": 1, "gone": 4}
    )
    assert stems_of(images) == ["a_s000 a_s001", "a_s1_s000 a_s1_s001", "b_s7"]


@pytest.mark.parametrize("source", [None, "{", '{"cases": {"p1": 3}}', '{"cases": []}', '{"cases": {"p1": {"slices": "3"}}}'])
def test_without_a_record_the_names_show_the_volumes(source: str | None, tmp_path: Path) -> None:
    images = make_images(tmp_path, "p1_s9 p1_s10 p1_s11 p2_slice_000 p2_slice_001 q-z07 q-z08 photo 12")
    if source is not None:
        (tmp_path / "source.json").write_text(source)
    assert stems_of(images) == ["p1_s9 p1_s10 p1_s11", "p2_slice_000 p2_slice_001", "q-z07 q-z08"]


@pytest.mark.parametrize(
    ("lengths", "spacing"),
    [
        ("[5, 0.75, 1]", (0.75, 1.0)),
        ("null", None),
        ("[5, 1]", None),
        ("[5, 0, 1]", None),
        ('[5, "1", 1]', None),
        ("[5, 1, 1e400]", None),
        (f"[5, 1, {10**400}]", None),
    ],
)
def test_a_spacing_is_that_of_the_image_s_case(lengths: str, spacing: tuple[float, float] | None, tmp_path: Path) -> None:
    cases = f'{{"p1": {{"slices": 2, "spacing_mm": {lengths}}}, "p2": {{"slices": 1}}}}'
    (tmp_path / "source.json").write_text(f'{{"cases": {cases}}}')
    images = [tmp_path / "images" / f"{stem}.png" for stem in ("p1_s001", "p2", "p3_s000")]
    assert find_spacings(images) == (spacing, None, None)
    assert find_spacings([tmp_path / "masks" / "p1_s001.png"]) == (None,)


@pytest.mark.parametrize(
    ("stems", "counts", "message"),
    [
        ("p1_s000 p1_s002", {"p1": 3}, "lacks slice 1 of p1, which has slices 0 to 2"),
        ("p1_s000 p1_s001", {"p1": 10**15}, "lacks slice 2 of p1"),
        ("p1_s3 p1_s4 p1_s6", None, "lacks slice 5 of p1, which has slices 3 to 6"),
        ("p1_s3 p1_s03", None, r"p1_s3\.png and p1_s03\.png are the same slice"),
    ],
)
def test_a_volume_with_a_gap_is_refused(stems: str, counts: Mapping[str, object] | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        find_volumes(make_images(tmp_path, stems, counts))
