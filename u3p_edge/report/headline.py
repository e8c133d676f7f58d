"""The first line of a report: verdict, loss, speed and size of the int8 network, for a reader who has ten seconds."""

from __future__ import annotations

from u3p_edge.benchmark.loss_check import FEWEST_GROUPS, LossCheck, describe_bounds, describe_verdict
from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.report.loss import bounds_of, loss_of
from u3p_edge.report.speed import describe_speed

SPLITS = {"test": "test", "val": "validation"}
"""What a sentence calls a split."""


def headline(result: RunResult) -> str:
    """Return one or two sentences: the verdict on the validation split, and the figures of the images of the report.

    The file is the int8 one of the reference's runtime, else the first int8 file. `**` is around what is bold.

    Returns:
        Empty if there is no int8 file, or nothing that it can be compared with.
    """
    reference, int8 = result.get(result.reference), choose_int8(result)
    if reference is None or int8 is None or int8 == reference:
        return ""
    size = f"has {_share(int8.bytes, reference.bytes)} the size"
    parts = [*_loss(result, reference, int8), *_speed(result, reference, int8)]
    figures = f"int8 {', '.join(parts)}{' and ' if parts else ''}{size}."
    return figures if result.loss_check is None else f"{_verdict(result.loss_check)} {figures}"


def choose_int8(result: RunResult) -> ArtifactResult | None:
    """Return the int8 file that the first line is about: of the reference's runtime if there is one, else the first."""
    reference = result.get(result.reference)
    runtime = "" if reference is None else reference.format.partition("-")[0]
    files = [a for a in result.artifacts if a.format.endswith("-int8")]
    return next((a for a in files if a.format.startswith(f"{runtime}-")), next(iter(files), None))


def count_images(images: int, groups: int) -> str:
    """Return for example "80 images, 20 groups", or "80 images" where each is a group of its own."""
    inside = "" if groups == images else f", {groups} group{'' if groups == 1 else 's'}"
    return f"{images} image{'' if images == 1 else 's'}{inside}"


def _verdict(check: LossCheck) -> str:
    words = describe_verdict(check)
    images = count_images(check.images, check.groups)
    if check.loss is None or check.groups < FEWEST_GROUPS:
        basis = f"{images}, too few"
    else:
        basis = f"95 % {describe_bounds(check.loss)}, {images}"
    return f"**{words[0].upper()}{words[1:]}** of validation Dice ({basis})."


def _loss(result: RunResult, reference: ArtifactResult, int8: ArtifactResult) -> list[str]:
    before, after = (None if a.accuracy is None else a.accuracy.mean_dice for a in (reference, int8))
    if before is None or after is None or result.data is None:
        return []
    lost, loss = 100 * (before - after), loss_of(result, int8)
    bounds = "" if loss is None else bounds_of(loss, int8)
    images = count_images(result.data.images, result.data.groups)
    basis = ", ".join(part for part in (f"95 % {bounds}" if bounds else "", images) if part)
    split = SPLITS.get(result.data.split, result.data.split)
    return [f"{'gains' if round(lost, 2) < 0 else 'loses'} {abs(lost):.2f} points of {split} Dice ({basis})"]


def _speed(result: RunResult, reference: ArtifactResult, int8: ArtifactResult) -> list[str]:
    runtime, _, number = reference.format.partition("-")
    name = f"{number} {'TFLite' if runtime == 'tflite' else runtime.upper()}"
    phrase = describe_speed(int8, reference, name, min(result.threads)) if result.threads else ""
    return [phrase] if phrase else []


def _share(part: int, whole: int) -> str:
    """Return the share of a size in words: "1/43 of", or "0.84 times" where it is more than two thirds."""
    return f"1/{whole / part:.0f} of" if part and whole / part >= 1.5 else f"{part / max(whole, 1):.2f} times"
