"""What a file costs that gives probabilities, logits or labels: the network alone, and until there is a label for each pixel.

    python -m benchmarks.outputs

The networks are the pruned ones of the kept plans, rewritten by the packaged latency table, with random weights, which change
no time: cardiac MRI at 128x128 with 4 classes (softmax), and the embedded nuclei at 96x96 (sigmoid). Each round times all files
of a network in one format, one after the other, in processor time of one thread. Kept in
benchmarks/results/<processor>/outputs/: outputs.json with all raw samples, report.md.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import tf_keras

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.environment import describe_machine, results_folder
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.config.metadata import OutputKind, default_metadata
from u3p_edge.config.plain import from_dict
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.onnx.writer import write_onnx
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.data.preprocess import to_labels
from u3p_edge.files.atomic import read_json, write_json, write_text
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.latency.clock import interleave, milliseconds, processor_clock
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.latency.probe import Target
from u3p_edge.models.config import preset
from u3p_edge.models.unet3plus import build
from u3p_edge.pipeline.latencies import find_latencies
from u3p_edge.pipeline.rewrite import select_rewrites
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.rewriting.engine import apply_selections
from u3p_edge.rewriting.passes import apply_fusions
from u3p_edge.runtime import Session, open_session
from u3p_edge.shapes.apply import apply_shape
from u3p_edge.shapes.shape import Shape

NETWORKS = {
    "cardiac, 4 classes, 128x128": ("pruning_acdc_ed224/balanced.pruning.json", 128, 4),
    "nuclei, 1 class, 96x96": ("embedded/pruning.json", 96, 1),
}
"""The kept plan, height and width, and the mask's channels of each network, by name."""

FORMATS = ("int8.tflite", "int8.onnx", "float32.tflite")
OUTPUTS: tuple[OutputKind, ...] = ("probabilities", "logits", "labels")
PARTS = ("network alone", "until labels")

Samples = Mapping[str, Mapping[str, tuple[float, ...]]]
"""Milliseconds of each part, by output, then by part."""


def main() -> None:
    """Time all files and write the report."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds, folder, environment = parser.parse_args().rounds, results_folder("outputs"), describe_environment()
    measured: dict[str, Samples] = {}
    for name, (plan, size, channels) in NETWORKS.items():
        graph = pruned(folder.parent / plan, size, channels)
        for kind in FORMATS:
            measured[f"{name}, {kind}"] = time_outputs(graph, kind, rounds)
    kept = {"command": typed_command("outputs"), "environment": dataclasses.asdict(environment), "samples": measured}
    write_json(folder / "outputs.json", kept)
    text = report(measured, describe_machine(environment))
    write_text(folder / "report.md", text)
    print(text)


def pruned(plan: Path, size: int, channels: int) -> Graph:
    """Return the folded graph of a kept plan in its shape, of a UNet 3+ of base width 16 with random weights."""
    tf_keras.utils.set_random_seed(0)
    config = dataclasses.replace(
        preset("paper"), base_width=16, input_shape=(size, size, 1), classes=channels, deep_supervision=False, cgm=False
    )
    kept = read_json(plan)
    shape = from_dict(Shape, kept.get("shape", {}))
    graph = apply_shape(inference_graph(from_keras(build(config))).graph, shape)
    return fold_batch_norm(apply_plan(graph, PruningPlan.from_json(json.dumps(kept["plan"]))))


def rewritten(graph: Graph, number: str) -> Graph:
    """Return a folded graph in the forms that an export chooses for a number type by the packaged latency table."""
    table = find_latencies(graph, number, ExportRecipe()).table
    return apply_fusions(apply_selections(graph, select_rewrites(graph, Target(number), table=table)))


def time_outputs(graph: Graph, kind: str, rounds: int) -> Samples:
    """Return the samples of the three files of a network in one format, all in the same rounds."""
    number = kind.partition(".")[0]
    ready = rewritten(graph, number)
    network = make_dummy_quantized(ready) if number == "int8" else ready
    write = write_onnx if kind.endswith("onnx") else write_tflite
    _, height, width, channels = graph.shapes[graph.outputs[0]]
    plain = default_metadata(Preprocessing(height, width), max(2, channels))
    image = np.random.default_rng(0).random((height, width, 1), dtype=np.float32)
    calls: dict[tuple[OutputKind, str], Callable[[], object]] = {}
    with TemporaryDirectory() as folder:
        for output in OUTPUTS:
            path = Path(folder) / f"{output}.{kind}"
            path.write_bytes(write(network, dataclasses.replace(plain, output=output)))
            session = open_session(path, max_memory_mb=None)
            calls[output, PARTS[0]] = session.prepare(image)
            calls[output, PARTS[1]] = partial(_find_labels, session, image)
        clock = processor_clock(1)
        candidates = [partial(milliseconds, call, clock, repeats=3, warm_up=True) for call in calls.values()]
        taken = interleave(candidates, lambda done: len(done) < rounds).samples
    by_call = dict(zip(calls, taken, strict=True))
    return {output: {part: by_call[output, part] for part in PARTS} for output in OUTPUTS}


def _find_labels(session: Session, image: npt.NDArray[np.float32]) -> object:
    return to_labels(session.run(image), session.metadata.output)


def report(measured: Mapping[str, Samples], machine: str) -> str:
    """Return the table: medians, and the ratio to the file of probabilities in the same rounds with its interval."""
    lines = [
        "# Probabilities, logits or labels", "",
        "Medians in milliseconds of processor time at one thread; × is the ratio to the file of probabilities in the same",
        "rounds, with its 95 % bootstrap interval.", "",
        "| network, format | part | probabilities | logits | labels |", "|---|---|---:|---:|---:|",
    ]  # fmt: skip
    for name, samples in measured.items():
        for part in PARTS:
            first = samples[OUTPUTS[0]][part]
            others = [_against(samples[output][part], first) for output in OUTPUTS[1:]]
            lines.append(f"| {name} | {part} | {np.median(first):.3f} | {' | '.join(others)} |")
    return "\n".join([*lines, "", f"Measured on {machine}.", ""])


def _against(samples: tuple[float, ...], first: tuple[float, ...]) -> str:
    times = ratio(samples, first)
    return f"{np.median(samples):.3f}, ×{times.estimate:.2f} ({times.low:.2f}–{times.high:.2f})"


if __name__ == "__main__":
    main()
