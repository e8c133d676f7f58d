"""The paper's model (base 64, 320x320) in the shape that pruning gave a smaller one: latency and memory alone.

    python -m benchmarks.paper_model benchmarks/results/amd-epyc-2-cores/paper_model/plan.json

Every channel group keeps the share that the plan keeps of the same group there, in whole steps of the kernels. The network is
rewritten, cut into tiles and written as `export` does it; the float32 TFLite file of the whole network is timed beside it in
one run. Kept in benchmarks/results/<processor>/paper_model/.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.environment import describe_machine, results_folder
from benchmarks.lib.networks import MB, memory_of, network
from u3p_edge.artifact import make_folder, read_json, sha256_of, write_bytes, write_text
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.memory import peak_memory
from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.benchmark.statistics import quartiles, ratio
from u3p_edge.benchmark.timing import time_sessions
from u3p_edge.cli.progress import stages
from u3p_edge.export.tflite.writer import write_tflite
from u3p_edge.graph import memory
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.latency.probe import Target
from u3p_edge.pipeline.rewrite import choices_for
from u3p_edge.progress import Progress
from u3p_edge.prune.apply import apply_plan
from u3p_edge.prune.dependency import find_groups
from u3p_edge.prune.plan import PruningPlan
from u3p_edge.rewrite import engine
from u3p_edge.rewrite.interpolated_sums import fuse_interpolated_sums
from u3p_edge.rewrite.tiling import choose
from u3p_edge.runtime import open_session

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
    choices = choices_for(graph, Target("int8"), progress("Select candidates", len(engine.find_sites(graph))))
    new = fuse_interpolated_sums(engine.apply_selections(graph, choices))
    return new, choose.choose_tiling(new, bytes_per_element=1, weigh=memory_of("int8")).graph


def main() -> None:
    """Time one plan."""
    parser = make_parser(__doc__)
    parser.add_argument("plan", type=Path, help="plan.json of paper_plan.py, or pruning.json of an export")
    parser.add_argument("--base", type=int, default=16, help="base width of that network before pruning (default: %(default)s)")
    parser.add_argument("--size", type=int, default=128, help="its image size (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs/paper"), help="where the files go (default: %(default)s)")
    given = parser.parse_args()
    plan = PruningPlan.from_json(json.dumps(read_json(given.plan)["plan"]))
    small, _ = network(given.base, given.size)
    large, metadata = network(64, 320)
    cut = apply_plan(large, scaled(small, plan, large))
    make_folder(given.runs)
    reference, int8 = given.runs / "reference.float32.tflite", given.runs / "pruned.int8.tflite"
    with stages() as progress:
        rewritten, tiled = rewrite_and_tile(cut, progress)
        made = make_dummy_quantized(tiled)
        write_bytes(int8, write_tflite(made, metadata))
        write_bytes(reference, write_tflite(large, metadata, layouts=False))
        paths = {path.name: path for path in (reference, int8)}
        image = np.random.default_rng(0).random((320, 320, 1), dtype=np.float32)
        sessions = [open_session(path, 1) for path in paths.values()]
        taken = time_sessions(
            sessions, image, 1, rounds=given.rounds, warmup=1, step=progress("Time at 1 thread", given.rounds)
        )
        step = progress("Measure memory in fresh processes", 3 * len(paths))
        results = []
        for (name, path), session, latency in zip(paths.items(), sessions, taken, strict=True):
            artifact = ArtifactResult(name, session.format, sha256_of(path), path.stat().st_size, session.input_shape)
            memory_mb = peak_memory(path, repeats=3, step=step)
            results.append(dataclasses.replace(artifact, latencies=(latency,), memory=memory_mb))
    command = typed_command("paper_model")
    result = RunResult(command, describe_environment(), ("background", "class 1"), reference.name, tuple(results), None)
    kept = results_folder("paper_model")
    save_result(kept / "result.json", result)
    first, second = (r.latencies[0].samples_ms for r in results)
    gain, peak = ratio(first, second), memory.plan_memory(tiled, bytes_per_element=1).peak
    whole = memory.plan_memory(large, bytes_per_element=4).peak
    lines = [
        "# The paper's model, base 64, 320x320, in a pruned shape",
        "**The weights are not trained**: latency and memory alone, nothing here is about accuracy.",
        "| file | GMAC | ms, 1 thread | times faster (95 %) | file, MB | arena plan, MB |\n|---|---:|---:|---:|---:|---:|\n"
        f"| {reference.name} | {cost(large).total_macs / 1e9:.1f} | {quartiles(first).median:.0f} | 1 | "
        f"{results[0].bytes / MB:.1f} | {whole / MB:.1f} |\n"
        f"| {int8.name} | {cost(rewritten).total_macs / 1e9:.1f} | {quartiles(second).median:.1f} | {gain.median:.1f} "
        f"({gain.low:.1f}–{gain.high:.1f}) | {results[1].bytes / MB:.2f} | {peak / MB:.2f} |",
        f"{describe_machine(result.environment)}. Command: `{command}`.",
    ]
    write_text(kept / "report.md", "\n\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
