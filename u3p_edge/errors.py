"""What a user can do wrong, as exceptions.

    U3pEdgeError                  caught by the command line only: one message, no traceback, exit code 2
    ├── ConfigError               a recipe or an option that cannot be
    ├── DataError                 images, masks or splits that cannot be used
    ├── ModelError                a model file or a layer that cannot be read
    ├── ArtifactError             a file of a run that cannot be read or written
    │   └── CheckpointError       a checkpoint that cannot be resumed
    ├── RuntimeMissingError       a runtime library that is not installed
    └── VerificationError         an exported file that does not do what its float model does (exit code 1)

Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class U3pEdgeError(Exception):
    """A user's mistake: what was seen and why, then how to mend it.

    Args:
        symptom: one sentence that names the file or option and says what is wrong with it.
        mend: one sentence that says what to do; empty when the symptom says it already.
    """

    exit_code = 2

    def __init__(self, symptom: str, *, mend: str = "") -> None:
        super().__init__(symptom if not mend else f"{symptom.rstrip('.')}. {mend}")
        self.symptom = symptom
        self.mend = mend


class ConfigError(U3pEdgeError):
    """A recipe, an option or a shape that cannot be."""


class DataError(U3pEdgeError):
    """Images, masks or splits that cannot be used."""


class ModelError(U3pEdgeError):
    """A model file, or a layer in it, that cannot be read."""


class ArtifactError(U3pEdgeError):
    """A file of a run that cannot be read or written."""


class CheckpointError(ArtifactError):
    """A checkpoint that is damaged, or of another run."""


class RuntimeMissingError(U3pEdgeError):
    """A runtime library that this command needs and that is not installed."""


class VerificationError(U3pEdgeError):
    """An exported file disagrees with the float model it was made from."""

    exit_code = 1


@contextlib.contextmanager
def about(subject: object) -> Iterator[None]:
    """Errors of ours that are raised in the block, with the file or option that they are about before them."""
    try:
        yield
    except U3pEdgeError as error:
        raise type(error)(f"{subject}: {error.symptom}", mend=error.mend) from error
