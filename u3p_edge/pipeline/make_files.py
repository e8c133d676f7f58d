"""Make every file of an export in the staging folder. The order of the stages that change the network.

original ─► prune to the budget ─► rewrite ─► sparsity ─┬► float32, float16 and int8 TFLite, with spatial tiling
                                                        └► float32 and int8 ONNX
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from u3p_edge.errors import ModelError
from u3p_edge.export.onnx import float_writer, int8_writer
from u3p_edge.export.tflite import converter, schema
from u3p_edge.graph.ir import Graph
from u3p_edge.pipeline import tile
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.pruning_result import PruningResult
from u3p_edge.pipeline.publish import REFERENCE_FILE
from u3p_edge.pipeline.quantize import QuantizationChoice, float_tflite, quantize_source
from u3p_edge.pipeline.rewrite import Network, rewrite_source
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.sparsify import describe_compression, sparsify_network
from u3p_edge.quantize.support import UntrainableError


@dataclass(frozen=True)
class MadeFiles:
    """The files of an export, and what they were made from.

    Args:
        files: by final name, in the staging folder.
        pruning: the result of pruning.
        network: what is exported, in float.
        choice: which int8 network was kept; None without int8.
        notes: how the files were made, one sentence each.
        failures: one sentence for each file that could not be made.
    """

    files: Mapping[str, Path]
    pruning: PruningResult
    network: Network
    choice: QuantizationChoice | None
    notes: tuple[str, ...]
    failures: tuple[str, ...] = ()

    def of_formats(self, formats: Sequence[str]) -> dict[str, Path]:
        """Return the files of these formats, by final name."""
        return {name: path for name, path in self.files.items() if path.suffix[1:] in formats}


@dataclass(frozen=True)
class _Part:
    """Files of one kind, by final name, or a sentence on why one could not be made."""

    files: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    choice: QuantizationChoice | None = None
    failures: tuple[str, ...] = ()


def make_files(context: Context) -> MadeFiles:
    """Make the files that the recipe asks for; int8 TFLite is made even where only int8 ONNX is asked for.

    Raises:
        ConfigError: a budget or a number of tiles that cannot be.
        ModelError: no file at all could be made, or quantization-aware training was asked for and cannot be done.
    """
    original = float_tflite(context.original, context)
    pruning = prune_source(context)
    network = sparsify_network(rewrite_source(pruning.source, context), context)
    source = dataclasses.replace(pruning.source, model=network.model)
    float_part = _float_tflite(source, network.graph, original, context)
    half_part = _attempt("model.float16.tflite", partial(_float16_tflite, source, context))
    int8_part = _attempt("model.int8.tflite", partial(_int8_tflite, source, context))
    onnx_parts = _onnx(source, int8_part.files.get("model.int8.tflite"), context)
    parts = (float_part, half_part, int8_part, *onnx_parts)
    made = MadeFiles(
        files={name: path for part in parts for name, path in part.files.items()},
        pruning=pruning,
        network=network,
        choice=int8_part.choice,
        notes=(*pruning.notes, *network.notes, *(int8_part.notes if int8_part.files else float_part.notes)),
        failures=tuple(failure for part in parts for failure in part.failures),
    )
    if not made.of_formats(context.recipe.formats):
        raise ModelError("; ".join(made.failures))
    return made


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
    otherwise = partial(converter.convert_float, source.model, source.metadata)
    file = context.staging.file("model.float32.tflite", lambda: tile.float_file(tiled.graph, source.metadata, otherwise))
    return _Part({REFERENCE_FILE: original, "model.float32.tflite": file}, tiled.notes)


def _float16_tflite(source: Source, context: Context) -> _Part:
    if not context.recipe.float16:
        return _Part()
    convert = partial(converter.convert_float, source.model, source.metadata, half=True)
    return _Part({"model.float16.tflite": context.staging.file("float16.tflite", convert)})


def _int8_tflite(source: Source, context: Context) -> _Part:
    """Make the int8 TFLite file, with spatial tiling and notes on what that did."""
    if not context.recipe.int8:
        return _Part()
    quantized, choice = quantize_source(source, context)
    data, notes = tile.tile_int8(quantized.read_bytes(), source.metadata, context.recipe)
    file = context.staging.file("model.int8.tflite", lambda: data)
    return _Part({"model.int8.tflite": file}, (*notes, *describe_compression(file, context.recipe.sparsity)), choice)


def _onnx(source: Source, int8: Path | None, context: Context) -> tuple[_Part, ...]:
    """Make the float file, untiled (tiling would make its conversion several times longer), and the int8 file."""
    if "onnx" not in context.recipe.formats:
        return ()
    step = context.progress("Convert to ONNX", 1 if int8 is None else 2)

    def float32() -> _Part:
        model = partial(float_writer.write_float_onnx, source.model, source.metadata)
        return _Part({"model.float32.onnx": context.staging.file("float32.onnx", lambda: bytes(model().SerializeToString()))})

    def twin() -> _Part:
        """The integers of the int8 TFLite file."""
        if int8 is None:
            return _Part()
        model = partial(int8_writer.write_int8_onnx, schema.parse_tflite(int8.read_bytes()), source.metadata)
        return _Part({"model.int8.onnx": context.staging.file("int8.onnx", lambda: bytes(model().SerializeToString()))})

    parts = [_attempt("model.float32.onnx", float32)]
    step()
    if int8 is not None:
        parts.append(_attempt("model.int8.onnx", twin))
        step()
    return tuple(parts)
