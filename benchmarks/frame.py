"""What preparing an image and restoring its mask take against Pillow's resize alone, in one run.

    python -m benchmarks.frame

Each round times the resize of the same planes (float32, one a channel, already in memory) and, next to it, what `predict`
does around the network: measure and normalise the intensities, resize, and in the end resize the probabilities and choose a
label for each pixel. Both run in one thread, whose processor time is taken: on a shared machine, waiting for a core would be
most of a time this short. Kept in benchmarks/results/<processor>/frame/: frame.json with all raw samples, report.md with the
ratios.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.environment import results_folder
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.preprocess import inputs, restore
from u3p_edge.files.atomic import write_json, write_text
from u3p_edge.latency.clock import interleave, milliseconds

NETWORK = (256, 256)
IMAGES = (
    ("RGB uint8", (480, 640), 3, np.uint8),
    ("grey uint8", (512, 512), 1, np.uint8),
    ("grey uint16", (512, 512), 1, np.uint16),
)
MASKS = (("1 channel", (512, 512), 1), ("3 channels", (480, 640), 3))


def main() -> None:
    """Time both and write the report."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    rng = np.random.default_rng(0)
    pairs = {f"prepare {name} {h}x{w}": _preparing(rng, (h, w), c, dtype) for name, (h, w), c, dtype in IMAGES}
    pairs |= {f"restore {name} to {h}x{w}": _restoring(rng, (h, w), c) for name, (h, w), c in MASKS}
    samples = {name: _time(alone, ours, rounds) for name, (alone, ours) in pairs.items()}
    environment = describe_environment()
    folder = results_folder("frame")
    kept = {name: {"resize_ms": alone, "whole_ms": ours} for name, (alone, ours) in samples.items()}
    write_json(
        folder / "frame.json",
        {"command": typed_command("frame"), "environment": dataclasses.asdict(environment), "samples": kept},
    )
    text = _report(samples)
    write_text(folder / "report.md", text)
    print(text)


def _preparing(
    rng: np.random.Generator, size: tuple[int, int], channels: int, dtype: type
) -> tuple[Callable[[], object], Callable[[], object]]:
    image = rng.integers(0, np.iinfo(dtype).max, (*size, channels), dtype)
    planes = [Image.fromarray(image[:, :, k].astype(np.float32)) for k in range(channels)]
    preprocessing = Preprocessing(*NETWORK, channels)
    return (
        lambda: [plane.resize(NETWORK[::-1], Image.Resampling.BILINEAR) for plane in planes],
        lambda: list(inputs(image, preprocessing)),
    )


def _restoring(
    rng: np.random.Generator, size: tuple[int, int], channels: int
) -> tuple[Callable[[], object], Callable[[], object]]:
    probabilities: npt.NDArray[np.float32] = rng.random((*NETWORK, channels), np.float32)
    planes = [Image.fromarray(np.ascontiguousarray(probabilities[:, :, k])) for k in range(channels)]
    preprocessing = Preprocessing(*NETWORK)
    return (
        lambda: [plane.resize(size[::-1], Image.Resampling.BILINEAR) for plane in planes],
        lambda: restore(iter([(probabilities,)]), size, preprocessing),
    )


def _time(alone: Callable[[], object], ours: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds of processor time of both in each round, after one that is not kept."""
    candidates = [partial(milliseconds, call, time.thread_time_ns) for call in (alone, ours)]
    first, second = interleave(candidates, lambda done: len(done) <= rounds).samples
    return list(first[1:]), list(second[1:])


def _report(samples: dict[str, tuple[list[float], list[float]]]) -> str:
    lines = [
        "# Preparing and restoring against Pillow's resize alone", "",
        "Medians in milliseconds of processor time; the ratio is that of each round, with its 95 % bootstrap interval.", "",
        "| what | resize alone | whole step | times |", "|---|---:|---:|---:|",
    ]  # fmt: skip
    for name, (alone, ours) in samples.items():
        times = ratio(ours, alone)
        lines.append(
            f"| {name} | {np.median(alone):.2f} | {np.median(ours):.2f} | "
            f"{times.estimate:.2f} ({times.low:.2f}–{times.high:.2f}) |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
