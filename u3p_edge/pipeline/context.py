"""What the stages of an export share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.config.metadata import Metadata
from u3p_edge.manifest import sha256_of
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.lock import Lock
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import Staging
from u3p_edge.progress import Progress, silent
from u3p_edge.recipes.recipe import ExportRecipe


@dataclass(frozen=True)
class Context:
    """What every stage of an export may read. A stage takes the network that it changes as a value of its own.

    Args:
        original: the float model as it was read; files are compared with it, and a pruned network learns from it.
        data: the preprocessed splits.
        recipe: the options.
        staging: where a stage keeps what an interrupted export continues with.
        progress: shows the stages.
        device: a latency table of another device, for pruning; None for this machine.
        cache: folder of measured milliseconds; None for `u3p_edge.cache.default_folder()`.
        lock: what the export replays; None where it decides itself.
    """

    original: Source
    data: ExportData
    recipe: ExportRecipe
    staging: Staging
    progress: Progress = silent
    device: Path | None = None
    cache: Path | None = None
    lock: Lock | None = None

    @property
    def metadata(self) -> Metadata:
        """The metadata of the files that are made, but for the reference: those of the model, with the recipe's output."""
        return dataclasses.replace(self.original.metadata, output=self.recipe.output)

    @property
    def table_sha256(self) -> str:
        """The sha256 of the other device's latency table; empty where the files are for this machine."""
        if self.lock is not None:
            return self.lock.device
        return "" if self.device is None else sha256_of(self.device)
