"""Read the model and the data that an export starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from u3p_edge import __version__
from u3p_edge.benchmark.accuracy import data_sha256
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.manifest import Origin, sha256_of
from u3p_edge.pipeline.data import ExportData, check_fit, data_options, read_export_data
from u3p_edge.pipeline.source import Source, read_source, training_of
from u3p_edge.pipeline.staging import key_of
from u3p_edge.progress import Progress, silent
from u3p_edge.recipes.recipe import ExportRecipe


@dataclass(frozen=True)
class Inputs:
    """What was read.

    Args:
        original: the float model.
        data: the preprocessed splits.
    """

    original: Source
    data: ExportData

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The float model, the training, validation and test data, as a manifest lists them."""
        data = self.data
        splits = {"training": data.train, "validation": data.val, "test": data.test}
        return (
            Origin("float model", self.original.sha256, self.original.name),
            *(
                Origin(f"{split} data", data_sha256(a.images, a.labels, a.groups), data.name, license=data.license)
                for split, a in splits.items()
            ),
        )

    def key(self, recipe: ExportRecipe, device: Path | None = None, lock: str = "") -> str:
        """Return a key of all that decides the files: the version, the model, the data, the recipe, a device's table, a lock.

        What is required of the result (`require_shown`) decides no file. `lock` is the lock's sha256; empty for none.
        """
        others = (*(() if device is None else (sha256_of(device),)), *filter(None, (lock,)))
        return key_of(
            __version__, *(one.sha256 for one in self.origins), replace(recipe, require_shown=False).to_json(), *others
        )


def read_inputs(
    model: str | Path | None,
    data: str | Path | None,
    recipe: ExportRecipe,
    *,
    trust: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
) -> Inputs:
    """Read a model and every image of the data.

    Args:
        model: a run folder, a `.keras`, `.h5` or `.onnx` file, or None for the embedded reference model.
        data: a data folder, or None for the embedded images.
        recipe: the options.
        trust: run code that a Keras file holds.
        max_pixels: height x width that an image or mask may have.
        progress: shows the stage.

    Raises:
        ModelError: a model that cannot be read. ConfigError: an output that the model cannot give. DataError: data that cannot
            be read, or that do not fit the model.
    """
    original = read_source(model, recipe.model, trust=trust)
    _ = replace(original.metadata, output=recipe.output)  # refused, if at all, before anything is read
    folder = Path(data) if data else None
    check_fit(original.metadata, folder)
    options = data_options(recipe.data, training_of(original), folder, max_pixels)
    return Inputs(original, read_export_data(folder, original.metadata, progress, options))
