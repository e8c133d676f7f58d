"""From a DICOM series to a segmentation of it, and what of the patient is written on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from tests.support.command_line import QUICK, Program, refusal
from tests.support.dicom_files import PATIENT, ROOT, find_patient, save, save_series, segmentation
from tests.support.small_artifacts import Zoo, picture, truth
from u3p_edge.scans.dicom.cases import list_cases
from u3p_edge.scans.options import ScanOptions

SLICES = np.stack([(255 * picture(seed)[:, :, 0]).astype(np.uint8) for seed in range(3)])


def test_a_series_gets_the_masks_of_its_slices(program: Program, zoo: Zoo, tmp_path: Path) -> None:
    """Read back, the segmentation has the labels that the slices have as pictures, at their positions."""
    save_series(tmp_path / "series", SLICES)
    for index, plane in enumerate(SLICES):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(plane).save(tmp_path / "pictures" / f"{index}.png")
    for source in ("series", "pictures"):
        done = program("predict", zoo.path("int8.tflite"), tmp_path / source, "--out", tmp_path / f"of {source}")
        assert done.code == 0, done.err
        assert find_patient(tmp_path / "nothing", done.out, done.err) == []
    (mask,) = (tmp_path / "of series").iterdir()
    mask.rename(tmp_path / "series" / "labels.dcm")
    (case,) = list_cases(tmp_path / "series", ScanOptions()).cases
    expected = [np.asarray(Image.open(tmp_path / "of pictures" / f"{index}.png")) for index in range(3)]
    assert np.array_equal(case.read().labels, np.stack(expected))  # type: ignore[arg-type] # None is equal to nothing
    assert np.max(expected) == 2, "the masks have both classes"


def test_several_series_and_codes(program: Program, zoo: Zoo, tmp_path: Path) -> None:
    """One that is no volume is listed, and the other is done."""
    save_series(tmp_path / "series" / "a", SLICES)
    save_series(tmp_path / "series" / "b", SLICES, SeriesInstanceUID=f"{ROOT}.4", change={1: {"PixelSpacing": [1, 1]}})
    codes = tmp_path / "codes.toml"
    codes.write_text('["1"]\ncategory = ["123037004", "SCT", "Body structure"]\ntype = ["10200004", "SCT", "Liver"]\n')
    name = zoo.metadata.class_names[1]
    codes.write_text(codes.read_text().replace('"1"', f'"{name}"', 1))
    arguments = (zoo.path("int8.tflite"), tmp_path / "series", "--segment-codes", codes, "--window", "127.5,256")
    done = program("predict", *arguments, "--out", tmp_path / "out")
    assert (done.code, "of another spacing" in done.err) == (1, True), done.err
    (mask,) = (tmp_path / "out").iterdir()
    assert dcmread(mask).SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Liver"


def test_a_folder_of_no_images(program: Program, zoo: Zoo, tmp_path: Path) -> None:
    save(segmentation(SLICES[:1] % 2, [0], ["a"]), tmp_path / "series" / "labels.dcm")
    message = refusal(program("predict", zoo.path("int8.tflite"), tmp_path / "series", "--out", tmp_path / "out"))
    assert "holds no images; of other DICOM objects it holds SEG (1)" in message


@pytest.mark.slow
def test_no_patient_data_in_anything_but_the_segmentation(
    program: Program, keras_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From series in a folder that has the patient's name, through an export and a benchmark, to a report and masks."""
    monkeypatch.chdir(tmp_path)
    source = tmp_path / PATIENT["PatientName"]
    for number in range(4):
        uid = f"{ROOT}.{40 + number}"
        patient = f"{PATIENT['PatientID']}-{number}"
        save_series(source / str(number), SLICES, PatientID=patient, SeriesInstanceUID=uid)
        labels = np.concatenate([(np.stack([truth(seed) for seed in range(3)]) == label).astype(np.uint8) for label in (1, 2)])
        mask = segmentation(labels, [0, 2.5, 5] * 2, ["a"] * 3 + ["b"] * 3, SOPInstanceUID=f"{ROOT}.{60 + number}")
        mask.ReferencedSeriesSequence[0].SeriesInstanceUID = uid
        save(mask, source / str(number) / "labels.dcm")
    commands = (
        ("data", "import", source, "--out", "scans"),
        ("export", keras_file, "--int8", "--data", "scans", "--out", "exported", *QUICK, "--ptq", "--no-rewrite",
         "--min-sqnr", "-20"),
        ("bench", "exported/model.int8.tflite", "--data", "scans", "--report", "report.html", "--save", "result.json",
         "--rounds", "5", "--memory", "0"),
        ("predict", "exported", source, "--out", "masks"),
    )  # fmt: skip
    texts = []
    for command in commands:
        done = program(*command)
        assert done.code == 0, (command, done.err)
        texts.append(done.out + done.err)
    assert len(list((tmp_path / "masks").iterdir())) == 4
    assert find_patient(tmp_path / "masks"), "a segmentation has its patient, so that the search shows that it finds one"
    for path in ("masks", str(source)):
        for file in sorted((tmp_path / path).rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
    source.rmdir()
    assert find_patient(tmp_path, *texts) == []
