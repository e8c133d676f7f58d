"""Frames of a camera, named `camera:DEVICE`, read by ffmpeg as those of a video.

Linux      camera:/dev/video0     a device of Video4Linux
macOS      camera:0               a number or name of AVFoundation
Windows    camera:NAME            a name of DirectShow
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.data.video import VideoInput, VideoStream, open_stream
from u3p_edge.errors import DataError

PREFIX = "camera:"

_MEND = "Is it connected, allowed for this program, and in no other program's use?"


def is_camera(path: Path) -> bool:
    """Return whether a path is the name of a camera."""
    return str(path).startswith(PREFIX)


def camera_stem(path: Path) -> str:
    """Return a stem for the files of a camera.

    >>> camera_stem(Path("camera:/dev/video0"))
    'camera_dev_video0'
    """
    return re.sub(r"\W+", "_", str(path)).rstrip("_")


def camera_input(path: Path, platform: str = sys.platform) -> VideoInput:
    """Return how ffmpeg opens a camera.

    Args:
        path: `camera:DEVICE`.
        platform: as `sys.platform`.

    Raises:
        DataError: no device is named, or ffmpeg has no input for cameras on this platform.
    """
    device = str(path).removeprefix(PREFIX)
    if not device:
        raise DataError(f"{path} names no device", mend="Give for example camera:/dev/video0.")
    kinds = {"linux": ("v4l2", device), "darwin": ("avfoundation", f"{device}:none"), "win32": ("dshow", f"video={device}")}
    if platform not in kinds:
        raise DataError(f"{path}: cameras are not read on {platform}", mend="Record a video, and predict that.")
    kind, url = kinds[platform]
    return VideoInput(path, ("-f", kind), url, _MEND)


@contextlib.contextmanager
def open_camera(path: Path, max_pixels: int = MAX_PIXELS) -> Iterator[VideoStream]:
    """Read a camera, whose frames have no end. Arguments and errors as `camera_input` and `video.open_stream`."""
    with open_stream(camera_input(path), max_pixels) as stream:
        yield stream
