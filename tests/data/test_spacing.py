"""The size of a pixel of the network's input, from what an import records of the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.nifti_files import nifti_folder
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.fit_notes import Original
from u3p_edge.data.folder import read_folder
from u3p_edge.data.load import Arrays, load_samples
from u3p_edge.data.memory import LIMIT
from u3p_edge.data.spacing import pixel_spacings
from u3p_edge.scans.import_data import import_data


@pytest.mark.parametrize("limit", ["100", "0"])
def test_an_imported_image_has_the_spacing_of_its_scan(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Axial slices of 10x12 voxels of 0.75 x 0.5 mm; from memory, and from arrays that are kept on disk."""
    monkeypatch.setenv(LIMIT, limit)
    import_data(nifti_folder(tmp_path / "nifti"), tmp_path / "data")
    samples = read_folder(tmp_path / "data").samples
    for preprocessing, expected in (
        (Preprocessing(16, 16, fit="pad"), (0.75, 0.5)),
        (Preprocessing(32, 16), (0.75 * 10 / 32, 0.5 * 12 / 16)),
    ):
        arrays = load_samples(samples, preprocessing, 3)
        assert pixel_spacings(arrays, preprocessing) == (expected,) * 12
    (tmp_path / "data" / "source.json").unlink()
    assert pixel_spacings(load_samples(samples, preprocessing, 3), preprocessing) == ()


def test_tiles_have_the_spacing_of_their_image_and_one_unknown_leaves_all_in_pixels() -> None:
    stems, pad = ("a", "a", "b"), Preprocessing(16, 16, fit="pad")
    images, labels = np.zeros((3, 16, 16, 1), np.float32), np.zeros((3, 16, 16), np.uint8)
    known = (Original((30, 16), spacing=(2.0, 1.0)), Original((16, 16), spacing=(3.0, 3.0)))
    assert pixel_spacings(Arrays(images, labels, stems, stems, known), pad) == ((2.0, 1.0), (2.0, 1.0), (3.0, 3.0))
    assert pixel_spacings(Arrays(images, labels, stems, stems, (known[0], Original((16, 16)))), pad) == ()
    assert pixel_spacings(Arrays(images, labels, stems, stems), pad) == ()
