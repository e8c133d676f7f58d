"""The float model that an export starts from, wherever it comes from."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from u3p_edge import __version__
from u3p_edge.config.metadata import Metadata, metadata_of_mask
from u3p_edge.data.augmentation import NO_AUGMENTATION, Augmentation
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.graph.cost import cost
from u3p_edge.graph.image_scale import drop_image_scale, find_image_scale
from u3p_edge.graph.inference import inference_graph, is_multi_label
from u3p_edge.graph.ir import Graph, substitute
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.importing.onnx.content import find_data_files
from u3p_edge.importing.onnx.reader import read_onnx
from u3p_edge.manifest import sha256_of
from u3p_edge.models.keras_file import read_keras_file
from u3p_edge.models.store import load_model
from u3p_edge.models.stored_files import WEIGHTS, reference_folder
from u3p_edge.recipes.recipe import ModelOptions
from u3p_edge.runtime.base import check_file
from u3p_edge.training.output import read_trained_recipe
from u3p_edge.training.recipe import TrainRecipe

CHECKPOINT = "PyTorch checkpoint"
"""What the lineage of an imported run folder begins with."""

NO_FLIPS = Augmentation(flip_horizontal=False, flip_vertical=False)
"""For a model that does not say how it was trained: a mirrored organ may be another class."""


@dataclass(frozen=True)
class Source:
    """A float model, ready for inference.

    Args:
        name: to call it in a report.
        model: tf_keras, one input `image` [1, H, W, C], one output `mask` [1, H, W, K] of probabilities.
        graph: the same network as a graph.
        training_graph: the network as it was read, with the heads that only training needs.
        metadata: what its artifacts will carry.
        sha256: of the file it was read from, its data files included.
        macs, parameters: of the inference graph.
        notes: what was done to it, in sentences.
        folder: run folder that it was read from, which may say how it was trained; None for a file.
        trained_here: this program trained it, so the normalisation of its images is on record.
    """

    name: str
    model: Any
    graph: Graph
    training_graph: Graph
    metadata: Metadata
    sha256: str
    macs: int
    parameters: int
    notes: tuple[str, ...]
    folder: Path | None = None
    trained_here: bool = False


def read_source(model: str | Path | None, options: ModelOptions | None = None, *, trust: bool = False) -> Source:
    """Read a model and prepare it for inference.

    Args:
        model: a run folder of `u3p-edge train`, a `.keras`, `.h5` or `.onnx` file, or None for the embedded reference model.
        options: what a Keras or ONNX file does not record; None for the defaults.
        trust: run code that the Keras file holds.

    Raises:
        ModelError: missing, damaged, or not a segmentation network that can be read.
        ConfigError: a size for a model that has its own.
    """
    options = options or ModelOptions()
    folder = Path(model) if model else reference_folder()
    graph, metadata, weights = _read_graph(folder, options, trust)
    scaled: tuple[str, ...] = ()
    if metadata is None:
        graph, options, scaled = _prepare_outside(graph, options)
    inference = inference_graph(graph, mask=options.mask or None, multi_label=options.multi_label)
    ready = to_keras(inference.graph)
    total = cost(inference.graph)
    digest = _digest(weights)
    described = metadata or _metadata(ready, is_multi_label(inference.graph), options)
    return Source(
        name=folder.name if model else "embedded reference",
        model=ready,
        graph=inference.graph,
        training_graph=graph,
        metadata=dataclasses.replace(described, version=__version__, lineage=(*described.lineage, ("float model", digest))),
        sha256=digest,
        macs=total.total_macs,
        parameters=total.parameters,
        notes=(*scaled, *inference.notes),
        folder=folder if folder.is_dir() else None,
        trained_here=metadata is not None and CHECKPOINT not in dict(metadata.lineage),
    )


def _read_graph(path: Path, options: ModelOptions, trust: bool) -> tuple[Graph, Metadata | None, Path]:
    """Return the network, its metadata where they are recorded, and the file of its weights."""
    if path.suffix.lower() == ".onnx" and not path.is_dir():
        check_file(path)
        height, width = options.size or (None, None)
        return read_onnx(path, None if height is None or width is None else (height, width)), None, path
    if path.is_dir() and (path / WEIGHTS).exists():
        if options.size:
            raise ConfigError(f"{path} has a size of its own", mend="Leave the size out.")
        network, _, metadata = load_model(path)
        return from_keras(network), metadata, path / WEIGHTS
    if path.is_dir():
        raise ModelError(
            f"the folder {path} holds no {WEIGHTS}",
            mend="Give a run folder of `u3p-edge train`, or a .keras, .h5 or .onnx file.",
        )
    return _sized(from_keras(read_keras_file(path, trust=trust)), options.size), None, path


def _sized(graph: Graph, size: tuple[int, ...]) -> Graph:
    """Return the graph for images of a height and width, which it leaves open; the graph itself where none are given."""
    shape: tuple[Any, ...] = graph[graph.inputs[0]].attrs["shape"] if graph.inputs else ()
    if not size or len(shape) != len(("batch", *size, "channels")):
        return graph
    if any(fixed not in (None, given) for fixed, given in zip(shape[1:3], size, strict=True)):
        raise ConfigError(
            f"the model is for images of {shape[1]}x{shape[2]}, not {size[0]}x{size[1]}", mend="Leave the size out."
        )
    image = graph[graph.inputs[0]]
    fixed = dataclasses.replace(image, attrs={**image.attrs, "shape": (shape[0], *size, shape[3])})
    return substitute(graph, image.name, (fixed,))


def _prepare_outside(graph: Graph, options: ModelOptions) -> tuple[Graph, ModelOptions, tuple[str, ...]]:
    """Return the network without the scaling of pixels that it begins with, options that have it, and what was done.

    That is so where raw pixels come in, or a mean and a deviation are taken off before: both together are a mean and a
    deviation again. A network with a rescaling takes raw pixels unless the options say another normalisation.
    """
    first = find_image_scale(graph)
    given = options.normalization or ("none" if first and first.of_pixels else None)
    if first is None or given not in ("none", "meanstd"):
        return graph, options, ()
    mean, std = (np.asarray(values or (default,)) for values, default in ((options.mean, 0.0), (options.std, 1.0)))
    deviation = std / first.scale
    whole = tuple(tuple(float(v) for v in values) for values in (mean - first.shift * deviation, deviation))
    shown = " and ".join(", ".join(f"{v:g}" for v in values) for values in whole)
    note = f"The network scales pixels first; that is done when images are prepared, by mean and deviation {shown}."
    chosen = dataclasses.replace(options, normalization="meanstd", mean=whole[0], std=whole[1])
    return drop_image_scale(graph, first), chosen, (note,)


def training_of(source: Source) -> TrainRecipe | None:
    """Return the recipe that a source was trained with; None where that is not known.

    Raises:
        ConfigError: the run folder's recipe cannot be read; names the file.
    """
    return read_trained_recipe(source.folder)


def augmentation_of(source: Source) -> Augmentation:
    """Return the augmentation of a source's training, or one without flips where that is not known. Errors as `training_of`."""
    trained = training_of(source)
    return NO_FLIPS if trained is None else trained.augmentation or NO_AUGMENTATION


def _digest(path: Path) -> str:
    """Return the sha256 of a model file; of one with data files, that of the sha256 of all of them."""
    digests = [sha256_of(each) for each in (path, *(find_data_files(path) if path.suffix.lower() == ".onnx" else ()))]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _metadata(model: Any, multi_label: bool, options: ModelOptions) -> Metadata:
    """Return the metadata for the artifacts of a Keras or ONNX file: sizes from the model, the rest from the options."""
    height, width, channels = (int(n) for n in model.inputs[0].shape[1:])
    mask_channels, preprocessing = int(model.outputs[0].shape[-1]), options.preprocessing(height, width, channels)
    metadata = metadata_of_mask(preprocessing, mask_channels, multi_label, options.class_names)
    return dataclasses.replace(metadata, axis=options.axis)
