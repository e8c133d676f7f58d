"""Folders of DICOM files become series; what is in them that is no image, or not of one patient, is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import uid

from tests.support.dicom_files import PATIENT, ROOT, image, multiframe, ramp, save, save_series, segmentation
from u3p_edge.errors import DataError
from u3p_edge.scans.dicom.cases import list_cases, read_series
from u3p_edge.scans.dicom.files import is_dicom
from u3p_edge.scans.dicom.series import ImageSeries, read_contents
from u3p_edge.scans.options import ScanOptions

OTHER = f"{ROOT}.4"


def series_of(folder: Path, series: str | None = None) -> tuple[ImageSeries, ...]:
    return read_contents(folder, ScanOptions(series=series)).series


def test_a_series_of_any_names_in_any_folders(tmp_path: Path) -> None:
    """File names and instance numbers show no order, some names have no suffix, and positions decide."""
    save_series(tmp_path / "a", ramp(4), names=["3.dcm", "00000001", "x/2.IMA", "1.2.840.7"])
    (case,) = list_cases(tmp_path, ScanOptions()).cases
    volume = case.read().volume
    assert (volume.voxels == ramp(4)).all()
    assert volume.spacing == (2.5, 0.5, 0.75)


def test_names_show_nothing_of_the_patient(tmp_path: Path) -> None:
    save_series(tmp_path / PATIENT["PatientID"], ramp(3))
    listed = list_cases(tmp_path, ScanOptions())
    (case,) = listed.cases
    shown = f"{case.name} {case.patient} {listed.notes}"
    assert not any(value in shown for value in PATIENT.values())
    assert list_cases(tmp_path, ScanOptions()).cases[0].patient == case.patient


def test_series_of_one_patient_are_one_group(tmp_path: Path) -> None:
    save_series(tmp_path / "a", ramp(3))
    save_series(tmp_path / "b", ramp(2), SeriesInstanceUID=OTHER, StudyInstanceUID=f"{ROOT}.5")
    save_series(tmp_path / "c", ramp(2), SeriesInstanceUID=f"{ROOT}.6", PatientID="another")
    first, second, third = list_cases(tmp_path, ScanOptions()).cases
    assert first.name != second.name
    assert first.patient == second.patient != third.patient


def test_one_series_is_chosen_by_name_or_uid(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(3))
    save_series(tmp_path / "b", ramp(2), SeriesInstanceUID=OTHER)
    (wanted,) = series_of(tmp_path, series=OTHER)
    assert series_of(tmp_path, series=wanted.name) == (wanted,)
    assert len(wanted.images) == 2
    with pytest.raises(DataError, match=rf"no series 'x'.*{wanted.name} \(CT, 2 files\)"):
        series_of(tmp_path, series="x")


def test_an_object_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    save_series(tmp_path / "a", ramp(3))
    save_series(tmp_path / "b", ramp(3))
    assert [len(one.images) for one in series_of(tmp_path)] == [3]


def test_an_enhanced_file_is_a_series(tmp_path: Path) -> None:
    save(multiframe(ramp(3), [5, 0, 2.5]), tmp_path / "one.dcm")
    (series,) = series_of(tmp_path / "one.dcm")
    volume = read_series(series, ScanOptions(), {}).volume
    assert (volume.voxels == (ramp(3) * np.arange(1, 4)[:, None, None])[[1, 2, 0]]).all()
    assert volume.spacing == (2.5, 0.5, 0.75)


def test_images_without_positions_are_cases_of_their_own(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(2), ImagePositionPatient=None, ImageOrientationPatient=None)
    cases = list_cases(tmp_path, ScanOptions()).cases
    assert len({case.name for case in cases}) == 2
    assert cases[0].read().volume.affine is None


def test_no_images(tmp_path: Path) -> None:
    save(segmentation(ramp(1, dtype="uint8") % 2, [0], ["a"]), tmp_path / "seg.dcm")
    plan = image(ramp(1)[0], Rows=None, PixelData=None, SOPClassUID=uid.RTStructureSetStorage, Modality="RTSTRUCT", number=7)
    save(plan, tmp_path / "plan.dcm")
    with pytest.raises(DataError, match=r"holds no images; of other DICOM objects it holds RTSTRUCT \(1\), SEG \(1\)"):
        series_of(tmp_path)


def test_other_objects_beside_images_are_left_out(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(2))
    dose = image(ramp(1)[0], SOPClassUID=uid.RTDoseStorage, Modality="RTDOSE", number=7, SeriesInstanceUID=OTHER)
    save(dose, tmp_path / "dose.dcm")
    contents = read_contents(tmp_path, ScanOptions())
    assert len(contents.series) == 1
    assert contents.notes == ("DICOM objects that are no images are left out: RTDOSE (1).",)


def test_a_localizer_in_a_series(tmp_path: Path) -> None:
    files = save_series(tmp_path, ramp(3), change={1: {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}})
    with pytest.raises(DataError, match=rf"^{files[1]}: a localizer \(scout\) among the 2 images"):
        series_of(tmp_path)


def test_a_series_of_localizers_is_left_out(tmp_path: Path) -> None:
    save_series(tmp_path / "a", ramp(3))
    save_series(tmp_path / "b", ramp(1), SeriesInstanceUID=OTHER, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    contents = read_contents(tmp_path, ScanOptions())
    assert [len(one.images) for one in contents.series] == [3]
    assert contents.notes == ("1 series of localizers (scouts) is left out.",)


def test_two_patients_in_a_series(tmp_path: Path) -> None:
    files = save_series(tmp_path, ramp(3), change={2: {"PatientID": "another"}})
    with pytest.raises(DataError, match="of another patient") as caught:
        series_of(tmp_path)
    assert any(str(file) in str(caught.value) for file in files)
    assert "another patient than" in str(caught.value)
    assert PATIENT["PatientID"] not in str(caught.value)


def test_grey_and_colour_in_a_series(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(2, dtype="uint8"))
    save(image(np.zeros((8, 6, 3), np.uint8), 5, 9), tmp_path / "colour.dcm")
    (case,) = list_cases(tmp_path, ScanOptions()).cases
    with pytest.raises(DataError, match=r"colour\.dcm: grey and colour"):
        case.read()


def test_a_file_with_the_suffix_that_is_no_dicom(tmp_path: Path) -> None:
    save_series(tmp_path, ramp(2))
    (tmp_path / "notes.dcm").write_bytes(b"x" * 200)
    with pytest.raises(DataError, match=r"notes\.dcm is not a DICOM file"):
        series_of(tmp_path)


def test_a_damaged_header_shows_nothing_of_the_patient(tmp_path: Path) -> None:
    """The message of pydicom would quote the value."""
    (file,) = save_series(tmp_path, ramp(1))
    spoiled = file.read_bytes().replace(b"-10.0\\-20.0\\0.0", b"PLANTED4711,abc")
    assert spoiled != file.read_bytes()
    file.write_bytes(spoiled)
    with pytest.raises(DataError, match=rf"^{file} ") as caught:
        series_of(tmp_path)
    assert "PLANTED" not in str(caught.value)


def test_recognition_is_cheap_and_by_names_first(tmp_path: Path) -> None:
    assert not is_dicom(tmp_path)
    (tmp_path / "readme").write_text("no image")
    assert not is_dicom(tmp_path)
    (file,) = save_series(tmp_path / "a" / "b", ramp(1), names=["00000001"])
    assert is_dicom(tmp_path)
    assert is_dicom(file)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "x.png").write_bytes(b"")
    assert not is_dicom(tmp_path / "c")
