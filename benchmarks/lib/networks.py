"""The networks measured with random weights, as the paper has them and rewritten, in either number type, and their files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import tf_keras

from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.onnx.writer import write_onnx
from u3p_edge.conversion.tflite.writer import lower_graph, write_tflite
from u3p_edge.conversion.tflite.xnnpack_memory import estimate_memory
from u3p_edge.files.atomic import write_bytes
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.graph.scheme import Quantized
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.latency.probe import Target
from u3p_edge.models.config import preset
from u3p_edge.models.unet3plus import build
from u3p_edge.pipeline.rewrite import select_rewrites
from u3p_edge.progress import Progress
from u3p_edge.rewriting.engine import Selection, apply_selections
from u3p_edge.rewriting.passes import apply_fusions
from u3p_edge.rewriting.tiling import choose

NUMBERS = ("float32", "int8")
FORMS = ("reference", "rewritten")
MB = 1_000_000


@dataclasses.dataclass(frozen=True)
class Variant:
    """One network in one number type: its graph in tiles of rows and whole, what made it, and the plan of the tiles."""

    graph: Graph
    whole: Graph
    choices: tuple[Selection, ...]
    tiling: choose.TilingPlan | None


def network(width: int, size: int) -> tuple[Graph, Metadata]:
    """Return the folded inference graph of the paper's model without its training heads, and its metadata."""
    tf_keras.utils.set_random_seed(0)
    config = dataclasses.replace(
        preset("paper"), base_width=width, input_shape=(size, size, 1), deep_supervision=False, cgm=False
    )
    graph = inference_graph(from_keras(build(config))).graph
    return fold_batch_norm(graph), default_metadata(Preprocessing(size, size, 1, "resize", "percentile"), 2)


def variants(graph: Graph, number: str, progress: Progress) -> dict[str, Variant]:
    """Return the network unchanged, and rewritten for a number type: by timing, and in tiles by the memory plan."""
    choices = select_rewrites(graph, Target(number), progress)
    new = apply_selections(graph, choices)
    plan = choose.choose_tiling(apply_fusions(new), bytes_per_element=bytes_of(number), measure_memory=memory_of(number))
    return {"reference": Variant(graph, graph, (), None), "rewritten": Variant(plan.graph, new, choices, plan)}


def memory_of(number: str) -> choose.MeasureMemory:
    """Return a function that gives the bytes which the TFLite file of a graph in tiles needs to run; integers are dummies."""

    def measure(graph: Graph, _origin: Mapping[str, str]) -> int:
        if number == "float32":
            return estimate_memory(lower_graph(graph))
        made = make_dummy_quantized(graph)
        return estimate_memory(lower_graph(made))

    return measure


def bytes_of(number: str) -> int:
    """Return the bytes of an activation."""
    return 1 if number == "int8" else 4


def write_files(variant: Variant, name: str, number: str, metadata: Metadata, folder: Path) -> dict[str, Path]:
    """Write the variant as a TFLite and as an ONNX file, and return their paths by name.

    The reference is written with the plain operators that a converter writes, the rewritten network as `export` writes it, and
    the float ONNX file without tiles.
    """
    stem, layouts = f"{name}.{number}", name != "reference"
    paths = {suffix: folder / f"{stem}.{suffix}" for suffix in ("tflite", "onnx")}
    network: Graph | Quantized = variant.graph
    whole: Graph | Quantized = variant.whole
    if number == "int8":
        network = whole = make_dummy_quantized(variant.graph)
    write_bytes(paths["tflite"], write_tflite(network, metadata, layouts=layouts))
    write_bytes(paths["onnx"], write_onnx(whole, metadata))
    return {path.name: path for path in paths.values()}
