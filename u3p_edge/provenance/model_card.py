"""The model card of an export, in the form of the Hugging Face Hub: what the files are for, and what they are not for.

It follows Mitchell et al. 2019 (arXiv:1810.03993): intended use, data, results by class with their uncertainty, limits. It
names folders, classes and files as the report does, and no path, patient or host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from u3p_edge import __version__
from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.config.metadata import Metadata
from u3p_edge.manifest import Artifact, Manifest
from u3p_edge.provenance.front_matter import front_matter
from u3p_edge.provenance.usage import Port, describe_usage
from u3p_edge.report.findings import list_findings
from u3p_edge.report.headline import headline
from u3p_edge.report.markdown import sentence, short_header, short_rows, table
from u3p_edge.text import to_code, to_markdown

Intervals = Mapping[str, tuple[Interval | None, ...]]

FEW_GROUPS = 30
"""With fewer independent groups (patients), a card says that they are few: a bootstrap of few groups is too narrow."""

_FILE = re.compile(r"^\| `([^`|]+)` \|.*\| `([0-9a-f]{64})` \|$", re.MULTILINE)


@dataclass(frozen=True)
class Split:
    """One split of the data, by its name, with the numbers of its images and groups (patients)."""

    name: str
    images: int
    groups: int


@dataclass(frozen=True)
class CardFacts:
    """What a model card tells.

    Args:
        title: name of the model that was exported.
        manifest: of the run.
        metadata: of its model files.
        result: the measurements.
        main: name of the file that a device should take.
        intervals: Dice (0..1) of each class with its 95 % interval, background first, by file.
        splits: of the data.
        ports: input and output of the main file.
        notes: how the files were made, one sentence each.
        license: of the model, as the Hub writes it; empty where it is not known.
    """

    title: str
    manifest: Manifest
    metadata: Metadata
    result: RunResult
    main: str
    intervals: Intervals
    splits: tuple[Split, ...]
    ports: tuple[Port, Port]
    notes: tuple[str, ...]
    license: str = ""


def write_card(facts: CardFacts) -> str:
    """Return the model card as Markdown with a front matter."""
    main = facts.result.get(facts.main)
    sections = {
        "Intended use": _intended_use(facts),
        "Data": _data(facts),
        "How it was made": _list([*map(sentence, facts.notes), f"Made by u3p_edge {__version__}."]),
        "Accuracy": _accuracy(facts),
        "Speed and size": _speed(facts),
        "Limits": _list(_limits(facts)),
        "How to run it": describe_usage(facts.main, facts.metadata, facts.ports),
        "How to verify it": _verification(),
        "Files": _files(facts.manifest.artifacts),
    }
    head = front_matter(facts.title, facts.result, main, facts.license) if main else ""
    parts = [f"# Model card: {to_markdown(facts.title)}", *(f"## {title}\n\n{text}" for title, text in sections.items())]
    return head + "\n\n" + "\n\n".join(parts) + "\n"


def read_card_hashes(card: str) -> Mapping[str, str]:
    """Return the sha256 of each file that a card lists, by the file's name."""
    return {match[1]: match[2] for match in _FILE.finditer(card)}


def _intended_use(facts: CardFacts) -> str:
    p, classes = facts.metadata.preprocessing, ", ".join(map(to_markdown, facts.metadata.class_names))
    images = "grey images" if p.image_channels == 1 else "colour images"
    if p.slices > 1:
        images = f"the middle one of {p.slices} neighbouring grey slices of a volume"
    return (
        f"The files segment {images}, at {p.height}x{p.width} pixels, into {facts.metadata.labels} classes ({classes})"
        f"{', which may overlap,' if facts.metadata.multi_label else ''} on a small device. The images must be like those that "
        "the model was trained on.\n\n"
        "**This is not a medical device.** It is not meant for diagnosis, for treatment or for any other decision about a "
        "person. Whoever builds it into a product has to validate the whole product for its purpose."
    )


def _data(facts: CardFacts) -> str:
    origins = {one.kind.removesuffix(" data"): one for one in facts.manifest.origins}
    rows = []
    for split in facts.splits:
        origin = origins.get(split.name)
        name, digest, license = (origin.name, origin.sha256, origin.license) if origin else ("", "", "")
        rows.append([split.name, name, str(split.images), str(split.groups), license or "not recorded", digest])
    listed = table(["split", "data", "images", "groups (patients)", "licence", "sha256"], rows)
    return f"{listed}\n\nThe sha256 is of the preprocessed images, masks and groups. The test split decided nothing."


def _accuracy(facts: CardFacts) -> str:
    """Return Dice by class of the original float model and of the main file, with intervals."""
    names = [name for name in dict.fromkeys((facts.result.reference, facts.main)) if name in facts.intervals]
    data = facts.result.data
    rows = [
        [name, *(_dice(facts.intervals[file][index]) for file in names)]
        for index, name in enumerate(facts.result.class_names)
        if index
    ]
    where = f"on the {data.split} split, {data.images} images of {data.groups} groups" if data else ""
    text = (
        f"Dice in points of 100 {where}: pooled over the images of a group, then averaged over groups, with the 95 % interval "
        "of a bootstrap over groups."
    )
    return "\n\n".join(part for part in (text, table(["class", *names], rows), sentence(headline(facts.result))) if part)


def _speed(facts: CardFacts) -> str:
    e = facts.result.environment
    libraries = ", ".join(f"{name} {version}" for name, version in e.libraries)
    machine = to_markdown(f"{e.cpu}, {e.cores} cores, {e.machine}, {e.system}; Python {e.python}, {libraries}")
    header = [title.replace("\n", " ") for title in short_header(facts.result)]
    measured = f"Measured on {machine}. On another machine the times are others."
    return "\n\n".join([measured, table(header, short_rows(facts.result)), _list(_findings(facts))])


def _findings(facts: CardFacts) -> list[str]:
    """Return the sentences of the report that compare the main file's speed with float's."""
    return [sentence(text) for text in list_findings(facts.result) if facts.main in text]


def _limits(facts: CardFacts) -> list[str]:
    data, p = facts.result.data, facts.metadata.preprocessing
    limits = [
        "Images of other scanners, protocols, stains or populations than those in the data were not measured.",
        f"Images of another size are {'resized' if p.fit == 'resize' else 'padded or cut into tiles'} to "
        f"{p.height}x{p.width} pixels; only the sizes in the data were measured.",
        "Every pixel gets one of the classes above, also in an image that shows none of them. Nothing warns of such an image.",
        "The intervals cover the choice of test groups alone, not another training of the float model.",
    ]
    if data is not None and data.split != "test":
        limits.append("The data has no test split: the scores are of the validation split, on which the files were chosen.")
    if data is not None and data.groups < FEW_GROUPS:
        limits.append(f"The scores rest on {data.groups} independent group{'s' if data.groups != 1 else ''}, which are few.")
    return limits


def _verification() -> str:
    return (
        "```sh\nu3p-edge verify .\n```\n\n"
        "This command, given in the folder of this card, checks the sha256 of every file, what the files were made from, the "
        "bill of materials and this card, and runs the files again."
    )


def _files(artifacts: Sequence[Artifact]) -> str:
    rows = (f"| {to_code(a.file)} | {to_markdown(a.format)} | {a.bytes} | `{a.sha256}` |" for a in artifacts)
    return "\n".join(["| file | format | bytes | sha256 |", "| --- | --- | ---: | --- |", *rows])


def _dice(interval: Interval | None) -> str:
    if interval is None:
        return "in no image"
    estimate, low, high = (100 * value for value in (interval.estimate, interval.low, interval.high))
    return f"{estimate:.1f}" if low == high else f"{estimate:.1f} ({low:.1f} to {high:.1f})"


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def main_file(results: Sequence[ArtifactResult]) -> str:
    """Return the name of the file that a device should take: int8 where there is one, TFLite before ONNX."""
    order = ("tflite-int8", "onnx-int8", "tflite-float16", "tflite-float32", "onnx-float32")
    ranked = sorted(results, key=lambda one: (order.index(one.format) if one.format in order else len(order), one.name))
    return ranked[0].name
