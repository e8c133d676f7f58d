"""The folder that a training writes: names of its files, and which files belong to it. No TensorFlow here."""

from __future__ import annotations

from pathlib import Path

from u3p_edge.manifest import WITH_REPORTS, Manifest
from u3p_edge.models.stored_files import DESCRIPTION, WEIGHTS
from u3p_edge.progress import Progress, silent
from u3p_edge.run_folder import check_ours, check_output_folder, hold, open_manifest
from u3p_edge.training.checkpoint import RESUME, is_checkpoint
from u3p_edge.training.recipe import TrainRecipe, read_train_recipe

RECIPE, SCORES = "recipe.toml", "scores.json"
HISTORY_JSON, HISTORY_CSV = "history.json", "history.csv"

BOARD = "tb"
"""Folder of TensorBoard events."""

FORMATS = {
    WEIGHTS: "weights-safetensors",
    DESCRIPTION: "model-description",
    RECIPE: "recipe",
    HISTORY_JSON: "history",
    HISTORY_CSV: "history",
    SCORES: "scores",
}
"""Formats of the files that the manifest lists at the end, by name."""

FILES = (RESUME, *FORMATS)
NAMES = (*FILES, BOARD)
"""Names of all that a training writes, besides the manifest."""


def read_trained_recipe(run: Path | None) -> TrainRecipe | None:
    """Return the recipe that the model of a run folder was trained with; None for no folder or one that does not say.

    Raises:
        ConfigError: the recipe cannot be read; names the file.
    """
    path = run / RECIPE if run else None
    return read_train_recipe(path) if path and path.is_file() else None


def check_output(out: Path, *, restart: bool) -> None:
    """Refuse a folder that a training may not write to, before the work begins. Errors as `open_train_folder` and `hold`."""
    check_output_folder(out)
    if out.is_dir():
        with hold(out):
            open_train_folder(out, restart=restart)


def open_train_folder(out: Path, *, restart: bool, progress: Progress = silent) -> Manifest:
    """Return the manifest of a folder that a training may write to.

    Args:
        out: held by this process.
        restart: drop the run that is there.
        progress: is given a note of a damaged manifest.

    Raises:
        ArtifactError: a file of other origin has a name that a training writes.
    """
    manifest = open_manifest(out, NAMES, force=restart, progress=progress)
    trained = any(a.file in FORMATS for a in manifest.artifacts) or (not manifest.claims and is_checkpoint(out / RESUME))
    if manifest.schema < WITH_REPORTS and trained:
        # Older versions of this program listed neither checkpoint nor events, and nothing at all before the end of a run.
        manifest = manifest.with_claims(NAMES)
    check_ours(out, manifest, FILES, (BOARD,))
    return manifest
