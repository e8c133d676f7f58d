"""Time of a whole frame for several sessions side by side: prepare an image, run the network, restore the mask."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from u3p_edge.benchmark.result import Frames
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.fit_notes import Original
from u3p_edge.latency.clock import Clock, interleave
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
    clock: Clock = time.perf_counter_ns,
) -> tuple[Frames, ...]:
    """Time whole frames with each session, one sample per round; sessions take turns, see `interleave`.

    Args:
        sessions: sessions with the same preprocessing.
        pixels: uint8 [H, W, C], in memory: reading a file is not part of a frame.
        threads: number of threads of the sessions.
        rounds: number of rounds at most, after one warm-up round that is discarded.
        seconds: no further round starts after this long, once there are `MINIMUM_ROUNDS`.
        step: called after each round.
        clock: see `Clock`.
    """
    for session in sessions:
        predict_frame(session, pixels)
    taken = interleave(
        [partial(_sample, session, pixels, clock) for session in sessions],
        lambda done: len(done) < rounds,
        seconds=seconds,
        clock=clock,
        step=step,
    ).samples
    size = (pixels.shape[0], pixels.shape[1])
    return tuple(Frames(threads, size, *zip(*samples, strict=True)) for samples in taken)


def _sample(session: Session, pixels: npt.NDArray[np.uint8], clock: Clock) -> tuple[float, float, float]:
    frame = predict_frame(session, pixels, clock)
    return frame.prepare_ms, frame.network_ms, frame.restore_ms


def frame_pixels(originals: Sequence[Original], preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """Return an image uint8 [H, W, C] of the most common size in the data, or of the network's input size without data.

    Its content does not matter for the time, so it is noise.
    """
    sizes = Counter(original.size for original in originals)
    size = sizes.most_common(1)[0][0] if sizes else (preprocessing.height, preprocessing.width)
    return np.random.default_rng(0).integers(0, 256, (*size, preprocessing.channels), np.uint8)
