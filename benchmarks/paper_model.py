"""The paper's model (base 64, 320x320) in the shape that pruning gave a smaller one: latency and memory alone.

    python -m benchmarks.paper_model benchmarks/results/amd-epyc-2-cores/paper_model/plan.json

The network takes the plan's shape, and every channel group keeps the share that the plan keeps of the same group there, in
whole steps of the kernels. It is rewritten, cut into tiles and written as `export` does it. The float32 TFLite file of the
whole network in its own shape is timed beside it in one run, in processor time. Kept beside the plan.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.environment import describe_machine
from benchmarks.lib.measure import measure_files
from benchmarks.lib.networks import MB, memory_of, network
from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.benchmark.statistics import quartiles, ratio
from u3p_edge.cli.progress import stages
from u3p_edge.config.plain import from_dict
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.files.atomic import make_folder, read_json, write_bytes, write_text
from u3p_edge.graph import memory
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.latency.probe import Target
from u3p_edge.latency.table.packaged import packaged_table
from u3p_edge.pipeline.rewrite import select_rewrites
from u3p_edge.progress import Progress
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.rewriting import engine
from u3p_edge.rewriting.passes import apply_fusions
from u3p_edge.rewriting.tiling import choose
from u3p_edge.shapes.apply import apply_shape
from u3p_edge.shapes.shape import Shape

STEP = 8
"""Channels that kernels work in."""


def scaled(small: Graph, plan: PruningPlan, large: Graph) -> PruningPlan:
    """Return the plan for a wider network of the same architecture that keeps the same share of every group."""
    shares = {group.name: len(plan.of(group)) / group.size for group in find_groups(small) if not group.frozen}
    kept = {}
    for group in find_groups(large):
        if not group.frozen:
            count = round(shares[group.name] * group.size / STEP) * STEP
            kept[group.name] = range(min(group.size, max(count, STEP)) if shares[group.name] else 0)
    return PruningPlan(kept)


def rewrite_and_tile(graph: Graph, progress: Progress) -> tuple[Graph, Graph]:
    """Return the graph rewritten, and that in tiles of rows."""
    choices = select_rewrites(graph, Target("int8"), progress, table=packaged_table("int8"))
    new = apply_fusions(engine.apply_selections(graph, choices))
    return new, choose.choose_tiling(new, bytes_per_element=1, measure_memory=memory_of("int8")).graph


def report(result: RunResult, shape: Shape, gmac: Sequence[float], arena_mb: Sequence[float]) -> str:
    """Return the report in Markdown; shape is of the pruned network, GMAC and arena plan are those of the two files."""
    rows = [
        "| file | GMAC | ms of processor time, 1 thread | times faster (95 %) | file, MB | arena plan, MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    first = result.artifacts[0].latencies[0].samples_ms
    for artifact, macs, arena in zip(result.artifacts, gmac, arena_mb, strict=True):
        ms = artifact.latencies[0].samples_ms
        gain = ratio(first, ms)
        times = "1" if ms is first else f"{gain.estimate:.1f} ({gain.low:.1f}–{gain.high:.1f})"
        size = artifact.bytes / MB
        rows.append(f"| {artifact.name} | {macs:.1f} | {quartiles(ms).estimate:.1f} | {times} | {size:.2f} | {arena:.2f} |")
    parts = [
        "# The paper's model, base 64, 320x320, in a pruned shape",
        f"Shape: {shape.name}. **The weights are not trained**: latency and memory alone, nothing here is about accuracy.",
        "\n".join(rows),
        f"{describe_machine(result.environment)}. Command: `{result.command}`.",
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Time one plan."""
    parser = make_parser(__doc__)
    parser.add_argument("plan", type=Path, help="plan.json of benchmarks.paper_plan, or pruning.json of an export")
    parser.add_argument("--base", type=int, default=16, help="base width of that network before pruning (default: %(default)s)")
    parser.add_argument("--size", type=int, default=128, help="its image size (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs/paper"), help="where the files go (default: %(default)s)")
    given = parser.parse_args()
    planned = read_json(given.plan)
    plan, shape = PruningPlan.from_json(json.dumps(planned["plan"])), from_dict(Shape, planned.get("shape", {}))
    small, _ = network(given.base, given.size)
    large, metadata = network(64, 320)
    shaped = apply_shape(large, shape)
    cut = apply_plan(shaped, scaled(apply_shape(small, shape), plan, shaped))
    make_folder(given.runs)
    reference, int8 = given.runs / "reference.float32.tflite", given.runs / "pruned.int8.tflite"
    with stages() as progress:
        rewritten, tiled = rewrite_and_tile(cut, progress)
        write_bytes(int8, write_tflite(make_dummy_quantized(tiled), metadata))
        write_bytes(reference, write_tflite(large, metadata, layouts=False))
        files = {path.name: (path, "tflite") for path in (reference, int8)}
        result = measure_files(files, 320, given.rounds, (1,), typed_command("paper_model"), progress)
    kept = given.plan.parent
    save_result(kept / "result.json", result)
    arenas = [memory.plan_memory(graph, bytes_per_element=size).peak / MB for graph, size in ((large, 4), (tiled, 1))]
    text = report(result, shape, [cost(graph).total_macs / 1e9 for graph in (large, rewritten)], arenas)
    write_text(kept / "report.md", text)
    print(text)


if __name__ == "__main__":
    main()
