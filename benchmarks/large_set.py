"""The memory of a training whose images take ten times the memory that they may, and of predicting many images.

    python -m benchmarks.large_set

Training: a generated set, grey, 64x64, in files. One process trains on a tenth of it, which fits into the allowance, another
on the whole, which is kept on disk. While it trains, each reads its memory that no file backs (RssAnon) and its cached pages of
files (RssFile), which the system takes back when it needs them. Prediction: one process for each number of images, with a small
int8 network. Flat means that the memory does not rise from the first fifth of the steps on. Kept in
benchmarks/results/<processor>/large_set/: large_set.json with all readings, report.md.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.environment import describe_machine, results_folder
from benchmarks.lib.process_memory import MemoryCurve
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.cache import FOLDER
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.memory import LIMIT, array_bytes
from u3p_edge.files.atomic import write_json, write_text
from u3p_edge.report.markdown import table

SIZE = 64
PREPROCESSING = Preprocessing(SIZE, SIZE)
VALIDATION = 32
EVERY = 20

Curve = list[tuple[int, float, float]]
"""Steps done, MB of memory without a file, MB of mapped files."""


def main() -> None:
    """Measure both and write the report."""
    parser = make_parser(__doc__)
    parser.add_argument("--allowance", type=float, default=5, help="MB of memory that the images may take")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--predict", type=int, nargs="*", default=[100, 1000, 5000], help="numbers of images to predict")
    options = parser.parse_args()
    whole = int(10 * options.allowance * 1e6 / array_bytes(1, PREPROCESSING))
    curves: dict[str, Curve] = {}
    with tempfile.TemporaryDirectory(prefix="large_set-") as made:
        folder = Path(made)
        os.environ |= {FOLDER: str(folder / "cache"), LIMIT: f"{options.allowance:g}"}
        for name, count in (("train, in memory", whole // 10), ("train, on disk", whole)):
            data = make_set(folder / str(count), count)
            epochs = options.epochs * whole // count  # the same number of steps: the smaller set is seen ten times as often
            curves[f"{name}: {count} images"] = in_process(train_on, data, folder / f"run{count}", epochs)
        if options.predict:
            model = in_process(write_model, folder / "tiny.int8.tflite")
        for count in options.predict:
            images = make_set(folder / f"predict{count}", count) / "images"
            curves[f"predict: {count} images"] = in_process(predict_in, model, images, folder / f"masks{count}")
    environment = describe_environment()
    kept = {"command": typed_command("large_set"), "environment": dataclasses.asdict(environment), "readings": curves}
    results = results_folder("large_set")
    write_json(results / "large_set.json", kept)
    text = report(curves, options.allowance, whole * array_bytes(1, PREPROCESSING) / 1e6, describe_machine(environment))
    write_text(results / "report.md", text)
    print(text)


def in_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function gives that is called in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def make_set(folder: Path, count: int) -> Path:
    """Write `count` training and some validation images of one noisy disc each; return the folder."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE]
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    rows = ["name,patient,split"]
    for i in range(count + VALIDATION):
        (cy, cx), radius = rng.uniform(SIZE / 4, SIZE * 3 / 4, 2), rng.uniform(SIZE / 10, SIZE / 5)
        mask = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
        image = 60 + 90 * mask + rng.integers(0, 60, mask.shape)
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{i:06}.png", compress_level=1)
        Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(folder / "masks" / f"{i:06}.png", compress_level=1)
        rows.append(f"{i:06},{i},{'train' if i < count else 'val'}")
    write_text(folder / "split.csv", "\n".join(rows) + "\n")
    return folder


def train_on(data: Path, out: Path, epochs: int) -> Curve:
    """Train a small network and return the memory after steps of training."""
    from u3p_edge.pipeline.train import train

    memory = MemoryCurve(EVERY)
    train(
        data, out, progress=memory, base_width=2, size=(SIZE, SIZE), epochs=epochs, patience=0, warmup_epochs=0,
        deep_supervision=False,
    )  # fmt: skip
    return next(curve for stage, curve in memory.points.items() if stage.startswith("Train"))


def write_model(path: Path) -> Path:
    """Write an int8 file of a small network; its weights are random."""
    from u3p_edge.conversion.tflite.writer import write_tflite
    from u3p_edge.graph.fold import fold_batch_norm
    from u3p_edge.graph.inference import inference_graph
    from u3p_edge.graph.keras_io import from_keras
    from u3p_edge.latency.dummy_quantized import make_dummy_quantized
    from u3p_edge.models.config import preset
    from u3p_edge.models.unet3plus import build

    model = build(preset("paper", input_shape=(SIZE, SIZE, 1), base_width=4, deep_supervision=False))
    graph = fold_batch_norm(inference_graph(from_keras(model)).graph)
    path.write_bytes(write_tflite(make_dummy_quantized(graph), default_metadata(PREPROCESSING, 2)))
    return path


def predict_in(model: Path, images: Path, masks: Path) -> Curve:
    """Predict a folder and return the memory after images."""
    from u3p_edge.pipeline.predict import predict

    memory = MemoryCurve(EVERY)
    predict(model, [images], masks, progress=memory)
    return memory.points["Predict"]


def report(curves: Mapping[str, Curve], allowance: float, size: float, machine: str) -> str:
    """Return the report."""
    header = ("process", "steps", "MB after a fifth", "MB at the end", "highest MB", "MB a 1000 steps", "mapped files, MB")
    rows = []
    for name, curve in curves.items():
        later = curve[len(curve) // 5 :]
        steps, memory = (np.array([point[i] for point in later], float) for i in (0, 1))
        slope = 1000 * float(np.polyfit(steps, memory, 1)[0]) if len(later) > 2 else float("nan")
        highest = max(point[1] for point in curve)
        numbers = (f"{memory[0]:.1f}", f"{memory[-1]:.1f}", f"{highest:.1f}", f"{slope:+.2f}", f"{curve[-1][2]:.1f}")
        rows.append((name, str(curve[-1][0]), *numbers))
    parts = [
        "# Memory of large sets",
        f"{machine}. Images take {size:.0f} MB as arrays, and {allowance:g} MB of memory are allowed for them.",
        table(header, rows),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
