"""README.md of a model folder for the Hugging Face Hub, made from the model card of an export."""

from __future__ import annotations

import json
import re

ATTRIBUTES = "".join(f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in ("onnx", "safetensors", "tflite"))
""".gitattributes: which files the Hub keeps in Git LFS."""

_LICENSE = re.compile(r"^license: .*$", re.MULTILINE)
_VERIFICATION = re.compile(r"^## How to verify it\n.*?(?=^## )", re.MULTILINE | re.DOTALL)

WITHOUT_REPORTS = (
    "## How to verify it\n\nThe sha256 of every file is listed below, and that of what it was made from in the bill of "
    "materials. The reports of the export, which name groups of the data and show images, are not part of this folder.\n\n"
)


def make_readme(card: str, license: str = "", *, verifiable: bool = True) -> str:
    """Return the model card as the README.md of a repository of the Hub.

    Args:
        card: what `model_card.write_card` gave.
        license: of the model, as the Hub writes it, e.g. "apache-2.0"; empty to keep what the card says.
        verifiable: whether `u3p-edge verify` finds all that it needs beside it; else the card says what is missing.

    >>> make_readme("---\\nlicense: \\"unknown\\"\\n---\\n", "mit").splitlines()[1]
    'license: "mit"'
    """
    text = card if verifiable else _VERIFICATION.sub(lambda _: WITHOUT_REPORTS, card, count=1)
    line = f"license: {json.dumps(license, ensure_ascii=False)}"
    return _LICENSE.sub(lambda _: line, text, count=1) if license else text
