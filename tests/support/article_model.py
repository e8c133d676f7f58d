"""The article's own builder, run from its text, so that tests export what a reader of the article has."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tf_keras

Builder = Callable[..., tf_keras.Model]

# What the article uses and never imports.
FORGOTTEN = "\nfrom tf_keras import backend as K\nfrom tf_keras.layers import AveragePooling2D, add\n"


def article_source(text: str) -> str:
    """The Python of the article's text: from its first import to the end of its builder, prose between blocks dropped."""
    code = text[text.index("import tensorflow as tf") : text.index("    return model\n") + len("    return model\n")]
    prose = re.compile(r"^\d\.\S*\s*$")  # headings such as "3.搭建网络"
    lines = (line for line in code.splitlines() if not prose.match(line))
    return re.sub(r"^from keras\.", "from tf_keras.", "\n".join(lines), flags=re.MULTILINE)


def load_article_builder(shared: Path) -> Builder:
    """`unet3p_2d` of the article, with show_summary=False unless told."""
    source = article_source((shared / "seed" / "unet3plus_keras_article.txt").read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    exec(compile(source.replace("\n# helper function", FORGOTTEN + "\n# helper function", 1), "article", "exec"), names)

    def build(*args: Any, **options: Any) -> tf_keras.Model:
        return names["unet3p_2d"](*args, **{"show_summary": False, **options})

    return build
