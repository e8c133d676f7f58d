"""`predict` of a video: a mask for every frame, the overlay as a video, and the rate at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import Program, refusal
from u3p_edge.data.video import open_video, write_video

pytest.importorskip("imageio_ffmpeg")

SIZE = (40, 50)


def film(path: Path, frames: int) -> Path:
    """A bright bar on black that moves by two pixels a frame."""
    with write_video(path, SIZE, 10) as append:
        for index in range(frames):
            append(frame(index))
    return path


def frame(index: int) -> np.ndarray:
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[:, 2 * index + 4 : 2 * index + 20] = 230
    return pixels


def test_every_frame_gets_its_mask_and_the_overlay_is_a_video(program: Program, threshold: Path, tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4", 6)
    Image.fromarray(frame(0)).save(tmp_path / "still.png")
    done = program("predict", threshold, clip, tmp_path / "still.png", "--out", tmp_path / "out", "--overlay")
    assert done.code == 0, done.err
    names = ["clip", "clip_overlay.mp4", "still.png", "still_overlay.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    masks = sorted((tmp_path / "out" / "clip").iterdir())
    assert [path.name for path in masks] == [f"clip_f{index:06}.png" for index in range(6)]
    for index, path in enumerate(masks):
        mask = np.asarray(Image.open(path))
        # The network thresholds at 76.5; compression moves the bar's edges by less than two pixels.
        inner, outer = slice(2 * index + 6, 2 * index + 18), np.r_[: 2 * index + 2, 2 * index + 22 : SIZE[1]]
        assert (mask[:, inner] == 255).all()
        assert (mask[:, outer] == 0).all()
    assert "6 masks of 40x50 in" in " ".join(done.out.split())
    assert "frames a second, with decoding and writing" in " ".join(done.out.split())
    with open_video(tmp_path / "out" / "clip_overlay.mp4") as video:
        painted = list(video.frames)
        assert (video.size, video.rate, len(painted)) == (SIZE, 10, 6)
    bar = painted[3][:, 12:24].astype(int)
    assert np.ptp(bar, axis=2).mean() > 50, "the mask is in colour"
    assert np.ptp(painted[3][:, 40:].astype(int), axis=2).mean() < 10, "what is background is as it was"


def test_a_damaged_video_keeps_its_masks_and_is_listed(program: Program, threshold: Path, tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mkv", 60)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    (tmp_path / "text.mp4").write_text("no video")
    done = program("predict", threshold, clip, tmp_path / "text.mp4", "--out", tmp_path / "out")
    assert done.code == 1
    masks = list((tmp_path / "out" / "clip").iterdir())
    text = " ".join(done.err.split())
    assert 0 < len(masks) < 60
    assert f"damaged or cut short: {len(masks)} frames could be decoded" in text
    assert "text.mp4 is not a video that can be read" in text
    assert "text.mp4 is not a video" in refusal(program("predict", threshold, tmp_path / "text.mp4", "--out", tmp_path / "o"))


def test_two_videos_of_one_stem_and_a_missing_one(program: Program, threshold: Path, tmp_path: Path) -> None:
    clips = [film(tmp_path / f"clip.{suffix}", 2) for suffix in ("mp4", "mkv")]
    assert program("predict", threshold, *clips, "--out", tmp_path / "out").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip.mkv", "clip.mp4"]
    assert "absent.mp4 does not exist" in refusal(
        program("predict", threshold, tmp_path / "absent.mp4", "--out", tmp_path / "o")
    )
    over = film(tmp_path / "clip_overlay.mp4", 1)
    message = refusal(program("predict", threshold, clips[1], over, "--out", tmp_path, "--overlay"))
    assert "the overlay would replace the video" in message
