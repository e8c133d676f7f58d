"""Write the selections of rewrites to files and read them back. No TensorFlow."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.atomic import read_json
from u3p_edge.rewriting.engine import Selection


def selections_to_json(choices: Sequence[Selection]) -> str:
    """Return selections as JSON text that `read_choices` reads."""
    return json.dumps({"rewrites": [dataclasses.asdict(choice) for choice in choices]}, indent=1)


def read_choices(path: Path) -> tuple[Selection, ...]:
    """Read the selections that `selections_to_json` wrote, or those in the manifest of a run folder.

    Raises:
        ArtifactError: the file is missing, not JSON, or holds no selections.
    """
    entries = read_json(path).get("rewrites")
    try:
        if not isinstance(entries, (list, tuple)):
            raise ConfigError("it has no list `rewrites`")
        return tuple(_pair(entry) if isinstance(entry, list) else from_dict(Selection, entry) for entry in entries)
    except ConfigError as error:
        raise ArtifactError(
            f"{path} holds no rewrites: {error}",
            mend="Give rewrites.json of an export, or what `u3p-edge rewrite --out` wrote.",
        ) from error


def read_pairs(path: Path) -> tuple[tuple[str, str], ...]:
    """Read (site, candidate) pairs, as `read_choices`. Raises ConfigError for an empty list, which would be timed after all."""
    pairs = tuple((choice.site, choice.chosen) for choice in read_choices(path))
    if not pairs:
        raise ConfigError(f"{path} has an empty list of rewrites", mend="Leave --rewrites out, or use --no-rewrite.")
    return pairs


def _pair(entry: list[Any]) -> Selection:
    """Return a selection from a manifest's entry, which has only the site and its candidate."""
    if len(entry) != 2 or not all(isinstance(part, str) for part in entry):
        raise ConfigError(f"{entry!r} is no pair of a site and its candidate")
    return Selection(entry[0], entry[1], ())
