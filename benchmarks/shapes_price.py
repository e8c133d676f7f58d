"""How near the packaged latency table comes to the time of whole networks in other shapes.

    python -m benchmarks.shapes_price

Networks of base width 16 for grey images and four classes, with random weights, in several shapes (`u3p_edge.shapes`) and with
at most so many channels in every group. Each is predicted by the packaged int8 table of this processor and timed as an int8
TFLite file, at one thread, all side by side in interleaved rounds, in processor time. The table holds the fastest of some runs,
so the fastest round is compared, and also the median, which other programs on the machine raise. Kept in
benchmarks/results/<processor>/shapes_price/: prices.json with all raw samples, report.md with the errors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import tf_keras

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.environment import describe_machine, results_folder
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.result import Environment
from u3p_edge.errors import ConfigError
from u3p_edge.files.atomic import write_json, write_text
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.latency.clock import interleave, make_sampler, milliseconds, processor_clock
from u3p_edge.latency.probe import to_file
from u3p_edge.latency.table.packaged import packaged_table
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.models.config import preset
from u3p_edge.models.unet3plus import build
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.runtime.tflite_raw import open_raw
from u3p_edge.shapes.apply import apply_shape
from u3p_edge.shapes.shape import Shape

BASE_WIDTH = 16


@dataclass(frozen=True)
class Case:
    """A network: height and width of its image, its shape, the most channels of a group."""

    side: int
    shape: Shape
    channels: int


CASES = (
    Case(64, Shape(), 16),
    Case(64, Shape(fold=2), 16),
    Case(64, Shape(fold=2, topology="plain"), 24),
    Case(64, Shape(fold=2, topology="plain", fusion="add"), 16),
    Case(128, Shape(head=2), 16),
    Case(128, Shape(fold=2, fusion="add"), 16),
    Case(128, Shape(fold=2, head=2), 32),
    Case(128, Shape(fold=4, fusion="add"), 32),
)


def main() -> None:
    """Predict and time all networks, and write the report."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    table = packaged_table("int8")
    if table is None:
        raise ConfigError("the package has no int8 latency table for this processor")
    graphs = [build_case(case) for case in CASES]
    predicted = [Predictor(table).predict(graph).total_ms for graph in graphs]
    samples = time_graphs(graphs, rounds)
    environment, folder = describe_environment(), results_folder("shapes_price")
    kept = [
        {**dataclasses.asdict(case), "predicted_ms": ms, "samples_ms": taken}
        for case, ms, taken in zip(CASES, predicted, samples, strict=True)
    ]
    record = {"command": typed_command("shapes_price"), "environment": dataclasses.asdict(environment), "networks": kept}
    write_json(folder / "prices.json", record)
    text = write_report(environment, predicted, samples)
    write_text(folder / "report.md", text)
    print(text)


@cache
def _networks(side: int) -> tuple[Graph, Graph]:
    """Return the network as it would be trained, and folded for inference."""
    tf_keras.utils.set_random_seed(0)
    training = from_keras(build(preset("article", input_shape=(side, side, 1), base_width=BASE_WIDTH, classes=4)))
    return training, fold_batch_norm(inference_graph(training).graph)


def build_case(case: Case) -> Graph:
    """Return the network of a case; the first channels of every group are kept."""
    training, graph = _networks(case.side)
    shaped = apply_shape(graph, case.shape, training)
    plan = {g.name: range(case.channels) for g in find_groups(shaped) if not g.frozen and g.size > case.channels}
    return apply_plan(shaped, PruningPlan(plan))


def time_graphs(graphs: Sequence[Graph], rounds: int) -> tuple[tuple[float, ...], ...]:
    """Return the milliseconds of each graph in each round."""
    clock = processor_clock(threads=1)
    runs = [open_raw(to_file(graph, "int8"), 1).run for graph in graphs]
    rough = [min(milliseconds(run, clock) for _ in range(3)) for run in runs]
    samplers = [make_sampler(run, ms, clock) for run, ms in zip(runs, rough, strict=True)]
    return interleave(samplers, lambda done: len(done) < rounds, clock=clock).samples


def write_report(environment: Environment, predicted: Sequence[float], samples: Sequence[Sequence[float]]) -> str:
    """Return the report in Markdown."""
    lines = [
        "# Predicted and measured milliseconds of shaped networks", "",
        f"{describe_machine(environment)}. int8 TFLite, one thread, processor time, {len(samples[0])} interleaved rounds.", "",
        "| image | shape | channels at most | predicted | fastest | median | against the fastest | against the median |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    errors = [(ms / min(taken) - 1, ms / float(np.median(taken)) - 1) for ms, taken in zip(predicted, samples, strict=True)]
    for case, ms, taken, (fastest, middle) in zip(CASES, predicted, samples, errors, strict=True):
        lines.append(
            f"| {case.side}x{case.side} | {case.shape.name} | {case.channels} | {ms:.3f} | {min(taken):.3f} | "
            f"{np.median(taken):.3f} | {fastest:+.1%} | {middle:+.1%} |"
        )
    worst = [max(abs(each[column]) for each in errors) for column in (0, 1)]
    sentence = f"The largest error is {worst[0]:.1%} of the fastest round and {worst[1]:.1%} of the median."
    return "\n".join([*lines, "", sentence]) + "\n"


if __name__ == "__main__":
    main()
