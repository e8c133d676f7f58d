"""Contexts for stages that look at no images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from u3p_edge.data.fit_notes import Original
from u3p_edge.data.folder import Dataset
from u3p_edge.data.load import Arrays
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import Staging
from u3p_edge.progress import Progress, silent
from u3p_edge.recipes.recipe import ExportRecipe

_ONE = Arrays(np.zeros((1, 16, 16, 1), np.float32), np.zeros((1, 16, 16), np.uint8), ("a",), ("a",), (Original((16, 16)),))
_DATA = ExportData("one image", _ONE, _ONE, _ONE, "test", embedded=False, dataset=Dataset(Path(), ()))


def make_context(source: Source, recipe: ExportRecipe, staging: Staging, progress: Progress = silent) -> Context:
    """A context with one black image."""
    return Context(source, _DATA, recipe, staging, progress)
