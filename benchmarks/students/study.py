"""Where the files of one data set's study are, and what its reference is trained with.

FOLDER/data/NAME              the data, with the splits of `benchmarks/splits` where there are any
FOLDER/arrays.npz             the preprocessed splits
FOLDER/networks/              every network, as JSON, and the weights that it starts from
FOLDER/*.jobs.json            what `train_torch.py` trains
FOLDER/trained/               the weights and scores that it gives
FOLDER/reference/             the trained reference as a run folder, which `u3p-edge export` reads
FOLDER/students.json          shape or width, predicted time and size of every student
FOLDER/files/                 reference and students as TFLite files, with validation scores of the latter as JSON
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.lib.data_view import make_data_view
from benchmarks.lib.environment import BENCHMARKS
from u3p_edge.data.folder import Dataset, read_folder
from u3p_edge.pipeline.data import ExportData, read_export_data
from u3p_edge.pipeline.source import Source, read_source
from u3p_edge.progress import Progress
from u3p_edge.training.prepare import complete
from u3p_edge.training.recipe import TrainRecipe, read_train_recipe

REFERENCE = "reference"
STUDENTS = "students"


@dataclass(frozen=True)
class Study:
    """One data set, and the folder of its files."""

    data: Path
    folder: Path

    @cached_property
    def view(self) -> Path:
        """The data folder with the splits of this benchmark."""
        return make_data_view(self.data, self.folder / "data")

    @cached_property
    def recipe(self) -> TrainRecipe:
        """What the reference is: its network, preprocessing and augmentation. How long it trains is in its job."""
        recipe = read_train_recipe(BENCHMARKS / "recipes" / "base16" / f"{self.data.name}.toml")
        return complete(dataclasses.replace(recipe, patience=0), self.dataset)

    @cached_property
    def dataset(self) -> Dataset:
        """The samples of the view."""
        return read_folder(self.view)

    def network(self, name: str) -> Path:
        """Return the path of a network's JSON file; its weights are beside it."""
        return self.folder / "networks" / f"{name}.json"

    @property
    def files(self) -> Path:
        """The folder of the TFLite files."""
        return self.folder / "files"

    def jobs(self, name: str) -> Path:
        """Return the path of a job file."""
        return self.folder / f"{name}.jobs.json"

    def weights(self, name: str, seed: int) -> Path:
        """Return the path of trained weights; the scores are beside it, as JSON."""
        return self.folder / "trained" / f"{name}_{seed}.npz"

    def read_reference(self) -> Source:
        """Return the trained reference."""
        return read_source(self.folder / REFERENCE)

    def read_data(self, progress: Progress) -> ExportData:
        """Return the preprocessed splits of the view."""
        return read_export_data(self.view, self.recipe.metadata(), progress)
