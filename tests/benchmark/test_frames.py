"""Whole frames are timed in turn, and their images are like those of the data."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.small_artifacts import Zoo
from u3p_edge.benchmark.frames import frame_pixels, time_frames
from u3p_edge.benchmark.result import Frames
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.fit_notes import Original
from u3p_edge.errors import ConfigError
from u3p_edge.runtime import open_session


def test_a_frame_has_the_size_of_most_images() -> None:
    originals = [Original((40, 50)), Original((640, 480)), Original((640, 480))]
    pixels = frame_pixels(originals, Preprocessing(16, 32, 3))
    assert (pixels.shape, pixels.dtype) == ((640, 480, 3), np.uint8)
    assert frame_pixels((), Preprocessing(16, 32)).shape == (16, 32, 1)


@pytest.mark.parametrize(("seconds", "rounds"), [(float("inf"), 7), (0, 5)])
def test_every_session_has_one_sample_a_round(zoo: Zoo, seconds: float, rounds: int) -> None:
    sessions = [open_session(zoo.path(kind)) for kind in ("int8.tflite", "float32.tflite")]
    pixels = frame_pixels((), sessions[0].metadata.preprocessing)
    advanced: list[int] = []
    actual = time_frames(sessions, pixels, 1, rounds=7, seconds=seconds, step=lambda *_: advanced.append(1))
    assert len(advanced) == rounds
    for frames in actual:
        assert (frames.threads, frames.size) == (1, (48, 64))
        assert len(frames.prepare_ms) == rounds
        assert min(*frames.prepare_ms, *frames.network_ms, *frames.restore_ms) > 0


@pytest.mark.parametrize("parts", [((), (), ()), ((1.0,), (1.0, 2.0), (1.0,)), ((-1.0,), (1.0,), (1.0,))])
def test_times_that_are_no_measurement_are_refused(parts: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(ConfigError, match="frame"):
        Frames(1, (48, 64), *parts)
