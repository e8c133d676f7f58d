"""Videos are read frame by frame, and what is none, or ends early, is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.missing_packages import run_without
from u3p_edge.data.video import open_video, write_video
from u3p_edge.errors import ArtifactError, DataError

pytest.importorskip("imageio_ffmpeg")

STEP = 20


def film(path: Path, frames: int, size: tuple[int, int] = (32, 48), rate: float = 12.5) -> Path:
    """A video whose frames are of one grey level each, `STEP` brighter than the one before, in noise of the same everywhere."""
    noise = np.random.default_rng(0).integers(0, 9, (*size, 1), np.uint8)
    with write_video(path, size, rate) as append:
        for index in range(frames):
            append(np.repeat(noise + np.uint8(STEP * index % 240), 3, axis=2))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "MKV", "avi"])
def test_every_frame_is_read_in_order(tmp_path: Path, suffix: str) -> None:
    with open_video(film(tmp_path / f"a b.{suffix}", 7)) as video:
        assert (video.size, video.rate, video.expected) == ((32, 48), 12.5, 7)
        means = [float(frame.mean()) for frame in video.frames]
    # H.264 at this quality keeps the mean of a frame to a few levels; neighbours are 20 apart.
    assert [round(mean / STEP) for mean in means] == list(range(7))


def test_a_frame_of_odd_size_is_written_and_a_rate_that_is_not_known_is_a_usual_one(tmp_path: Path) -> None:
    with open_video(film(tmp_path / "a.mp4", 2, size=(31, 47), rate=0)) as video:
        assert (video.size, video.rate) == ((32, 48), 25)


def test_what_is_no_video_is_refused_by_name(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", 3).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nfile://{tmp_path}/whole.mp4\n")
    cases = {
        "cut.mp4": "is not a video that can be read",
        "text.mp4": "is not a video that can be read",
        "list.mp4": "is not a video that can be read",  # it names another file, which must not be opened
        "empty.mp4": "is an empty file",
        "absent.mp4": "does not exist",
    }
    for name, symptom in cases.items():
        with pytest.raises(DataError, match=symptom) as caught, open_video(tmp_path / name):
            pass
        assert name in caught.value.symptom
    with (
        pytest.raises(DataError, match="32x48 = 1,536 pixels, more than the limit of 1,535"),
        open_video(tmp_path / "whole.mp4", 1535),
    ):
        pass


def test_a_video_that_ends_early_gives_its_frames_and_then_the_reason(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    frames: list[np.ndarray] = []
    with (
        open_video(path) as video,
        pytest.raises(DataError, match=r"a\.mkv is damaged or cut short: \d+ frames could be decoded"),
    ):
        frames.extend(video.frames)
    assert 0 < len(frames) < 60


def test_a_video_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"absent/a\.mp4 cannot be written"):
        film(tmp_path / "absent" / "a.mp4", 2000)


def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    code = "from u3p_edge.data.video import open_video\nfrom pathlib import Path\nwith open_video(Path('a.mp4')): pass"
    done = run_without(("imageio_ffmpeg",), code, tmp_path)
    assert (
        "imageio_ffmpeg is not installed, and reading videos needs it. Run: python -m pip install 'u3p-edge[video]'"
        in done.stderr
    )
