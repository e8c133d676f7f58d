"""Small NIfTI files whose every voxel is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

SPACING = (0.5, 0.75, 3.0)
"""Millimetres along x, y and z of the patient."""

ORIGIN = (-12.0, 7.0, 30.0)


def oriented_affine(order: tuple[int, int, int], signs: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """The affine of a file whose axis i runs along the patient's axis order[i], towards the sign (RAS+)."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (towards, sign) in enumerate(zip(order, signs, strict=True)):
        affine[towards, axis] = sign * SPACING[towards]
    affine[:3, 3] = ORIGIN
    return affine


RAS = oriented_affine((0, 1, 2), (1, 1, 1))


def save_nifti(path: Path, voxels: npt.NDArray[Any], affine: npt.NDArray[np.float64] = RAS, unit: str = "mm") -> Path:
    """The voxels as a NIfTI-1 file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(voxels, affine, dtype=voxels.dtype)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


def scan_voxels(seed: int, shape: tuple[int, int, int] = (12, 10, 4)) -> npt.NDArray[np.int16]:
    """Noise from 0 to 999."""
    return np.random.default_rng(seed).integers(0, 1000, shape).astype(np.int16)


def label_voxels(seed: int, shape: tuple[int, int, int] = (12, 10, 4)) -> npt.NDArray[np.uint8]:
    """Labels 0, 1 and 2, each of which occurs in every slice along the last axis."""
    labels = np.random.default_rng(100 + seed).integers(0, 3, shape).astype(np.uint8)
    labels[:3, 0] = np.arange(3)[:, None]
    return labels


def nifti_folder(root: Path, cases: int = 3, images: str = "images", labels: str = "labels") -> Path:
    """A folder of scans p0, p1, ... and labels of the same names."""
    for seed in range(cases):
        save_nifti(root / images / f"p{seed}.nii.gz", scan_voxels(seed))
        save_nifti(root / labels / f"p{seed}.nii.gz", label_voxels(seed))
    return root
