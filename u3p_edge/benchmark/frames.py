"""The time of a whole frame, side by side: an image is prepared, the network runs, and the mask is restored."""

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
from u3p_edge.runtime.base import Session
from u3p_edge.runtime.segment import predict_frame


def time_frames(
    sessions: Sequence[Session],
    pixels: npt.NDArray[np.uint8],
    threads: int,
    *,
    rounds: int,
    seconds: float = float("inf"),
    advance: Callable[[], object] = lambda: None,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> tuple[Frames, ...]:
    """Times of each session, one sample a round; the sessions take turns, beginning with another one in each round.

    Args:
        sessions: all with one preprocessing.
        pixels: uint8 [H, W, C], in memory: reading a file is not part of a frame.
        threads: of the sessions.
        rounds: how many at most, after one that is not kept.
        seconds: no further round starts after this long, once there are `MINIMUM_ROUNDS`.
        advance: called after each round.
        clock: in nanoseconds, rising.
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
        advance()
    size = (pixels.shape[0], pixels.shape[1])
    return tuple(Frames(threads, size, *zip(*samples, strict=True)) for samples in kept)


def frame_pixels(originals: Sequence[Original], preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """An image uint8 [H, W, C] of the size that most of the data has, or of the network's without data.

    What it shows does not matter to the time, so it is noise.
    """
    sizes = Counter(original.size for original in originals)
    size = sizes.most_common(1)[0][0] if sizes else (preprocessing.height, preprocessing.width)
    return np.random.default_rng(0).integers(0, 256, (*size, preprocessing.channels), np.uint8)
