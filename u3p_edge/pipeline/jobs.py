"""Which images are predicted, and into which files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.data.formats import FORMATS, SUFFIXES
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.scans.mask_formats import find_format
from u3p_edge.scans.options import DEFAULTS, ScanOptions
from u3p_edge.scans.scan_input import ScanInput

OVERLAY = "_overlay"
"""After an image's stem: the file that holds the image with its mask painted over it."""


@dataclass(frozen=True)
class Job:
    """One image or scan, and the files that are made of it.

    Args:
        image: its file, or the folder of its files.
        mask, overlay: files that are written; no overlay is made of a scan.
        scan: how it is read and its mask written; None for a picture.
    """

    image: Path
    mask: Path
    overlay: Path | None
    scan: ScanInput | None = None


def plan_jobs(
    images: Sequence[Path], out: Path, *, overlay: bool, recursive: bool = False, scan_options: ScanOptions = DEFAULTS
) -> tuple[Job, ...]:
    """Decide which image becomes which files, before any pixel is read.

    Args:
        images: files of pictures and scans, and folders of them.
        out: the folder of the masks. Images of one stem keep their suffix: a.png and a.bmp become a.png.png and a.bmp.png.
        overlay: whether to write a picture of the image with the mask painted over it as well.
        recursive: take the folders inside a folder too; they are made inside `out`.
        scan_options: how scans are read.

    Raises:
        DataError: an image or folder is missing, or a folder holds none, or a scan cannot be listed.
        ConfigError: two images would give one file, a mask would replace an image, or an overlay of a scan is asked for.
    """
    paths = [path for given in images for path in _expand(given, recursive)]
    plain = [folder / path.stem for path, folder in paths]
    twice = {stem for stem, count in Counter(plain).items() if count > 1}
    stems = [stem.with_name(path.name) if stem in twice else stem for stem, (path, _) in zip(plain, paths, strict=True)]
    jobs = tuple(
        job for stem, (path, _) in zip(stems, paths, strict=True) for job in _list_jobs(path, out / stem, overlay, scan_options)
    )
    _check_targets(jobs)
    return jobs


def _expand(given: Path, recursive: bool) -> list[tuple[Path, Path]]:
    """Return image files, each with the folder of its mask inside the output folder."""
    if not given.exists():
        raise DataError(f"{given} does not exist")
    if not given.is_dir() or find_format(given) is not None:
        return [(given, Path())]
    inside = sorted(given.rglob("*") if recursive else given.iterdir())
    files = [path for path in inside if _is_image(path, given)]
    if not files:
        images = given / "images"
        mend = f"Name {images} instead." if images.is_dir() else "Add --recursive if they are in folders inside it."
        raise DataError(f"the folder {given} holds no {FORMATS} files and no scans", mend="" if recursive else mend)
    return [(path, path.parent.relative_to(given)) for path in files]


def _is_image(path: Path, folder: Path) -> bool:
    """Return whether a file in a folder is a picture or a scan, and not hidden."""
    if any(part.startswith(".") for part in path.relative_to(folder).parts) or not path.is_file():
        return False
    return path.suffix.lower() in SUFFIXES or find_format(path) is not None


def _list_jobs(image: Path, target: Path, overlay: bool, options: ScanOptions) -> tuple[Job, ...]:
    kind = find_format(image)
    if kind is None:
        overlay_file = target.with_name(f"{target.name}{OVERLAY}.png") if overlay else None
        return (Job(image, target.with_name(f"{target.name}.png"), overlay_file),)
    if overlay:
        raise ConfigError(f"no overlay is made of a scan ({image})", mend="Leave --overlay out; viewers lay the mask over it.")
    return tuple(Job(image, target.with_name(scan.mask_name), None, scan) for scan in kind.list_scans(image, options))


def _check_targets(jobs: Sequence[Job]) -> None:
    targets = [target for job in jobs for target in (job.mask, job.overlay) if target]
    twice = next((target for target, count in Counter(targets).items() if count > 1), None)
    if twice:
        names = [str(job.image) for job in jobs if twice in (job.mask, job.overlay)]
        both = " and ".join(names[:2]) if len(names) > 1 else f"mask and overlay of {names[0]}"
        raise ConfigError(f"{both} would both be written to {twice}", mend="Predict them into two folders.")
    inputs = {job.image.resolve() for job in jobs}
    hit = next((target for target in targets if target.resolve() in inputs), None)
    if hit:
        raise ConfigError(f"the mask would replace the image {hit}", mend="Give another --out folder.")
