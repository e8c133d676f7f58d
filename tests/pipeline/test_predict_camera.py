"""`predict` of a camera: so many frames as asked for, by the same reader as those of a video.

There is no camera here: ffmpeg's own test picture, which has no end either, takes the place of the device.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import Program, refusal
from u3p_edge.data import camera
from u3p_edge.data.camera import camera_input, camera_stem
from u3p_edge.data.video import VideoInput, open_video, write_video
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.pipeline.predict import predict
from u3p_edge.pipeline.predictions import Failed, PredictedVideo

pytest.importorskip("imageio_ffmpeg")

DEVICE = "camera:/dev/video0"


@pytest.fixture
def endless_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A white bar on black, without end, that takes the place of the device."""
    picture = "color=black:size=64x48:rate=10,drawbox=x=16:y=0:w=24:h=48:color=white:t=fill"
    monkeypatch.setattr(camera, "camera_input", lambda path: VideoInput(path, ("-f", "lavfi"), picture, ""))


@pytest.mark.usefixtures("endless_picture")
def test_as_many_frames_as_asked_for(threshold: Path, tmp_path: Path) -> None:
    done = predict(threshold, [DEVICE], tmp_path, frames=5, overlay=True)
    (video,) = done.videos
    assert isinstance(video, PredictedVideo)
    assert (video.size, video.frames) == ((48, 64), 5)
    masks = sorted((tmp_path / "camera_dev_video0").iterdir())
    assert [path.name for path in masks] == [f"camera_dev_video0_f{index:06}.png" for index in range(5)]
    expected = np.zeros((48, 64), np.uint8)
    expected[:, 16:40] = 255
    for path in masks:
        np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)
    with open_video(tmp_path / "camera_dev_video0_overlay.mp4") as overlay:
        assert (overlay.size, overlay.rate, len(list(overlay.frames))) == ((48, 64), 10, 5)
    with pytest.raises(ConfigError, match=r"camera:/dev/video0 has no last frame.*--frames 300"):
        predict(threshold, [DEVICE], tmp_path)


@pytest.mark.usefixtures("endless_picture")
def test_frames_that_are_too_large(threshold: Path, tmp_path: Path) -> None:
    (failed,) = predict(threshold, [DEVICE], tmp_path, frames=1, max_pixels=3071).videos
    assert isinstance(failed, Failed)
    assert "camera:/dev/video0 has 48x64 = 3,072 pixels" in failed.reason


def test_a_camera_that_is_not_there(program: Program, threshold: Path, tmp_path: Path) -> None:
    done = program("predict", threshold, "camera:/dev/no-camera", "--frames", 3, "--out", tmp_path / "out")
    assert "camera:/dev/no-camera is not a video that can be read" in refusal(done)
    assert "Is it connected" in refusal(done)


def test_how_a_camera_is_opened_on_each_platform() -> None:
    opened = {p: camera_input(Path("camera:0"), p) for p in ("linux", "darwin", "win32")}
    assert {p: (*one.options, one.url) for p, one in opened.items()} == {
        "linux": ("-f", "v4l2", "0"), "darwin": ("-f", "avfoundation", "0:none"), "win32": ("-f", "dshow", "video=0"),
    }  # fmt: skip
    with pytest.raises(DataError, match="cameras are not read on plan9"):
        camera_input(Path("camera:0"), "plan9")
    with pytest.raises(DataError, match="camera: names no device"):
        camera_input(Path("camera:"))
    assert camera_stem(Path("camera:FaceTime HD")) == "camera_FaceTime_HD"


def test_the_first_frames_of_a_video(threshold: Path, tmp_path: Path) -> None:
    with write_video(tmp_path / "clip.mp4", (48, 64), 10) as append:
        for _ in range(6):
            append(np.zeros((48, 64, 3), np.uint8))
    predict(threshold, [tmp_path / "clip.mp4"], tmp_path / "out", frames=2)
    assert len(list((tmp_path / "out" / "clip").iterdir())) == 2
