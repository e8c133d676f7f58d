"""`predict` writes masks of the right size, values and names, and nothing by halves."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from tests.support.small_artifacts import Zoo, picture, truth
from u3p_edge.cli.predict import predict
from u3p_edge.errors import ArtifactError, ConfigError, DataError, ModelError


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(predict)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def save(path: Path, grey: np.ndarray) -> Path:
    Image.fromarray(grey).save(path)
    return path


def grey(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    whole = np.tile((255 * picture(seed)[:, :, 0]).astype(np.uint8), (2, 2))
    return whole[:height, :width]


def read(path: Path) -> np.ndarray:
    with Image.open(path) as found:
        assert found.mode == "L"
        return np.asarray(found)


@pytest.mark.parametrize("kind", ["float32.tflite", "int8.tflite", "float32.onnx", "int8.onnx"])
def test_every_format_writes_class_indices(zoo: Zoo, tmp_path: Path, kind: str) -> None:
    image = save(tmp_path / "scan.png", grey(5))
    done = run(zoo.path(kind), image, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    mask = read(tmp_path / "out" / "scan.png")
    assert (mask == truth(5)).mean() > 0.97
    assert set(np.unique(mask)) == {0, 1, 2}
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["scan.png"]
    assert "1 mask in" in done.output
    assert "0 background, 1 class 1, 2 class 2" in " ".join(done.output.split())


@pytest.mark.parametrize("size", [(48, 64), (40, 50), (41, 63), (1, 1)])
def test_a_binary_mask_is_0_and_255_at_the_images_own_size(threshold: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    # This network thresholds at 0.3 * 255 = 76.5, and padding is undone without resampling: every pixel is known.
    pixels = grey(3, *size)
    done = run(threshold, save(tmp_path / "a.png", pixels), "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(read(tmp_path / "out" / "a.png"), np.where(pixels > 76.5, 255, 0))


def test_a_resized_image_comes_back_at_its_size(zoo: Zoo, tmp_path: Path) -> None:
    large = np.asarray(Image.fromarray(grey(2)).resize((192, 144), Image.Resampling.BILINEAR))
    assert run(zoo.path("int8.tflite"), save(tmp_path / "a.png", large), "--out", tmp_path / "out").exit_code == 0
    mask = read(tmp_path / "out" / "a.png")
    assert mask.shape == (144, 192)
    assert (mask == truth(2).repeat(3, axis=0).repeat(3, axis=1)).mean() > 0.95


def test_folders_and_files_mix_and_colour_and_16_bit_are_read(threshold: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    save(folder / "a.png", grey(1))
    save(folder / "b.tif", grey(1).astype(np.uint16) * 257)
    (folder / "notes.txt").write_text("not an image")
    rgb = save(tmp_path / "c.bmp", np.stack([grey(1)] * 3, axis=2))
    done = run(threshold, folder, rgb, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    masks = [read(tmp_path / "out" / f"{stem}.png") for stem in "abc"]
    assert len(list((tmp_path / "out").iterdir())) == 3
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])


def test_an_overlay_shows_image_and_mask(threshold: Path, tmp_path: Path) -> None:
    assert run(threshold, save(tmp_path / "a.png", grey(1, 40, 50)), "--out", tmp_path / "out", "--overlay").exit_code == 0
    mask = read(tmp_path / "out" / "a.png") > 0
    with Image.open(tmp_path / "out" / "a_overlay.png") as picture_file:
        painted = np.asarray(picture_file).astype(int)
    assert painted.shape == (40, 50, 3)
    coloured = (painted != painted[:, :, :1]).any(axis=2)
    np.testing.assert_array_equal(coloured, mask)


def test_images_of_one_stem_keep_their_suffix(threshold: Path, tmp_path: Path) -> None:
    for name, seed in (("x.png", 1), ("x.bmp", 2), ("y.png", 3)):
        save(tmp_path / name, grey(seed))
    done = run(threshold, tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["x.bmp.png", "x.png.png", "y.png"]
    np.testing.assert_array_equal(read(tmp_path / "out" / "x.bmp.png"), np.where(grey(2) > 76.5, 255, 0))


def test_images_of_one_name_in_two_folders_are_refused_before_anything_is_written(threshold: Path, tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
    a, b = (save(tmp_path / folder / "x.png", grey(1)) for folder in "ab")
    done = run(threshold, a, b, "--out", tmp_path / "out")
    assert isinstance(done.exception, ConfigError)
    assert str(a) in str(done.exception)
    assert str(b) in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_recursive_takes_folders_inside_and_keeps_them_apart(threshold: Path, tmp_path: Path) -> None:
    for folder in ("scans/p1", "scans/p2/left", "scans/.cache"):
        (tmp_path / folder).mkdir(parents=True)
        save(tmp_path / folder / "s.png", grey(1))
    flat = run(threshold, tmp_path / "scans", "--out", tmp_path / "out")
    assert isinstance(flat.exception, DataError)
    assert "--recursive" in str(flat.exception)
    done = run(threshold, tmp_path / "scans", "--out", tmp_path / "out", "--recursive")
    assert done.exit_code == 0, done.output
    written = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png"))
    assert written == ["p1/s.png", "p2/left/s.png"]


def test_a_broken_image_is_listed_and_the_others_are_done(threshold: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a.png", "c.png"):
        save(folder / name, grey(1))
    (folder / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    save(folder / "d.tif", np.full((9, 9), 7, np.float32))
    done = run(threshold, folder, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]
    text = " ".join(done.output.split())
    assert "2 masks in" in text
    assert "2 of 4 images failed" in text
    assert text.count("b.png") == 1
    assert "d.tif: an image of float32 values 7 to 7 has no range to normalise by" in text


def test_an_image_larger_than_the_network_is_tiled_and_reported(threshold: Path, tmp_path: Path) -> None:
    pixels = np.tile(grey(3), (3, 3))
    done = run(threshold, save(tmp_path / "a.png", pixels), "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(read(tmp_path / "out" / "a.png"), np.where(pixels > 76.5, 255, 0))
    assert "1 of 1 images are larger than the network's 48x64: predicted in overlapping tiles" in " ".join(done.output.split())


def test_what_a_resize_throws_away_is_reported(zoo: Zoo, tmp_path: Path) -> None:
    done = run(zoo.path("int8.tflite"), save(tmp_path / "a.png", np.tile(grey(1), (3, 2))), "-o", tmp_path / "out")
    assert "144x128 becomes 48x64, 3.0 times smaller" in " ".join(done.output.split())


def test_the_time_of_an_image_is_given_in_parts(threshold: Path, tmp_path: Path) -> None:
    done = run(threshold, save(tmp_path / "a.png", grey(1)), "-o", tmp_path / "out")
    rows = {line.split("  ")[0].strip(): line.split()[-3:] for line in done.output.splitlines() if line.strip()}
    parts = [[float(figure) for figure in rows[part]] for part in ("prepare", "network", "restore", "end to end")]
    # Of one image all percentiles are one number, and its parts add up, each rounded to a hundredth.
    assert all(len(set(part)) == 1 for part in parts)
    assert parts[3][0] == pytest.approx(sum(part[0] for part in parts[:3]), abs=0.021)


def test_without_out_masks_go_to_a_folder_of_their_own(
    threshold: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to masks/, where a data folder has its truth."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "masks").mkdir()
    save(tmp_path / "masks" / "a.png", grey(2))
    assert run(threshold, save(tmp_path / "a.png", grey(1))).exit_code == 0
    np.testing.assert_array_equal(read(tmp_path / "masks" / "a.png"), grey(2))
    assert [p.name for p in (tmp_path / "predicted-masks").iterdir()] == ["a.png"]


def test_a_run_folder_gives_its_int8_file_else_its_float_one(zoo: Zoo, tmp_path: Path) -> None:
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    image = save(tmp_path / "a.png", grey(5))
    empty = run(run_folder, image, "-o", tmp_path / "none")
    assert isinstance(empty.exception, ModelError)
    assert "model.int8.tflite" in str(empty.exception)
    for kind in ("float32.onnx", "float32.tflite", "int8.onnx", "int8.tflite"):  # each is preferred to those before
        shutil.copy(zoo.path(kind), run_folder)
        done = run(run_folder, image, "-o", tmp_path / kind)
        assert done.exit_code == 0, done.output
        assert f"Model: {run_folder / f'model.{kind}'}" in done.output.replace("\n", "")


def test_many_masks_are_flushed_once_and_all_there(threshold: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for index in range(40):
        save(folder / f"{index:02}.png", grey(index, 48, 64))
    assert run(threshold, folder, "--out", tmp_path / "out", "--overlay").exit_code == 0
    assert len(list((tmp_path / "out").iterdir())) == 80
    for index in (0, 17, 39):
        np.testing.assert_array_equal(read(tmp_path / "out" / f"{index:02}.png"), np.where(grey(index) > 76.5, 255, 0))


def test_an_overlay_and_a_mask_of_one_name_are_refused(threshold: Path, tmp_path: Path) -> None:
    images = [save(tmp_path / name, grey(1)) for name in ("x.png", "x_overlay.png")]
    assert isinstance(run(threshold, *images, "--out", tmp_path / "out", "--overlay").exception, ConfigError)
    assert run(threshold, *images, "--out", tmp_path / "out").exit_code == 0


def test_an_image_is_never_replaced_by_its_mask(threshold: Path, tmp_path: Path) -> None:
    image = save(tmp_path / "a.png", grey(1))
    before = image.read_bytes()
    done = run(threshold, image, "--out", tmp_path)
    assert isinstance(done.exception, ConfigError)
    assert "would replace the image" in str(done.exception)
    assert image.read_bytes() == before


@pytest.mark.parametrize(("name", "data"), [("text.png", b"hello"), ("cut.png", b"\x89PNG\r\n\x1a\n")])
def test_what_is_no_image_is_named(threshold: Path, tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    done = run(threshold, tmp_path / name, "--out", tmp_path / "out")
    assert isinstance(done.exception, DataError)
    assert name in str(done.exception)
    assert not list((tmp_path / "out").glob("*"))


def test_an_image_that_is_not_there_is_named_before_anything_is_begun(threshold: Path, tmp_path: Path) -> None:
    done = run(threshold, tmp_path / "absent.png", "--out", tmp_path / "out")
    assert isinstance(done.exception, DataError)
    assert "absent.png does not exist" in str(done.exception)


def test_nan_pixels_are_refused(threshold: Path, tmp_path: Path) -> None:
    pixels = picture(0)[:, :, 0].copy()
    pixels[3, 4] = np.nan
    done = run(threshold, save(tmp_path / "nan.tif", pixels), "--out", tmp_path / "out")
    assert isinstance(done.exception, DataError)
    assert "nan.tif" in str(done.exception)


def test_an_empty_folder_points_to_its_images(threshold: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    done = run(threshold, tmp_path, "--out", tmp_path / "out")
    assert isinstance(done.exception, DataError)
    assert str(tmp_path / "images") in str(done.exception)


def test_a_broken_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"TFL3")
    done = run(tmp_path / "m.tflite", save(tmp_path / "a.png", grey(1)), "--out", tmp_path / "out")
    assert isinstance(done.exception, ModelError)
    assert not (tmp_path / "out").exists()


def test_an_out_folder_that_cannot_be_is_named(threshold: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(threshold, save(tmp_path / "a.png", grey(1)), "--out", tmp_path / "file" / "out")
    assert isinstance(done.exception, ArtifactError)
