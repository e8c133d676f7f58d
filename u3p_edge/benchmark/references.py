"""The artifacts of one run: their names, the one that ratios refer to, and whether all do the same task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from u3p_edge.benchmark.matching import is_original
from u3p_edge.config.metadata import Metadata
from u3p_edge.errors import ConfigError
from u3p_edge.runtime import Session


def shorten_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return file names, with as many of their folders as are needed to tell them apart.

    Raises:
        ConfigError: no path is given, or one is given twice.
    """
    if not paths:
        raise ConfigError("no model was given", mend="Name one or more .tflite or .onnx files.")
    resolved = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - resolve() would follow links and lose the names
    if len(set(resolved)) != len(resolved):
        raise ConfigError("a model was given twice", mend="Name each file once.")
    for depth in range(1, max(len(path.parts) for path in resolved) + 1):
        names = tuple("/".join(path.parts[-depth:]) for path in resolved)
        if len(set(names)) == len(names):
            return names
    raise AssertionError("distinct paths have distinct parts")


def choose_float_reference(sessions: Mapping[str, Session], wanted: str = "") -> str:
    """Return the requested name; else a float32 artifact, whatever the order of the files; else the first.

    Among float32 artifacts the original model (before pruning and rewriting) is preferred, and TFLite to the other formats.

    Raises:
        ConfigError: there is no artifact with the requested name.
    """
    if wanted:
        matches = [name for name in sessions if name == wanted or name.endswith(f"/{wanted}")]
        if len(matches) != 1:
            raise ConfigError(f"the reference {wanted!r} is none of the models", mend=f"It is one of: {', '.join(sessions)}.")
        return matches[0]
    floats = [name for name, session in sessions.items() if session.format.endswith("-float32")]
    if not floats:
        return next(iter(sessions))
    return min(floats, key=lambda name: (not is_original(name), not sessions[name].format.startswith("tflite")))


def check_one_task(sessions: Sequence[Session]) -> Metadata:
    """Return the metadata of sessions that take the same images. Raises ConfigError if preprocessing or classes differ."""
    first = sessions[0]
    for other in sessions[1:]:
        if _task(other.metadata) != _task(first.metadata):
            raise ConfigError(
                f"{first.name} and {other.name} differ in preprocessing or classes, so they cannot be compared",
                mend="Measure models of one task together.",
            )
    return first.metadata


def _task(metadata: Metadata) -> tuple[object, ...]:
    return metadata.preprocessing, metadata.class_names, metadata.multi_label
