"""TIFF files of several pages: which pages are slices, where these lie, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from u3p_edge.data.check import check_data
from u3p_edge.data.images import read_native
from u3p_edge.data.masks import read_values
from u3p_edge.data.volumes import read_axis
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.scans.import_data import import_data
from u3p_edge.scans.options import ScanOptions
from u3p_edge.scans.sources import find_kind
from u3p_edge.scans.tiff_stack import read_labelled_stack

tifffile = pytest.importorskip("tifffile")

STACK = np.random.default_rng(0).integers(0, 65536, (5, 6, 8), dtype=np.uint16)
LABELS = (STACK % 3).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", **options})
    return path


def test_one_command_makes_slices_of_a_stack_and_its_labels(tmp_path: Path) -> None:
    stack, labels = save(tmp_path / "in" / "p1.TIF", STACK, compression="zlib"), save(tmp_path / "labels.tif", LABELS)
    result = import_data(stack, tmp_path / "out", ScanOptions(labels=labels))
    assert (result.kind, result.slices, result.labelled) == ("TIFF stack", 5, True)
    assert check_data(tmp_path / "out").problems == ()
    assert read_axis(tmp_path / "out") is None  # its pages are what they are
    for index in range(5):
        name = f"p1_s{index:03}.png"
        np.testing.assert_array_equal(read_native(tmp_path / "out" / "images" / name)[:, :, 0], STACK[index])
        np.testing.assert_array_equal(read_values(tmp_path / "out" / "masks" / name), LABELS[index])


def test_folders_of_stacks_are_paired_by_name(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / "in" / "images" / f"{name}.ome.tif", STACK, metadata={"axes": "ZYX"})
        save(tmp_path / "in" / "labels" / f"{name}.tif", LABELS)
    result = import_data(tmp_path / "in", tmp_path / "out")
    assert [(case.case, case.patient, len(case.slices)) for case in result.cases] == [(n, n, 5) for n in "abc"]
    assert check_data(tmp_path / "out").labels == 3
    with pytest.raises(ConfigError, match="--labels is for a NIfTI or TIFF file"):
        import_data(tmp_path / "in", tmp_path / "other", ScanOptions(labels=tmp_path / "l.tif"))
    (tmp_path / "in" / "images" / "b.ome.tif").unlink()
    with pytest.raises(DataError, match=r"b\.tif has no image of the same name"):
        import_data(tmp_path / "in", tmp_path / "other")


@pytest.mark.parametrize(
    ("pixels", "values"),
    [
        ((STACK.astype(np.int16), {}), STACK.astype(np.int16)),
        ((STACK.astype(np.float32) / 7, {}), STACK.astype(np.float32) / 7),
        ((np.stack([LABELS] * 3, axis=3), {"photometric": "rgb"}), np.stack([LABELS] * 3, axis=3)),
    ],
    ids=["signed", "float", "colour"],
)
def test_values_are_kept(tmp_path: Path, pixels: tuple[np.ndarray, Mapping[str, object]], values: np.ndarray) -> None:
    path = save(tmp_path / "s.tif", pixels[0], **pixels[1])
    np.testing.assert_array_equal(read_labelled_stack(path, None, ScanOptions()).volume.voxels, values)


def test_channels_and_time_points_are_told_from_slices(tmp_path: Path) -> None:
    both = np.stack([STACK, STACK[::-1]], axis=1)  # slices, channels, H, W
    files = [
        save(tmp_path / "imagej.tif", both, imagej=True, metadata={"axes": "ZCYX"}),
        save(tmp_path / "zc.ome.tif", both, metadata={"axes": "ZCYX"}),
        save(tmp_path / "cz.ome.tif", np.moveaxis(both, 1, 0), metadata={"axes": "CZYX"}),
        save(tmp_path / "tz.ome.tif", np.moveaxis(both, 1, 0), metadata={"axes": "TZYX"}),
    ]
    for path in files:
        for channel, expected in (("0", STACK), ("1", STACK[::-1])):
            voxels = read_labelled_stack(path, None, ScanOptions(channel=channel)).volume.voxels
            np.testing.assert_array_equal(voxels, expected, err_msg=path.name)
        with pytest.raises(DataError, match=rf"{path.name} has 2 channels .* Choose one with --channel"):
            read_labelled_stack(path, None, ScanOptions())
    film = save(tmp_path / "t.ome.tif", STACK, metadata={"axes": "TYX"})
    np.testing.assert_array_equal(read_labelled_stack(film, None, ScanOptions()).volume.voxels, STACK)


def test_the_spacing_is_read_where_all_of_it_is_known(tmp_path: Path) -> None:
    imagej = {"imagej": True, "resolution": (2.0, 4.0), "metadata": {"axes": "ZYX", "spacing": 3.0, "unit": "mm"}}
    ome = {"axes": "ZYX", "PhysicalSizeX": 500, "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "mm", "PhysicalSizeZ": 3000}
    for path in (save(tmp_path / "i.tif", STACK, **imagej), save(tmp_path / "o.ome.tif", STACK, metadata=ome)):
        volume = read_labelled_stack(path, None, ScanOptions()).volume
        assert volume.spacing == pytest.approx((3, 0.25, 0.5), rel=1e-6), (
            path.name
        )  # a TIFF's resolution is a ratio of integers
        assert volume.affine is not None
        # Slices to the head, rows to the back, columns to the left.
        np.testing.assert_allclose(volume.affine[:3, :3] @ [1, 1, 1], [-0.5, -0.25, 3], rtol=1e-6)
    unknown: list[dict[str, Any]] = [{"imagej": True, "metadata": {"axes": "ZYX", "spacing": 3.0}}, {"resolution": (2, 2)}, {}]
    for index, options in enumerate(unknown):
        assert (
            read_labelled_stack(save(tmp_path / f"u{index}.tif", STACK, **options), None, ScanOptions()).volume.affine is None
        )


def test_images_of_one_page_are_no_stack(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / "in" / "images" / f"{name}.tif", STACK[0])
    with pytest.raises(DataError, match="is no source of scans that is known"):
        find_kind(tmp_path / "in")
    save(tmp_path / "in" / "images" / "b.tif", STACK)
    assert find_kind(tmp_path / "in").name == "TIFF stack"
    with pytest.raises(DataError, match=r"b\.tif holds several images. `u3p-edge data import`"):
        read_native(tmp_path / "in" / "images" / "b.tif")


def test_what_is_no_volume_is_refused_by_name(tmp_path: Path) -> None:
    pages = [Image.fromarray(STACK[0]), Image.fromarray(STACK[1, :4])]
    pages[0].save(tmp_path / "sizes.tif", save_all=True, append_images=pages[1:])
    whole = save(tmp_path / "whole.tif", np.tile(STACK, (1, 8, 8))).read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tif").write_text("no image")
    large = save(tmp_path / "large.tif", STACK, imagej=True, metadata={"axes": "ZYX"})
    large.write_bytes(large.read_bytes().replace(b"images=5", b"images=7").replace(b"slices=5", b"slices=7"))
    cases = {
        "sizes.tif": "its page 2 has 4x8 pixels, page 1 has 6x8: these are not slices of one volume",
        "cut.tif": "is cut short|is damaged",
        "text.tif": "is not an image that can be read",
        "large.tif": "has 5 pages, and its description counts 7",
    }
    for name, symptom in cases.items():
        with pytest.raises(DataError, match=symptom) as caught:
            import_data(tmp_path / name, tmp_path / "out")
        assert name in caught.value.symptom
    image = save(tmp_path / "i.tif", STACK)
    with pytest.raises(DataError, match=r"l\.tif has 4 x 6 x 8 voxels .* but its image .*i\.tif has 5 x 6 x 8"):
        read_labelled_stack(image, save(tmp_path / "l.tif", LABELS[1:]), ScanOptions())
    with pytest.raises(DataError, match="240 voxels, more than the limit of 239"):
        read_labelled_stack(image, None, ScanOptions(max_voxels=239))
