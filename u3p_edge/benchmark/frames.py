"""Time of a whole frame for several sessions side by side: prepare an image, run the network, restore the mask."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from u3p_edge.benchmark.result import Frames
from u3p_edge.benchmark.timing import MINIMUM_ROUNDS
from u3p_edge.config import Preprocessing
from u3p_edge.data.fit_notes import Original
from u3p_edge.progress import Step, idle
from u3p_edge.runtime.base import Session
from u3p_edge.runtime.segment import predict_frame


def time_frames(
    sessions: Sequence[Session],
    pixels: npt.NDArray[np.uint8],
    threads: int,
    *,
    rounds: int,
    seconds: float = float("inf"),
    step: Step = idle,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> tuple[Frames, ...]:
    """Time whole frames with each session, one sample per round; sessions take turns, starting with another in each round.

    Args:
        sessions: sessions with the same preprocessing.
        pixels: uint8 [H, W, C], in memory: reading a file is not part of a frame.
        threads: number of threads of the sessions.
        rounds: number of rounds at most, after one warm-up round that is discarded.
        seconds: no further round starts after this long, once there are `MINIMUM_ROUNDS`.
        step: called after each round.
        clock: returns nanoseconds that never decrease.
    """
    kept: list[list[tuple[float, float, float]]] = [[] for _ in sessions]
    for session in sessions:
        predict_frame(session, pixels)
    begin = clock()
    for number in range(rounds):
        if number >= MINIMUM_ROUNDS and clock() - begin >= seconds * 1e9:
            break
        for turn in range(len(sessions)):
            which = (turn + number) % len(sessions)
            frame = predict_frame(sessions[which], pixels, clock)
            kept[which].append((frame.prepare_ms, frame.network_ms, frame.restore_ms))
        step()
    size = (pixels.shape[0], pixels.shape[1])
    return tuple(Frames(threads, size, *zip(*samples, strict=True)) for samples in kept)


def frame_pixels(originals: Sequence[Original], preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """Return an image uint8 [H, W, C] of the most common size in the data, or of the network's input size without data.

    Its content does not matter for the time, so it is noise.
    """
    sizes = Counter(original.size for original in originals)
    size = sizes.most_common(1)[0][0] if sizes else (preprocessing.height, preprocessing.width)
    return np.random.default_rng(0).integers(0, 256, (*size, preprocessing.channels), np.uint8)
