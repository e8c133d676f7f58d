"""Measure exact rewrites against the network as the paper has it, side by side in one run, in three runtimes.

    python -m benchmarks.rewrites 64:320 32:256

Each WIDTH:SIZE is a UNet 3+ of that base width for SIZE x SIZE images, of random weights: the figures are latency and memory,
never accuracy. Integers are made up too; the time of integer arithmetic does not depend on their values. Kept in
benchmarks/results/<processor>/rewrites_<width>_<size>/: report.md with times and memory, result.json with all raw
samples, per_op.md with the time of every kind of operator and its floor, and the selected rewrites.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.lib.commands import make_parser, typed_command
from benchmarks.lib.core_distance import near, shortest_time
from benchmarks.lib.environment import describe_machine, results_folder
from benchmarks.lib.measure import measure_files
from benchmarks.lib.networks import FORMS, MB, NUMBERS, Variant, bytes_of, network, variants, write_files
from u3p_edge.benchmark.result import ArtifactResult, Latency, RunResult
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.benchmark.statistics import Interval, quartiles, ratio, ratio_of_medians
from u3p_edge.cli.progress import stages
from u3p_edge.conversion.tflite.writer import lower_graph
from u3p_edge.files.atomic import make_folder, write_text
from u3p_edge.graph import memory
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.clock import MINIMUM_ROUNDS
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.latency.per_op import OpTime, Profile, profile_operators
from u3p_edge.pipeline.choices import selections_to_json
from u3p_edge.progress import Progress

LABEL = "Random weights and made-up integers: latency and memory only, nothing here is about accuracy."


def runtimes_of(files: Mapping[str, Path]) -> dict[str, tuple[Path, str]]:
    """Return every file with its runtime, and every ONNX file with OpenVINO as well."""
    first = {name: (path, path.suffix[1:]) for name, path in files.items()}
    onnx = {name: path for name, path in files.items() if path.suffix == ".onnx"}
    return first | {name.replace(".onnx", ".openvino"): (path, "openvino") for name, path in onnx.items()}


def speed_table(result: RunResult) -> str:
    """Compare rewritten with reference, by runtime, number type and threads: the median ratio of the same rounds.

    At two threads, samples whose cores shared a cache have one row and the others another (see `benchmarks.lib.core_distance`);
    each row has the ratio of its medians. Samples too few for a spread are counted instead.
    """
    rows = [
        "| runtime | number | threads | reference, ms | rewritten, ms | times faster (95 %) |",
        "|---|---|---:|---:|---:|---:|",
    ]
    shortest = {threads: shortest_time(result.latencies(threads)) for threads in result.threads}
    for runtime, suffix in (("LiteRT", "tflite"), ("ONNX Runtime", "onnx"), ("OpenVINO", "openvino")):
        for number in NUMBERS:
            for threads in result.threads:
                pair = [_latency(result, f"{form}.{number}.{suffix}", threads) for form in FORMS]
                for placed, before, after, gain in _gains(pair[0], pair[1], shortest[threads]):
                    few = min(len(before), len(after)) < MINIMUM_ROUNDS
                    bounds = f"of {len(before)} and {len(after)} samples" if few else f"{gain.low:.2f}–{gain.high:.2f}"
                    times = f"{gain.estimate:.2f} ({bounds})"
                    figures = f"{quartiles(before).estimate:.0f} | {quartiles(after).estimate:.0f} | {times}"
                    rows.append(f"| {runtime} | {number} | {threads}{placed} | {figures} |")
    return "\n".join(rows)


def _latency(result: RunResult, name: str, threads: int) -> Latency:
    artifact = result.get(name)
    latency = None if artifact is None else artifact.latency(threads)
    if latency is None:
        raise ValueError(f"{name} was not timed at {threads} threads")
    return latency


def _gains(
    before: Latency, after: Latency, shortest: float | None
) -> Iterator[tuple[str, tuple[float, ...], tuple[float, ...], Interval]]:
    """Yield where the cores were, the samples of both, and how many times faster the second is."""
    if shortest is None:
        yield "", before.samples_ms, after.samples_ms, ratio(before.samples_ms, after.samples_ms)
        return
    for wanted, placed in ((True, ", cores sharing a cache"), (False, ", cores apart")):
        old, new = (
            tuple(ms for ms, shared in zip(entry.samples_ms, near(entry, shortest), strict=True) if shared is wanted)
            for entry in (before, after)
        )
        if old and new:
            yield placed, old, new, ratio_of_medians(old, new)


def memory_table(made: Mapping[str, Mapping[str, Variant]], result: RunResult) -> str:
    """Return a table of arena plans and measured memory, rewritten against reference."""
    rows = [
        "| number | form | arena plan, MB | of reference | process above its runtime, MB | of reference |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for number in NUMBERS:
        plans = {form: memory.plan_memory(made[number][form].graph, bytes_per_element=bytes_of(number)) for form in FORMS}
        grown = {form: _grown(result.get(f"{form}.{number}.tflite")) for form in FORMS}
        for form in FORMS:
            arena, process = plans[form].peak / plans["reference"].peak, grown[form] / grown["reference"]
            rows.append(
                f"| {number} | {form} | {plans[form].peak / MB:.1f} | {arena:.3f} | {grown[form]:.0f} | {process:.3f} |"
            )
    return "\n".join(rows)


def _grown(artifact: ArtifactResult | None) -> float:
    if artifact is None or artifact.memory is None:
        return float("nan")
    pairs = zip(artifact.memory.peak_mb, artifact.memory.baseline_mb, strict=True)
    return float(np.median([peak - base for peak, base in pairs]))


def where_time_goes(graph: Graph, layouts: bool, progress: Progress) -> tuple[Profile, str]:
    """Profile the int8 file: milliseconds by operator and by part of the network, beside the floor of their arithmetic."""
    made = make_dummy_quantized(graph)
    profile = profile_operators(lower_graph(made, layouts=layouts), progress=progress)
    total = sum(row.ms for row in profile.rows)
    header = "| {} | operators | GMAC | ms | share | floor, ms |\n|---|---:|---:|---:|---:|---:|"
    parts = [
        f"One thread, int8, each operator timed alone; the whole takes {profile.whole_ms:.1f} ms in one piece, its operators "
        f"{total:.1f} ms. Floor: multiply-accumulates over {profile.peak / 1e9:.0f} G a second, the most this core did.",
        header.format("operator"),
        *_grouped(profile.rows, lambda row: row.op, total),
        "",
        header.format("part"),
        *_grouped(profile.rows, lambda row: _part(row.node), total),
    ]
    return profile, "\n".join([parts[0], "", *parts[1:]])


def _grouped(rows: Sequence[OpTime], key: Callable[[OpTime], str], total: float) -> list[str]:
    groups: dict[str, list[OpTime]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    lines = []
    for name, members in sorted(groups.items(), key=lambda item: -sum(row.ms for row in item[1])):
        ms, floor, macs = (sum(getattr(row, what) for row in members) for what in ("ms", "floor_ms", "macs"))
        lines.append(f"| {name} | {len(members)} | {macs / 1e9:.2f} | {ms:.1f} | {100 * ms / total:.1f} % | {floor:.1f} |")
    return lines


def _part(name: str) -> str:
    """E.g. "dec1_from_enc5" of a node dec1_from_enc5_conv_tap00."""
    words = name.split("_")
    return "_".join(words[:3]) if "from" in words[:2] else "_".join(words[:2]) if words[0].startswith("dec") else words[0]


def keep(folder: Path, name: str, made: Mapping[str, Mapping[str, Variant]], result: RunResult, progress: Progress) -> None:
    """Write everything that is kept of a run."""
    title = f"# Exact rewrites, {name}\n\n{LABEL}"
    save_result(folder / "result.json", result)
    lines = [title, speed_table(result), "## Memory", memory_table(made, result), "## Circumstances"]
    lines.append(
        f"{describe_machine(result.environment)}. All files of a thread count interleaved "
        f"in one run; raw samples in result.json. Command: `{result.command}`."
    )
    for number in NUMBERS:
        variant = made[number]["rewritten"]
        before, after = (cost(made[number][form].graph).total_macs / 1e9 for form in FORMS)
        tiles = "" if variant.tiling is None else f"; tiles: {json.dumps(dict(variant.tiling.counts))}"
        lines.append(f"{number}: {before:.1f} GMAC before, {after:.1f} rewritten{tiles}.")
        write_text(folder / f"rewrites_{number}.json", selections_to_json(variant.choices))
    write_text(folder / "report.md", "\n\n".join(lines) + "\n")
    keep_operators(folder, name, {form: made["int8"][form].graph for form in FORMS}, progress)


def keep_operators(folder: Path, name: str, graphs: Mapping[str, Graph], progress: Progress) -> None:
    """Write where the time of each form goes."""
    per = {form: where_time_goes(graph, form != "reference", progress)[1] for form, graph in graphs.items()}
    text = "\n\n".join(f"## {form.capitalize()}\n\n{table}" for form, table in per.items())
    write_text(folder / "per_op.md", f"# Where the time goes, {name}\n\n{LABEL}\n\n{text}\n")


def main() -> None:
    """Measure every WIDTH:SIZE named on the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("models", nargs="+", metavar="WIDTH:SIZE", help="base width and image size, e.g. 64:320")
    parser.add_argument("--runs", type=Path, default=Path("runs/rewrites"), help="where the files go (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds a thread count (default: %(default)s)")
    parser.add_argument("--no-keep", action="store_true", help="write reports beside the files, not into benchmarks/results")
    given = parser.parse_args()
    command = typed_command("rewrites")
    for name in given.models:
        width, size = (int(part) for part in name.split(":"))
        folder = given.runs / f"{width}_{size}"
        make_folder(folder)
        with stages() as progress:
            graph, metadata = network(width, size)
            made = {number: variants(graph, number, progress) for number in NUMBERS}
            files: dict[str, Path] = {}
            for number in NUMBERS:
                for form in FORMS:
                    files |= write_files(made[number][form], form, number, metadata, folder)
            result = measure_files(runtimes_of(files), size, given.rounds, (1, 2), command, progress)
            kept = folder if given.no_keep else results_folder(f"rewrites_{width}_{size}")
            keep(kept, f"base {width}, {size}x{size}", made, result, progress)
        print(f"{kept.name}:\n{speed_table(result)}\n{memory_table(made, result)}")


if __name__ == "__main__":
    main()
