"""Make every file of an export in the staging folder. The order of the stages that change the network.

original ─► prune to the budget ─► rewrite ─► sparsity ─► Graph ─┬─► float32 and float16 TFLite, float32 ONNX
                                                               └─ quantize ─ tile ─► Quantized ─► int8 TFLite, int8 ONNX

All stages see probabilities. The activation at the end is left out only of what is written, where the recipe asks for that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from u3p_edge.conversion.network_file import write_network
from u3p_edge.conversion.onnx.writer import write_onnx
from u3p_edge.conversion.tflite import converter
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.errors import ModelError
from u3p_edge.graph.decompose import decompose
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.graph.logits import fit_output
from u3p_edge.graph.scheme import Quantized
from u3p_edge.pipeline import tile
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.pruning_result import PruningResult
from u3p_edge.pipeline.publish import MODELS, NETWORK_FILE, REFERENCE_FILE
from u3p_edge.pipeline.quantization_choice import QuantizationChoice
from u3p_edge.pipeline.quantize import float_tflite, quantize_source
from u3p_edge.pipeline.rewrite import Network, rewrite_source
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.sparsify import describe_compression, sparsify_network
from u3p_edge.quantization.support import UntrainableError, check_quantizable, check_trainable


@dataclass(frozen=True)
class MadeFiles:
    """The files of an export, and what they were made from.

    Args:
        files: by final name, in the staging folder.
        pruning: the result of pruning.
        network: what is exported, in float.
        integers: file of the network in integers that the int8 files hold; None without int8.
        choice: which int8 network was kept; None without int8.
        notes: how the files were made, one sentence each.
        failures: one sentence for each file that could not be made.
    """

    files: Mapping[str, Path]
    pruning: PruningResult
    network: Network
    integers: Path | None
    choice: QuantizationChoice | None
    notes: tuple[str, ...]
    failures: tuple[str, ...] = ()

    def of_formats(self, formats: Sequence[str]) -> dict[str, Path]:
        """Return the files of these formats, by final name."""
        return {name: path for name, path in self.files.items() if MODELS[name].container in formats}


@dataclass(frozen=True)
class _Part:
    """Files of one kind, by final name, or a sentence on why one could not be made."""

    files: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    choice: QuantizationChoice | None = None
    integers: Graph | Quantized | None = None
    failures: tuple[str, ...] = ()


def make_files(context: Context) -> MadeFiles:
    """Make the files that the recipe asks for; int8 TFLite is made even where only int8 ONNX is asked for.

    Raises:
        ConfigError: a budget or a number of tiles that cannot be.
        ModelError: no file at all could be made, or what was asked for cannot be: quantization-aware training, or files
            without the last activation.
    """
    output = context.recipe.output
    fit_output(fold_batch_norm(context.original.graph), output)  # which is refused, if at all, before anything is trained
    _check_integers(context)
    original = float_tflite(context.original, context)
    pruning = prune_source(context)
    network = sparsify_network(rewrite_source(pruning.source, context), context)
    source = dataclasses.replace(pruning.source, model=network.model)
    graph = fit_output(network.graph, output)
    float_part = _float_tflite(source, graph, original, context)
    half_part = _attempt("model.float16.tflite", partial(_float16_tflite, source, graph, context))
    int8_part = _attempt("model.int8.tflite", partial(_int8_tflite, source, context))
    onnx_parts = _onnx(graph, int8_part.integers, context)
    parts = (float_part, half_part, int8_part, *onnx_parts)
    made = MadeFiles(
        files={name: path for part in parts for name, path in part.files.items()},
        pruning=pruning,
        network=network,
        integers=_staged_integers(int8_part.integers, context),
        choice=int8_part.choice,
        notes=(*pruning.notes, *network.notes, *(int8_part.notes if int8_part.files else float_part.notes)),
        failures=tuple(failure for part in parts for failure in part.failures),
    )
    if not made.of_formats(context.recipe.formats):
        raise ModelError("; ".join(made.failures))
    return made


def _check_integers(context: Context) -> None:
    """Refuse a network without an int8 form before it is trained for one: pruned, made sparse, or trained in int8.

    Where nothing is trained, its other files are made.

    Raises:
        ModelError: a layer that int8, or quantization-aware training where that is asked for, cannot express.
    """
    recipe, graph = context.recipe, context.original.graph
    if recipe.int8 and recipe.quantization.method == "qat":
        check_trainable(graph)
    elif recipe.int8 and (recipe.pruning or recipe.sparsity):
        check_quantizable(decompose(fold_batch_norm(graph)))


def _attempt(name: str, make: Callable[[], _Part]) -> _Part:
    """Return what `make` gives, or a sentence where one format cannot express a layer, so that the other files are still made.

    UntrainableError (quantization-aware training was asked for and cannot be done) is raised: no file would be as asked for.
    """
    try:
        return make()
    except UntrainableError:
        raise
    except ModelError as error:
        return _Part(failures=(f"{name} was not made: {error}",))


def _float_tflite(source: Source, graph: Graph, original: Path, context: Context) -> _Part:
    """Make the float32 TFLite file: the converter's for the original network, this package's writer's for a changed one."""
    if context.recipe.keeps_original:
        return _Part({"model.float32.tflite": original})
    tiled = tile.tile_float(graph, context.recipe)
    otherwise = partial(_convert_float, source, graph, context)
    file = context.staging.file("model.float32.tflite", lambda: tile.float_file(tiled.network, context.metadata, otherwise))
    return _Part({REFERENCE_FILE: original, "model.float32.tflite": file}, tiled.notes)


def _float16_tflite(source: Source, graph: Graph, context: Context) -> _Part:
    if not context.recipe.float16:
        return _Part()
    convert = partial(_convert_float, source, graph, context, half=True)
    return _Part({"model.float16.tflite": context.staging.file("float16.tflite", convert)})


def _convert_float(source: Source, graph: Graph, context: Context, *, half: bool = False) -> bytes:
    """Convert with TensorFlow's converter: the model itself, or what is left of it where the files give no probabilities."""
    model = source.model if context.recipe.output == "probabilities" else to_keras(graph)
    return converter.convert_float(model, context.metadata, half=half)


def _int8_tflite(source: Source, context: Context) -> _Part:
    """Make the int8 TFLite file, with spatial tiling and notes on what that did."""
    recipe = context.recipe
    if not recipe.int8:
        return _Part()
    quantized, choice = quantize_source(source, context)
    tiled = tile.tile_network(fit_output(quantized, recipe.output), recipe)
    options: dict[str, bool] = {"float_io": recipe.quantization.float_io, "layouts": not recipe.keeps_original}
    file = context.staging.file("model.int8.tflite", lambda: write_tflite(tiled.network, context.metadata, **options))
    return _Part(
        {"model.int8.tflite": file}, (*tiled.notes, *describe_compression(file, recipe.sparsity)), choice, tiled.network
    )


def _staged_integers(network: Graph | Quantized | None, context: Context) -> Path | None:
    return None if network is None else context.staging.file(NETWORK_FILE, lambda: write_network(network))


def _onnx(graph: Graph, integers: Graph | Quantized | None, context: Context) -> tuple[_Part, ...]:
    """Make the float file, untiled because ONNX runtimes gain nothing by tiles, and the int8 file."""
    if "onnx" not in context.recipe.formats:
        return ()
    metadata, float_io = context.metadata, context.recipe.quantization.float_io

    def part(name: str, network: Graph | Quantized) -> _Part:
        write = partial(write_onnx, network, metadata, float_io=float_io)
        return _Part({f"model.{name}": context.staging.file(name, write)})

    networks = {"float32.onnx": graph, **({} if integers is None else {"int8.onnx": integers})}
    return tuple(_attempt(f"model.{name}", partial(part, name, network)) for name, network in networks.items())
