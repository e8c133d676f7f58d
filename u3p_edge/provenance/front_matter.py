"""The front matter of a model card: the YAML block by which the Hugging Face Hub files and finds a model.

Values are written as JSON, which YAML contains, so no YAML library is needed. The fields are those of
https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from u3p_edge.benchmark.result import ArtifactResult, DataInfo, RunResult
from u3p_edge.text import to_terminal

UNKNOWN_LICENSE = "unknown"
"""What the Hub calls a licence that nobody recorded."""

TAGS = ("image-segmentation", "unet-3-plus", "int8", "quantized", "litert", "onnx", "edge")
TASK = "image-segmentation"


def front_matter(title: str, result: RunResult, file: ArtifactResult, license: str = "") -> str:
    """Return the front matter of a model, between its two lines of `---`.

    Args:
        title: name of the model.
        result: the measurements.
        file: of the result, whose scores are listed.
        license: of the model, as the Hub writes it; empty where it is not known.
    """
    fields: dict[str, object] = {
        "license": license or UNKNOWN_LICENSE,
        "library_name": "u3p_edge",
        "pipeline_tag": TASK,
        "tags": list(TAGS),
        "metrics": ["dice", "iou"],
    }
    if result.data is not None and file.accuracy is not None:
        evaluation = {
            "task": {"type": TASK},
            "dataset": _dataset(result.data),
            "metrics": _metrics(file, result.class_names),
        }
        fields["model-index"] = [{"name": to_terminal(title), "results": [evaluation]}]
    return "\n".join(["---", *(_line(key, value) for key, value in fields.items()), "---"])


def _line(key: str, value: object) -> str:
    """Return one field, a long value indented: YAML takes lines that are indented as part of it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if len(text) > 100:
        text = "\n" + json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2)
    return f"{key}: {text}".replace("\n", "\n  ").replace(": \n", ":\n")


def _dataset(data: DataInfo) -> dict[str, object]:
    name = to_terminal(data.name)
    return {"name": name, "type": name, "split": data.split}


def _metrics(file: ArtifactResult, classes: Sequence[str]) -> list[dict[str, object]]:
    """Return mean Dice and IoU, then the Dice of each foreground class that is in the images, all from 0 to 1."""
    accuracy = file.accuracy
    if accuracy is None:
        return []
    named = {"Mean Dice": ("dice", accuracy.mean_dice), "Mean IoU": ("iou", accuracy.mean_iou)}
    scores = [(kind, name, score) for name, (kind, score) in named.items()]
    scores += [
        ("dice", f"Dice, {to_terminal(name)}", score) for name, score in zip(classes[1:], accuracy.dice[1:], strict=True)
    ]
    return [{"type": kind, "name": name, "value": round(score, 4)} for kind, name, score in scores if score is not None]
