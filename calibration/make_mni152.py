"""Make calibration/mni152 from the MNI ICBM152 templates that the nilearn package ships.

    python -m pip install '.[calibration]' && python calibration/make_mni152.py

Axial slices of the symmetric 2009a T1 average (1 mm, skull-stripped by nilearn) with tissue labels from its grey and
white matter maps: 0 background, 1 CSF, 2 grey, 3 white. The picture has the front of the head on top and its left
side on the right. The same script and files give the same pixels; nothing is drawn from the clock.

Clean, the intensity of a pixel nearly tells its label. So every slice gets a smooth bias field of its own, the noise of
a magnitude MR image (Rician: Gudbjartsson and Patz, Magnetic Resonance in Medicine 1995) and fewer grey levels. Far
from the brain it is 0, as scanners that mask the air write it.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from u3p_edge.files.atomic import write_bytes, write_json, write_text
from u3p_edge.manifest import sha256_of
from u3p_edge.metrics import confusion, dice

HERE = Path(__file__).resolve().parent
MAPS = ("t1", "gm", "wm")
CLASSES = ("background", "CSF", "grey matter", "white matter")
ORDER = ("train", "test", "train", "val", "train", "test", "train", "val", "train")
"""The slabs from the neck upwards: each split sees low and high parts of the brain."""

Volume = npt.NDArray[np.uint8]
Slice = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Recipe:
    """What is cut and how it is hardened.

    Args:
        height, width: of a picture in pixels of 1 mm.
        first, last: lowest and highest slice (third array index) used.
        train_slices, held_slices: slices in a train slab, and in a val or test slab; the top slab takes the rest.
        gap: slices dropped between two slabs; the nearest slices of two splits are gap + 1 mm apart.
        noise: standard deviation of each channel of the complex noise, in grey levels of 255.
        bias: largest relative change by the bias field, either way.
        rim: how far from the brain, in pixels, noise is kept.
        step: grey levels are rounded to multiples of this; keeps the noise from filling the package.
        seed: of every random draw, together with the slice's number.
    """

    height: int = 192
    width: int = 224
    first: int = 7
    last: int = 152
    train_slices: int = 13
    held_slices: int = 11
    gap: int = 4
    noise: float = 12.0
    bias: float = 0.35
    rim: int = 8
    step: int = 6
    seed: int = 152


def sources() -> dict[str, Path]:
    """The three files inside the installed nilearn package, by map."""
    import nilearn

    folder = Path(nilearn.__file__).parent / "datasets" / "data"
    return {m: folder / f"mni_icbm152_{m}_tal_nlin_sym_09a_converted.nii.gz" for m in MAPS}


def read_volume(path: Path) -> Volume:
    """uint8 [x to the right, y to the front, z upwards]."""
    import nibabel

    image = nibabel.load(path)
    if nibabel.aff2axcodes(image.affine) != ("R", "A", "S"):
        raise ValueError(f"{path} is not stored right, anterior, superior")
    return np.asarray(image.dataobj, dtype=np.uint8)


def label(t1: Volume, gm: Volume, wm: Volume) -> Volume:
    """The likeliest tissue of each voxel of the brain; what of a voxel is neither grey nor white is CSF."""
    grey, white = gm.astype(np.int16), wm.astype(np.int16)
    tissue = np.argmax(np.stack([255 - grey - white, grey, white]), axis=0) + 1
    return np.where(t1 > 0, tissue, 0).astype(np.uint8)


def axial(volume: Volume, z: int, recipe: Recipe) -> Slice:
    """One slice, front of the head on top and its left on the right, centred in height x width."""
    picture = volume[::-1, ::-1, z].T
    out = np.zeros((recipe.height, recipe.width), np.uint8)
    lost = [max(0, have - want) // 2 for have, want in zip(picture.shape, out.shape, strict=True)]
    cut = picture[lost[0] : lost[0] + recipe.height, lost[1] : lost[1] + recipe.width]
    top, left = ((want - have) // 2 for have, want in zip(cut.shape, out.shape, strict=True))
    out[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return out


def bias_field(rng: np.random.Generator, recipe: Recipe) -> npt.NDArray[np.float64]:
    """A random cubic polynomial over the picture, scaled to 1 - bias .. 1 + bias."""
    y, x = np.meshgrid(np.linspace(-1, 1, recipe.height), np.linspace(-1, 1, recipe.width), indexing="ij")
    powers = [(i, j) for i in range(4) for j in range(4 - i) if i + j]
    field = sum(rng.normal() * y**i * x**j for i, j in powers)
    field = field - (np.max(field) + np.min(field)) / 2
    return 1 + recipe.bias * field / np.max(np.abs(field))


def harden(clean: Slice, z: int, recipe: Recipe) -> Slice:
    """Bias field, Rician noise near the brain, fewer grey levels."""
    from scipy.ndimage import binary_dilation

    rng = np.random.default_rng((recipe.seed, z))
    signal = clean * bias_field(rng, recipe) * 0.75  # leaves room above for bias and noise
    real, imaginary = rng.normal(0, recipe.noise, (2, *clean.shape))
    magnitude = np.hypot(signal + real, imaginary) * binary_dilation(clean > 0, iterations=recipe.rim)
    return (np.clip(np.rint(magnitude / recipe.step), 0, 255 // recipe.step) * recipe.step).astype(np.uint8)


def slabs(recipe: Recipe) -> list[tuple[str, str, list[int]]]:
    """(split, slab, slices) from the bottom up, `gap` slices dropped between slabs."""
    out, z = [], recipe.first
    for number, split in enumerate(ORDER):
        size = recipe.train_slices if split == "train" else recipe.held_slices
        end = recipe.last + 1 if number == len(ORDER) - 1 else z + size
        out.append((split, f"slab{number}", list(range(z, end))))
        z = end + recipe.gap
    return out


def look_up_dice(images: dict[str, list[Slice]], masks: dict[str, list[Slice]]) -> dict[str, float]:
    """Test Dice of the best table from intensity to label, chosen on the training slices."""
    counts = np.zeros((256, len(CLASSES)), np.int64)
    for image, mask in zip(images["train"], masks["train"], strict=True):
        np.add.at(counts, (image, mask), 1)
    table = counts.argmax(axis=1)
    pooled = sum(confusion(mask, table[image], len(CLASSES)) for image, mask in zip(images["test"], masks["test"], strict=True))
    return {name: round(float(d), 3) for name, d in zip(CLASSES, dice(np.asarray(pooled)), strict=True)}


def png(pixels: Slice) -> bytes:
    """An 8-bit grey PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def make(out: Path, recipe: Recipe) -> None:
    """Write images/, masks/, split.csv and manifest.json under `out`."""
    files = sources()
    t1, gm, wm = (read_volume(files[m]) for m in MAPS)
    labels = label(t1, gm, wm)
    rows, entries = [], []
    clean, hard, truth = ({s: [] for s in ("train", "val", "test")} for _ in range(3))
    for split, slab, numbers in slabs(recipe):
        for z in numbers:
            name, picture, mask = f"axial_{z:03d}", axial(t1, z, recipe), axial(labels, z, recipe)
            hardened = harden(picture, z, recipe)
            for kept, pixels in ((clean, picture), (hard, hardened), (truth, mask)):
                kept[split].append(pixels)
            for folder, pixels in (("images", hardened), ("masks", mask)):
                path = out / folder / f"{name}.png"
                write_bytes(path, png(pixels))
                entries.append({"file": f"{folder}/{name}.png", "sha256": sha256_of(path), "split": split})
            rows.append((name, split, slab))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("name", "split", "slab"), *rows])
    write_text(out / "split.csv", text.getvalue())
    manifest = {
        "what": "Axial slices of the MNI ICBM152 symmetric 2009a T1 average, hardened; see ../README.md and LICENSE-MNI152.txt",
        "classes": CLASSES,
        "split": f"axial slabs, {recipe.gap} slices of 1 mm dropped between neighbours; one averaged head in all splits",
        "sources": [{"file": files[m].name, "sha256": sha256_of(files[m])} for m in MAPS],
        "recipe": asdict(recipe),
        "look_up_dice": {"clean": look_up_dice(clean, truth), "hardened": look_up_dice(hard, truth)},
        "files": sorted(entries, key=lambda e: e["file"]),
    }
    write_json(out / "manifest.json", manifest)
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    print(json.dumps({"slices": len(rows), "MB": round(size / 1e6, 2), **manifest["look_up_dice"]}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "mni152")
    make(parser.parse_args().out, Recipe())
