"""A network from a float model to files, stage by stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from u3p_edge.api.arguments import as_target
from u3p_edge.config.metadata import Metadata
from u3p_edge.errors import require_packages
from u3p_edge.progress import Progress, silent
from u3p_edge.runtime.base import FloatArray

if TYPE_CHECKING:
    from u3p_edge.data.options import DataOptions
    from u3p_edge.graph.ir import Graph
    from u3p_edge.graph.scheme import Quantized
    from u3p_edge.pipeline.source import Source
    from u3p_edge.recipes.recipe import ModelOptions


@require_packages("u3p_edge.load")
def load(model: str | Path | None = None, options: ModelOptions | None = None, *, trust: bool = False) -> Source:
    """Load a float model and prepare it for inference.

    Args:
        model: a run folder of `train`, a `.keras`, `.h5` or `.onnx` file; None for the embedded reference model.
        options: what a Keras or ONNX file does not say itself, for example its normalisation; None for the
            defaults.
        trust: run code that a Keras file holds.

    Returns:
        The network as tf_keras model (`.model`) and as graph (`.graph`), with its `.metadata`.

    Raises:
        ModelError: missing, damaged, or not a segmentation network that can be read.
    """
    from u3p_edge.pipeline.source import read_source

    return read_source(model, options, trust=trust)


@require_packages("u3p_edge.from_keras")
def from_keras(model: Any) -> Graph:
    """Return the inference graph of a float model: one input image, one mask of probabilities, float32 weights.

    Args:
        model: what `load` returned, or a functional tf_keras model.

    Raises:
        ModelError: a layer that a graph cannot represent; the message names it.
    """
    from u3p_edge.graph.inference import inference_graph
    from u3p_edge.graph.keras_io import from_keras as read
    from u3p_edge.pipeline.source import Source

    return model.graph if isinstance(model, Source) else inference_graph(read(model)).graph


@require_packages("u3p_edge.from_onnx")
def from_onnx(path: str | Path, size: tuple[int, int] | None = None, *, mask: str = "", multi_label: bool = False) -> Graph:
    """Return the inference graph of a float ONNX file, of PyTorch or Keras: one input image, one mask of probabilities.

    Needs no TensorFlow. Nothing that the file holds is run.

    Args:
        path: of the file.
        size: height and width of the image, for a file that leaves them open.
        mask: name of the output that is the mask, where that does not follow from the model.
        multi_label: the classes may overlap: several logits get a sigmoid each, and not a softmax over all.

    Raises:
        ModelError: the file is damaged, or an operator has no form in a graph; the message names its node.
        ConfigError: a size that the file, or a UNet 3+, does not take.
    """
    from u3p_edge.graph.inference import inference_graph
    from u3p_edge.importing.onnx.reader import read_onnx

    return inference_graph(read_onnx(Path(path), size), mask=mask or None, multi_label=multi_label).graph


@require_packages("u3p_edge.rewrite")
def rewrite(graph: Graph, target: str = "tflite-int8", *, threads: int = 1, progress: Progress = silent) -> Graph:
    """Compute the same function by the exact candidates that are fastest on this machine.

    Args:
        graph: of `from_keras`.
        target: runtime and number type that the candidates are timed in: "tflite-int8" or "tflite-float32".
        threads: of the runtime.
        progress: see `u3p_edge.progress`.

    Returns:
        The graph with batch normalisation folded, and rewritten.

    Raises:
        ConfigError: there is no such target.
        ModelError: a layer that has no form in the runtime.
    """
    from u3p_edge.pipeline.rewrite import rewrite_graph

    return rewrite_graph(graph, as_target(target, threads), progress)


def calibration_images(
    data: str | Path,
    metadata: Metadata,
    count: int = 64,
    *,
    options: DataOptions | None = None,
    progress: Progress = silent,
) -> FloatArray:
    """Return preprocessed training images of a data folder, spread evenly over its groups (patients).

    Args:
        data: the folder.
        metadata: of the model, which says how images are prepared, for example `load("run").metadata`.
        count: of images at most.
        options: how the folder is read; None for the defaults.
        progress: see `u3p_edge.progress`.

    Returns:
        float32 [N, H, W, C], for `quantize`.

    Raises:
        DataError: an image or a mask cannot be used, or there is none to train on; the message names it.
    """
    from u3p_edge.data.calibration import calibration_samples
    from u3p_edge.data.folder import open_folder
    from u3p_edge.data.load import load_samples
    from u3p_edge.data.options import DataOptions

    samples = calibration_samples(open_folder(Path(data), options or DataOptions()).split("train"), count)
    step, multi_label = progress("Read images", len(samples)), metadata.multi_label
    return load_samples(samples, metadata.preprocessing, metadata.labels, step, multi_label=multi_label).images


@require_packages("u3p_edge.quantize")
def quantize(graph: Graph, calibration: FloatArray, *, progress: Progress = silent) -> Quantized:
    """Quantize a network to int8 after training, with ranges from images.

    Args:
        graph: of `from_keras`, `rewrite` or `prune`.
        calibration: float32 [N, H, W, C], preprocessed, as `calibration_images` returns; a few tens are enough.
        progress: see `u3p_edge.progress`.

    Returns:
        The integer network: kernels int8 with a scale per output channel, biases int32, activations int8.

    Raises:
        ModelError: a layer that has no integer form; the message names it.
        DataError: there are no images, they have the wrong shape, or they are not finite.
    """
    from u3p_edge.quantization.ptq import quantize_ptq

    return quantize_ptq(graph, calibration, progress("Calibrate", len(calibration)))


@require_packages("u3p_edge.write_tflite")
def write_tflite(
    network: Graph | Quantized, path: str | Path, metadata: Metadata | None = None, *, float_io: bool = False
) -> Path:
    """Write a network as a .tflite file, whole or not at all.

    Args:
        network: a float graph, or an integer network of `quantize`.
        path: of the file; one that exists is replaced.
        metadata: preprocessing and classes, for example `load("run").metadata`; None writes the defaults, see
            `default_metadata_of`.
        float_io: put float32 input and output around an integer network.

    Raises:
        ModelError: a layer that has no TFLite form; the message names it.
        ArtifactError: the file cannot be written.
    """
    from u3p_edge.conversion.tflite.writer import write_tflite as lower
    from u3p_edge.files.atomic import write_bytes

    write_bytes(Path(path), lower(_folded(network), metadata or default_metadata_of(network), float_io=float_io))
    return Path(path)


@require_packages("u3p_edge.write_onnx")
def write_onnx(
    network: Graph | Quantized, path: str | Path, metadata: Metadata | None = None, *, float_io: bool = False
) -> Path:
    """Write a network as an .onnx file (QDQ for an integer network), whole or not at all. Arguments as of `write_tflite`.

    Raises:
        ModelError: a layer that has no ONNX form; the message names it.
        ArtifactError: the file cannot be written.
    """
    from u3p_edge.conversion.onnx.writer import write_onnx as lower
    from u3p_edge.files.atomic import write_bytes

    write_bytes(Path(path), lower(_folded(network), metadata or default_metadata_of(network), float_io=float_io))
    return Path(path)


def default_metadata_of(network: Graph | Quantized) -> Metadata:
    """Return the metadata that a file gets where none is given.

    Images are resized to the network's input and scaled to 0..1 between their 1st and 99th percentile, as `train` does by
    default; classes are called "background", "class 1", ... A network that was trained with another preprocessing needs
    its own metadata.
    """
    from u3p_edge.config.metadata import metadata_of_mask
    from u3p_edge.config.preprocessing import Preprocessing
    from u3p_edge.graph.inference import is_multi_label
    from u3p_edge.graph.scheme import Quantized

    graph = network.graph if isinstance(network, Quantized) else network
    height, width, channels = graph.shapes[graph.inputs[0]][1:]
    mask = graph.shapes[graph.outputs[0]][-1]
    return metadata_of_mask(Preprocessing(height, width, channels), mask, is_multi_label(graph))


def _folded(network: Graph | Quantized) -> Graph | Quantized:
    """Return a float graph without batch normalisation, which no file has; an integer network has none."""
    from u3p_edge.graph.fold import fold_batch_norm
    from u3p_edge.graph.scheme import Quantized

    return network if isinstance(network, Quantized) else fold_batch_norm(network)
