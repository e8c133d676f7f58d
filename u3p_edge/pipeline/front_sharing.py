"""What the exports of a front share: each takes the trainings of those before it, and leaves its own for those after it.

front folder/.u3p-edge-staging-.../        soft.npy, float32.tflite, prune0/, prune1/, ...
       │ before            ▲ after
       ▼                   │
export's staging folder ───┘

An export by itself, under its lock, trains the same steps again, since its recipe lists them (`pruning.shares`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from u3p_edge.files.atomic import PARTIAL, cannot_write
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.staging import DECISION, DIGEST

FILES = ("soft.npy", "float32.tflite", f"reference_ms{DECISION}")
"""Files of a staging folder that are the same for every export of a model with its data."""


@contextlib.contextmanager
def share_trainings(shared: Path | None, context: Context) -> Iterator[None]:
    """Take what other exports left before the block, and leave what the block made after it. None shares nothing.

    Raises:
        ArtifactError: a file cannot be written.
    """
    if shared is None:
        yield
        return
    names = [name for file in FILES for name in (file + DIGEST, file)]
    pruning = context.recipe.pruning
    # A search starts each export from a shape of its own; only the original model's files are the same then.
    if pruning is not None and not pruning.search:
        names += [f"prune{number}" for number in range(len(pruning.shares) + 1)]
    copy_finished(shared, context.staging.folder, names)
    yield
    copy_finished(context.staging.folder, shared, names)


def copy_finished(source: Path, target: Path, names: Iterable[str]) -> None:
    """Copy the files and folders of these names that one folder has and the other lacks, each whole or not at all.

    Files of a staging folder are replaced and never changed, so a second name for the same file is as good as a copy.
    """
    try:
        for name in names:
            if (source / name).exists() and not (target / name).exists():
                partial = target / (PARTIAL + name)
                if (source / name).is_dir():
                    shutil.rmtree(partial, ignore_errors=True)
                    shutil.copytree(source / name, partial, copy_function=_link)
                else:
                    partial.unlink(missing_ok=True)
                    _link(source / name, partial)
                partial.replace(target / name)
    except OSError as error:
        raise cannot_write(target, error) from error


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
