"""Read and write videos one frame at a time, by the program ffmpeg that the package imageio-ffmpeg brings along.

It runs as a process of its own, so a damaged video cannot take this one down. It opens that one file and no address or further
file that is named in it, and decodes only containers of `CONTAINERS`.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from u3p_edge.data.file_errors import check_regular
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.data.picture_file import check_pixels
from u3p_edge.errors import EXTRAS, ArtifactError, DataError, missing_package, require_packages

RgbFrame = npt.NDArray[np.uint8]

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,gif"
"""Names that ffmpeg has for the formats of files that are read."""

USUAL_RATE = 25.0
"""Frames a second of a video that does not say."""

LOWEST_RATE = 0.01
"""Frames a second at least, since ffmpeg is given two decimals."""

_INPUT = ("-protocol_whitelist", "file", "-format_whitelist", CONTAINERS)

_SHOWN = 300
"""Characters of ffmpeg's messages that an error shows at most."""


@dataclass(frozen=True)
class VideoInput:
    """What ffmpeg reads, and how it opens it.

    Args:
        path: of a file, or the name of a device, for messages.
        options: before `-i`.
        url: after it.
        mend: what to do where nothing can be read.
    """

    path: Path
    options: tuple[str, ...]
    url: str
    mend: str


@dataclass(frozen=True)
class VideoStream:
    """A video that is being read.

    Args:
        size: (height, width) of a frame, upright.
        rate: frames a second; 0 where the file does not say.
        expected: number of frames by the file's duration, which may be off by a few; 0 where it does not say.
        frames: uint8 [height, width, 3], RGB, in order. Raises DataError where decoding ends early.
    """

    size: tuple[int, int]
    rate: float
    expected: int
    frames: Iterator[RgbFrame]


@contextlib.contextmanager
def open_video(path: Path, max_pixels: int = MAX_PIXELS) -> Iterator[VideoStream]:
    """Read a video. One frame is in memory at a time.

    Args:
        path: of a file.
        max_pixels: height x width that a frame may have.

    Raises:
        DataError: the file is missing, no video, damaged, or its frames are too large; the message names it.
        MissingPackageError: imageio-ffmpeg is not installed.
    """
    check_regular(path)
    with open_stream(VideoInput(path, _INPUT, f"file:{path}", "Convert it to MP4 (H.264)."), max_pixels) as stream:
        yield stream


@contextlib.contextmanager
def open_stream(source: VideoInput, max_pixels: int = MAX_PIXELS) -> Iterator[VideoStream]:
    """Read whatever ffmpeg can open. One frame is in memory at a time; errors as `open_video`.

    Args:
        source: from a caller that lets it reach nothing else.
        max_pixels: height x width that a frame may have.
    """
    program = _find_ffmpeg("reading videos")
    meta = _read_meta(source)
    width, height = meta["size"]
    check_pixels((width, height), max_pixels, source.path)
    output = ["-v", "error", "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    command = [program, "-nostdin", *source.options, "-i", source.url, *output]
    with tempfile.TemporaryFile() as log, _run(command, log) as process:
        rate = float(meta["fps"] or 0)
        expected = round(rate * float(meta["duration"] or 0))
        yield VideoStream((height, width), rate, expected, _frames(process, log, (height, width), source))


@contextlib.contextmanager
def write_video(path: Path, size: tuple[int, int], rate: float) -> Iterator[Callable[[RgbFrame], None]]:
    """Give a function that appends a frame, uint8 [height, width, 3], to a new MP4 file (H.264).

    A frame of odd height or width is enlarged by a pixel, as H.264 needs it.

    Args:
        path: of the file.
        size: (height, width) of the frames.
        rate: frames a second; 0 for `USUAL_RATE`.

    Raises:
        ArtifactError: it cannot be written. MissingPackageError: imageio-ffmpeg is not installed.
    """
    _find_ffmpeg("writing videos")
    from imageio_ffmpeg import write_frames

    writer = write_frames(
        f"file:{path}", (size[1], size[0]), fps=max(rate or USUAL_RATE, LOWEST_RATE), codec="libx264", macro_block_size=1,
        ffmpeg_log_level="error", output_params=["-vf", "scale=ceil(iw/2)*2:ceil(ih/2)*2"],
    )  # fmt: skip
    try:
        next(writer)
        yield writer.send
        writer.close()
        if not path.is_file() or not path.stat().st_size:  # ffmpeg has said why on standard error
            raise OSError("nothing was written")
    except OSError as error:
        reason = _last_error(str(error), f"file:{path}")
        raise ArtifactError(
            f"{path} cannot be written ({reason})", mend="Is the disk full? Give another --out folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            writer.close()


def _find_ffmpeg(needed_by: str) -> str:
    """Return the path of ffmpeg. Raises MissingPackageError."""
    with require_packages(needed_by):
        from imageio_ffmpeg import get_ffmpeg_exe
    try:
        return str(get_ffmpeg_exe())
    except RuntimeError as error:
        raise missing_package("ffmpeg", needed_by, EXTRAS["imageio_ffmpeg"]) from error


def _read_meta(source: VideoInput) -> dict[str, Any]:
    """Return what ffmpeg says of a video before its first frame."""
    from imageio_ffmpeg import read_frames

    reader = read_frames(source.url, input_params=list(source.options), output_params=["-frames:v", "1"])
    try:
        meta = dict(next(reader))
        if (
            not all(isinstance(n, int) and n > 0 for n in meta["size"])
            or not 0 <= meta["fps"] < 1e6
            or not 0 <= meta["duration"] < 1e9
        ):
            raise ValueError("no size of its frames")
    # The log of ffmpeg is parsed there, which nearly any exception leaves for an unusual one.
    except Exception as error:
        reason = _last_error(str(error), source.url)
        raise DataError(f"{source.path} is not a video that can be read ({reason})", mend=source.mend) from error
    finally:
        reader.close()
    return meta


@contextlib.contextmanager
def _run(command: list[str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Run ffmpeg while the block lasts."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _frames(process: subprocess.Popen[bytes], log: IO[bytes], size: tuple[int, int], source: VideoInput) -> Iterator[RgbFrame]:
    """Yield the frames that ffmpeg decodes; DataError at the end where it reports an error."""
    length, count, data = size[0] * size[1] * 3, 0, b""
    while process.stdout and len(data := process.stdout.read(length)) == length:
        count += 1
        yield np.frombuffer(data, np.uint8).reshape(*size, 3)
    code = process.wait()
    log.seek(0)
    messages = log.read(10_000).decode(errors="replace")
    if data or code or messages.strip() or not count:
        raise DataError(
            f"{source.path} is damaged or cut short: {count} frames could be decoded, and ffmpeg says: "
            f"{_last_error(messages, source.url)}",
            mend="Copy it again from where it came, or convert it anew.",
        )


def _last_error(text: str, url: str) -> str:
    """Return the last line of ffmpeg's messages that says something, without its addresses in memory."""
    lines = [line.split("] ")[-1].replace(url, "").strip(" :") for line in text.splitlines() if line.strip()]
    return lines[-1][:_SHOWN] if lines else "no frame"
