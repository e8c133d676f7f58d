"""The splits that an export works on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from u3p_edge.config.metadata import Metadata
from u3p_edge.data.array_cache import check_room
from u3p_edge.data.description import read_license
from u3p_edge.data.embedded import embedded_folder
from u3p_edge.data.fit_notes import fit_notes
from u3p_edge.data.folder import SPLIT_FILE, Dataset, Sample, open_folder
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.data.labels import AS_STORED
from u3p_edge.data.load import Arrays, count_inputs, load_samples
from u3p_edge.data.options import DataOptions
from u3p_edge.data.orientation import check_turned
from u3p_edge.data.stacks import check_splits
from u3p_edge.data.table import has_column
from u3p_edge.errors import DataError
from u3p_edge.progress import Progress
from u3p_edge.recipes.recipe import LabelOptions
from u3p_edge.training.recipe import TrainRecipe


@dataclass(frozen=True)
class ExportData:
    """Preprocessed splits.

    Args:
        name: of the folder.
        train: for calibration and quantization-aware training.
        val: for decisions: which pruning step, epoch and quantization is kept.
        test: for the report alone; the validation split again where the folder has no test split.
        test_split: which of the two it is.
        embedded: the demonstration data of the package.
        dataset: the files that the splits were read from.
        fit_notes: what fitting the images to the network lost, one sentence each.
        group_notes: what a user should know of groups and turned images, one sentence each.
        license: of the images, an SPDX identifier or a name; empty where the folder records none.
    """

    name: str
    train: Arrays
    val: Arrays
    test: Arrays
    test_split: str
    embedded: bool
    dataset: Dataset
    fit_notes: tuple[str, ...] = ()
    group_notes: tuple[str, ...] = ()
    license: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the report must know of the data."""
        notes = list(self.group_notes)
        if self.embedded:
            notes.append(
                "The embedded data is a demonstration, not a benchmark: nuclei in small windows, and what is tested is of "
                "kinds that training has seen."
            )
        if self.test_split == "val":
            notes.append(f"{self.name} has no test split: the scores are of the validation split, on which int8 was chosen.")
        return (*notes, *self.fit_notes)


def read_export_data(
    folder: Path | None, metadata: Metadata, progress: Progress, options: DataOptions | None = None
) -> ExportData:
    """Load the train, val and test splits of a folder; None reads the embedded data.

    Under the fit "pad", images larger than the network are cropped for training and cut into tiles for scoring.

    Args:
        options: how the folder is read; None for the defaults.

    Raises:
        DataError: a folder or a file that cannot be used, or an empty train or val split, or more images than fit into
            memory or on the disk; or as `stacks.check_splits`.
    """
    root = embedded_folder() if folder is None else folder
    dataset = open_folder(root, options or DataOptions())
    splits = _splits(dataset)
    test_split = list(splits)[-1]
    check_room(inputs_of(dataset, metadata), metadata.preprocessing)
    turned = check_turned(dataset.samples)
    check_splits(dataset.samples, metadata.preprocessing.slices)
    step = progress("Read images", sum(map(len, splits.values())))
    arrays = {
        name: load_samples(
            samples,
            metadata.preprocessing,
            metadata.labels,
            step,
            tiled=name != "train",
            multi_label=metadata.multi_label,
        )
        for name, samples in splits.items()
    }
    originals = tuple(original for part in arrays.values() for original in part.originals)
    return ExportData(
        name=root.resolve().name,
        train=arrays["train"],
        val=arrays["val"],
        test=arrays[test_split],
        test_split=test_split,
        embedded=folder is None,
        dataset=dataset,
        fit_notes=fit_notes(originals, metadata.preprocessing),
        group_notes=(*dataset.notes, *((turned.note,) if turned.note else ())),
        license=read_license(root),
    )


def inputs_of(dataset: Dataset, metadata: Metadata) -> int:
    """Count the network inputs that `read_export_data` keeps. Raises DataError for an empty train or val split."""
    splits = _splits(dataset).items()
    return sum(count_inputs(samples, metadata.preprocessing, tiled=name != "train") for name, samples in splits)


def _splits(dataset: Dataset) -> dict[str, tuple[Sample, ...]]:
    """Return the samples of train, val and, where there is one, test."""
    names = ("train", "val", "test") if dataset.count("test") else ("train", "val")
    return {name: dataset.split(name) for name in names}


def data_options(
    labels: LabelOptions, trained: TrainRecipe | None, folder: Path | None, max_pixels: int = MAX_PIXELS
) -> DataOptions:
    """Return how an export reads its data: as its recipe says, else as in training, so that a split drawn then is the same.

    Args:
        labels: of the export's recipe.
        trained: the recipe that the model was trained with; None where it is not known.
        folder: of the data; None is the embedded one, whose own split.csv decides its groups.
        max_pixels: height x width that an image or mask may have.
    """
    rule = labels.rule()
    given = DataOptions(group_column=labels.group_column, rule=rule, max_pixels=max_pixels)
    if folder is None or trained is None:
        return given
    column = trained.group_column
    inherited = column if column is not None and has_column(folder / SPLIT_FILE, column) else None
    return replace(
        given,
        seed=trained.seed,
        group_column=labels.group_column or inherited,
        rule=trained.data_options().rule if rule == AS_STORED else rule,
    )


def check_fit(metadata: Metadata, folder: Path | None) -> None:
    """Raise DataError where the embedded data is asked for and the model has other classes or several channels."""
    if folder is None and (metadata.labels != 2 or metadata.preprocessing.channels != 1):
        raise DataError(
            f"the embedded data has 2 classes of grey images, the model has {metadata.labels} classes of "
            f"{metadata.preprocessing.channels}-channel images",
            mend="Give your own with --data FOLDER.",
        )
