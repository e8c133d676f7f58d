"""`u3p-edge predict`: masks of new images, at their own size, from an exported file. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from u3p_edge.cli.data_import import AxisName
from u3p_edge.cli.terminal import print_table, say
from u3p_edge.config.limits import MAX_MEMORY_MB, MAX_THREADS
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.errors import DataError
from u3p_edge.label_values import describe_values
from u3p_edge.scans.options import MAX_VOXELS, ScanOptions, parse_window

if TYPE_CHECKING:
    from u3p_edge.config.metadata import Metadata
    from u3p_edge.pipeline.predictions import Failed, Predicted, PredictedVideo

SOME_FAILED = 1
"""Exit code where at least one of the images has no mask."""


def predict(
    model: Annotated[
        Path,
        typer.Argument(help="A .tflite or .onnx file made by `u3p-edge export`, or its run folder: int8 if there, else float."),
    ],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Files of images, NIfTI scans and videos, folders of the first two and of DICOM series, camera:DEVICE."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the masks; made if it is not there.")] = Path(
        "predicted-masks"
    ),
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Take the folders inside a folder too.")] = False,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write the mask painted over the image or video.")] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, max=MAX_THREADS, help="Threads of the runtime; all cores if not given.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames of a video to take, from the first; a camera needs it, having no last.")
    ] = None,
    max_pixels: Annotated[int, typer.Option(min=1, help="Pixels (height x width) that an image may have.")] = MAX_PIXELS,
    max_voxels: Annotated[int, typer.Option(min=1, help="Voxels that a scan may have.")] = MAX_VOXELS,
    max_memory_mb: Annotated[
        int,
        typer.Option(min=1, help="Refuse a file that would take more memory; a small one can ask for gigabytes."),
    ] = MAX_MEMORY_MB,
    axis: Annotated[
        AxisName | None,
        typer.Option(help="Slices that a scan is cut into; needed where the file does not record those of its training."),
    ] = None,
    channel: Annotated[str | None, typer.Option(help="Channel or time point of a scan with several, from 0.")] = None,
    series: Annotated[str | None, typer.Option(help="One series of a DICOM folder with several: its name or its UID.")] = None,
    window: Annotated[
        str,
        typer.Option(metavar="CENTER,WIDTH", help="Show DICOM images through the window that the network was trained with."),
    ] = "",
    segment_codes: Annotated[
        Path | None, typer.Option(help="TOML file with the coded concepts of the classes in DICOM segmentations.")
    ] = None,
) -> None:
    """Segment images: writes OUT/<stem>.png with class indices as pixel values (a binary model: 0 and 255).

    The model file knows its preprocessing and classes, so nothing else has to be given. Each mask has the size of its image; an
    image larger than a network that pads is predicted in overlapping tiles. A NIfTI scan is predicted slice by slice, and its
    mask is OUT/<name> with class indices on the scan's voxels, in the same orientation. Each series of a DICOM folder gets a
    DICOM segmentation. A network of several slices takes scans, and the images of a folder that `data import` made. An image
    that cannot be read is listed at the end, and the others are done. Exit code 0: all masks are written. 1: some images
    failed. 2: bad input.

        u3p-edge predict exported scan.png --out masks --overlay

        u3p-edge predict model.int8.tflite scans --recursive

        u3p-edge predict exported scan.nii.gz --out masks

    Of a video it writes OUT/<stem>/<stem>_f000000.png and so on, and with --overlay the video OUT/<stem>_overlay.mp4:

        u3p-edge predict exported clip.mp4 --out masks --overlay

        u3p-edge predict exported camera:/dev/video0 --frames 300 --out masks
    """
    from u3p_edge.cli.progress import stages
    from u3p_edge.pipeline.predict import predict as write_masks
    from u3p_edge.pipeline.predict import prediction_notes

    with stages() as progress:
        done = write_masks(
            model,
            images,
            out,
            overlay=overlay,
            recursive=recursive,
            threads=threads,
            frames=frames,
            max_pixels=max_pixels,
            max_memory_mb=max_memory_mb,
            scan_options=ScanOptions(
                axis.value if axis else None, channel, max_voxels, series, parse_window(window), segment_codes=segment_codes
            ),
            progress=progress,
        )
    inputs = (*done.results, *done.videos)
    if done.failed and len(inputs) == 1 and isinstance(inputs[0], type(done.failed[0])):
        raise DataError(done.failed[0].reason)
    if done.results:
        _report(done.predicted, out, done.metadata)
    for video in done.videos:
        _report_video(video, done.metadata)
    if done.model != model:
        say(f"Model: {done.model}")
    for note in prediction_notes(inputs, done.metadata):
        say(f"Note: {note}")
    if done.failed:
        _list_failures(done.failed, len(inputs))
        raise typer.Exit(SOME_FAILED)


def _report(done: Sequence[Predicted], out: Path, metadata: Metadata) -> None:
    from u3p_edge.report.frames import HEADER, frame_rows

    say(f"{len(done)} mask{'s' if len(done) != 1 else ''} in {out}: {_key(metadata)}")
    if done:
        rows = frame_rows([r.prepare_ms for r in done], [r.network_ms for r in done], [r.restore_ms for r in done])
        print_table(HEADER, rows, title="Time of an image or slice, without reading and writing files")


def _report_video(done: PredictedVideo | Failed, metadata: Metadata) -> None:
    from u3p_edge.pipeline.predictions import PredictedVideo
    from u3p_edge.report.frames import HEADER, frame_rows
    from u3p_edge.text import three_digits

    if not isinstance(done, PredictedVideo):
        return
    size, rate = "x".join(map(str, done.size)), three_digits(done.frames / done.seconds)
    say(f"{done.frames} masks of {size} in {done.folder}: {_key(metadata)}")
    say(f"{rate} frames a second, with decoding and writing ({done.seconds:.1f} s)")
    rows = frame_rows(done.prepare_ms, done.network_ms, done.restore_ms)
    print_table(HEADER, rows, title=f"Time of a frame of {done.video.name}, without decoding and writing")


def _list_failures(failed: Sequence[Failed], images: int) -> None:
    say(f"{len(failed)} of {images} images failed:", stderr=True)
    for one in failed:
        # Most reasons name their file already.
        text = one.reason if str(one.image) in one.reason else f"{one.image}: {one.reason}"
        say(f"  {text}", stderr=True)


def _key(metadata: Metadata) -> str:
    """What a pixel's value means, e.g. "0 background, 1 left"."""
    if metadata.labels == 2:
        return ", ".join(f"{value} {name}" for value, name in zip((0, 255), metadata.class_names, strict=True))
    return describe_values(metadata.class_names, metadata.multi_label)
