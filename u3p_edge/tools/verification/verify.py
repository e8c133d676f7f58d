"""Verify a run folder: the order of the checks.

manifest ─► files ─► lineage, bill of materials, model card, report, lock ─► run the files again ─► a check for each
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.config.limits import MAX_MEMORY_MB
from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.manifest import Manifest
from u3p_edge.pipeline.publish import MODELS
from u3p_edge.pipeline.report_names import RESULT
from u3p_edge.progress import Progress, silent
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.tools.verification.check import RunCheck, Verification, leave_out
from u3p_edge.tools.verification.documents import check_card, check_lineage, check_lock, check_report, check_sbom
from u3p_edge.tools.verification.images import read_images
from u3p_edge.tools.verification.integers import check_integers
from u3p_edge.tools.verification.listed_files import check_files, check_manifest, is_export
from u3p_edge.tools.verification.opened import check_metadata, open_files
from u3p_edge.tools.verification.outputs import check_float_model, check_outputs
from u3p_edge.tools.verification.scores import check_scores
from u3p_edge.training.output import read_trained_recipe
from u3p_edge.training.recipe import TrainRecipe


@dataclass(frozen=True)
class _Given:
    """What a caller gives beside the run folder, see `verify`."""

    data: Path | None
    model: Path | None
    trust: bool
    max_memory_mb: float

    @property
    def trained(self) -> TrainRecipe | None:
        """How the float model was trained, where its run folder says it."""
        return read_trained_recipe(self.model)


def verify(
    run: str | Path,
    data: str | Path | None = None,
    model: str | Path | None = None,
    *,
    trust: bool = False,
    max_memory_mb: float = MAX_MEMORY_MB,
    progress: Progress = silent,
) -> Verification:
    """Check that a run folder is as its export left it, and that its files compute what they should.

    What an installation cannot check, because a package or the data is not there, is left out, and the check says so.

    Args:
        run: the folder of an export; of a training, the sha256 of its files are checked.
        data: the data folder of the export; None for the embedded images, where the export was measured on them.
        model: the float model that was exported; None for the embedded reference model, where that was exported.
        trust: run code that a Keras file holds.
        max_memory_mb: a model file that would take more, in MB of 10^6 bytes, is not run.
        progress: see `u3p_edge.progress`.

    Returns:
        One check for each thing that was looked at; `passed` says whether none failed.

    Raises:
        ArtifactError: the folder is no run folder.
        DataError, ModelError: the data or the model that was given cannot be read.
    """
    folder = Path(run)
    manifest, readable = check_manifest(folder)
    checks = [readable]
    if manifest is not None:
        checks.append(check_files(folder, manifest))
        if is_export(manifest):
            checks += _documents(folder, manifest)
            given = _Given(Path(data) if data else None, Path(model) if model else None, trust, max_memory_mb)
            checks += _files_again(folder, manifest, given, progress)
        else:
            checks.append(leave_out("outputs", "the folder is no export: its files were made by a training"))
    return Verification(folder.resolve().name, tuple(checks))


def _documents(folder: Path, manifest: Manifest) -> tuple[RunCheck, ...]:
    return (
        check_lineage(manifest),
        check_sbom(folder, manifest),
        check_card(folder, manifest),
        check_report(folder, manifest),
        check_lock(folder, manifest),
    )


def _files_again(folder: Path, manifest: Manifest, given: _Given, progress: Progress) -> tuple[RunCheck, ...]:
    """Run the model files again, as far as the recipe, the runtimes and the images are there."""
    try:
        recipe = from_dict(ExportRecipe, json.loads(manifest.recipe))
    except (ConfigError, ValueError):
        return (leave_out("outputs", "the options of the export are of another version of this program"),)
    opened = open_files(folder, (a.file for a in manifest.artifacts if a.file in MODELS), given.max_memory_mb)
    if not opened.sessions:
        return (check_outputs(opened, None, recipe, progress),)
    result, digest = _result(folder), _float_model(manifest)
    images, same_data = read_images(given.data, result.data if result else None, opened.metadata, recipe, given.trained)
    return (
        check_metadata(opened, digest),
        check_integers(opened, recipe),
        same_data,
        check_outputs(opened, images, recipe, progress),
        check_float_model(opened, images, given.model, digest, recipe, trust=given.trust),
        check_scores(opened, images, result, progress),
    )


def _result(folder: Path) -> RunResult | None:
    try:
        return read_result(folder / RESULT)
    except ArtifactError:  # `check_report` says so
        return None


def _float_model(manifest: Manifest) -> str:
    """Return the sha256 of the float model; of an older manifest, what the files are made from that is none of them."""
    named = next((one.sha256 for one in manifest.origins if one.kind == "float model"), "")
    files = {one.sha256 for one in manifest.artifacts}
    return named or next((one.parent for one in manifest.artifacts if one.parent not in files), "")
