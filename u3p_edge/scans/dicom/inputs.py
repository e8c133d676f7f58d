"""The series of a DICOM folder as scans that are predicted, each with one segmentation as its mask."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from u3p_edge.config.metadata import Metadata
from u3p_edge.scans.dicom.cases import read_series, stack_series
from u3p_edge.scans.dicom.codes import default_codes, read_segment_codes
from u3p_edge.scans.dicom.segmentation import write_segmentation
from u3p_edge.scans.dicom.series import ImageSeries, read_contents
from u3p_edge.scans.options import ScanOptions
from u3p_edge.scans.scan_input import ScanInput
from u3p_edge.scans.volume import Volume

UNKNOWN = "unknown"
"""Version of a model whose file does not say what it was made from."""


def list_series_inputs(source: Path, options: ScanOptions) -> tuple[ScanInput, ...]:
    """List the series of a DICOM file or folder; their pixels are not read. Raises DataError as `series.read_contents`."""
    return tuple(
        ScanInput(f"{series.name}.dcm", partial(_read, series, options), partial(_write, series, options))
        for series in read_contents(source, options).series
    )


def _read(series: ImageSeries, options: ScanOptions) -> Volume:
    return read_series(series, options).volume


def _write(series: ImageSeries, options: ScanOptions, target: Path, labels: npt.NDArray[np.uint8], metadata: Metadata) -> None:
    names = metadata.class_names
    codes = default_codes(names) if options.segment_codes is None else read_segment_codes(options.segment_codes, names)
    version = metadata.lineage[-1][1] if metadata.lineage else UNKNOWN
    stack = stack_series(series, options.max_voxels)
    write_segmentation(target, labels, stack, names, codes, version, metadata.multi_label)
